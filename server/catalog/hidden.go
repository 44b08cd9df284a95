package catalog

import (
	"fmt"
	"slices"
)

// Hidden says why an app that is not known in an environment may be on a branch all the
// same: what is there cannot be read, or is more than is kept, or the branch names no app
// at all. It is false when the app is gone.
func (c *Catalog) Hidden(environment, app string) (why string, hidden bool) {
	for _, l := range c.looks {
		if l.Result == nil || !l.Rules.MayNameApp(app) {
			continue
		}
		if why, hidden := c.hiddenIn(l, environment); hidden {
			return why, true
		}
	}
	return "", false
}

func (c *Catalog) hiddenIn(l Look, environment string) (why string, hidden bool) {
	i := slices.IndexFunc(c.problems, func(p Problem) bool {
		return p.hides && p.Manifests == l.Manifests && (p.Environment == "" || p.Environment == environment)
	})
	switch {
	case i >= 0:
		return c.problems[i].Text(), true
	case l.Result.More > 0:
		return fmt.Sprintf("the branch of %s has %d more problems than are listed", l.Manifests, l.Result.More), true
	}
	return "", false
}
