package policy

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// orders plans an update for each order. Its error has what is wrong with each of them.
// Orders that may wait may be for an app that may become known.
func (p *Policy) orders(orders []gitops.Order, mayWait bool) ([]gitops.Update, *gitops.Error) {
	updates := make([]gitops.Update, len(orders))
	wrong := problems{said: make(map[string]bool), unknown: make(map[string]bool)}
	for i, o := range orders {
		if wrong.unknown[o.Field("app")] || wrong.unknown[o.Field("env")] {
			continue // it is wrong wherever it is named, and the search for what is meant is long
		}
		update, err := p.order(o, mayWait)
		if err != nil && !wrong.add(err) {
			break
		}
		if err != nil {
			p.noteUnknown(o, err.Field, wrong.unknown)
		}
		updates[i] = update
	}
	if len(wrong.said) == 0 {
		if err := p.checkDigest(orders, updates); err != nil {
			wrong.add(err)
		}
	}
	return updates, wrong.err()
}

// noteUnknown notes the field that is wrong, if nobody knows the name in it.
func (p *Policy) noteUnknown(o gitops.Order, field string, unknown map[string]bool) {
	switch field {
	case o.Field("env"):
		_, known := p.environments[o.Environment]
		unknown[field] = !known
	case o.Field("app"):
		unknown[field] = p.whyNot(o) == ""
	}
}

// whyNot says of an app that is not there what else is known.
func (p *Policy) whyNot(o gitops.Order) string {
	if p.problem == nil {
		return ""
	}
	if why, ok := p.problem(o.Environment, o.App); ok {
		return why
	}
	return ""
}

// order finds what is wrong with an order, in the order in which a person would
// correct it.
func (p *Policy) order(o gitops.Order, mayWait bool) (gitops.Update, *gitops.Error) {
	reject := func(field, format string, args ...any) (gitops.Update, *gitops.Error) {
		return gitops.Update{}, &gitops.Error{Code: gitops.Rejected, Field: o.Field(field), Message: fmt.Sprintf(format, args...)}
	}
	for _, check := range []struct {
		field string
		err   error
	}{
		{"app", checkOrdered(o.App)},
		{"env", checkOrdered(o.Environment)},
		{"tag", gitops.CheckTag("", o.Tag)},
		{"digest", gitops.CheckDigest("", o.Digest)},
		{"sha", gitops.CheckRevision("", o.Revision)},
	} {
		if check.err != nil {
			return reject(check.field, "%s", gitops.PublicOf(check.err))
		}
	}
	a, ok := p.apps[o.App]
	if why := p.whyNot(o); why != "" {
		return reject("app", "%s", why)
	}
	if !ok && !(mayWait && p.mayCome(o.App)) {
		return reject("app", "%s", p.UnknownApp(o.App))
	}
	if _, ok := p.environments[o.Environment]; !ok {
		return reject("env", "%s", p.UnknownEnvironment(o.Environment))
	}
	if !a.runsIn(o.Environment) {
		return reject("env", "%s", p.notIn(o.Environment, o.App))
	}
	if why := p.refuses(o.Environment, o.App, o.Tag); why != "" {
		return reject("tag", "%s: %s", o.Environment, why)
	}
	return gitops.Update{
		Environment: o.Environment, App: o.App, Repository: a.imageIn(o.Environment).repository, Tag: o.Tag, Digest: o.Digest, Revision: o.Revision,
	}, nil
}

// checkOrdered reports what is wrong with a name. Several names in one text are not
// taken apart: a list says where a name ends.
func checkOrdered(name string) error {
	err := gitops.CheckName("", name)
	if err != nil && strings.ContainsAny(name, ", \n") {
		return gitops.FieldErrorf("", "%s: for several names send a list", gitops.PublicOf(err))
	}
	return err
}

// checkDigest refuses a digest for several images: it names one. Of one app in several
// environments it may be, where each has the image in a repository of its own.
func (p *Policy) checkDigest(orders []gitops.Order, updates []gitops.Update) *gitops.Error {
	first := make(map[string]gitops.Update) // by environment
	for i, u := range updates {
		other, ok := first[u.Environment]
		_, known := p.apps[u.App]
		switch {
		case u.Digest == "", !known: // it is planned again once its image is known
		case !ok:
			first[u.Environment] = u
		case u.Repository == "" || u.Repository != other.Repository:
			return &gitops.Error{Code: gitops.Rejected, Field: orders[i].Field("digest"), Message: fmt.Sprintf(
				"is of one image, and %s has %s where %s has %s: order each app by itself, or leave the digest out",
				u.App, imageText(u), other.App, imageText(other))}
		}
	}
	return nil
}

func imageText(u gitops.Update) string {
	if u.Repository == "" {
		return "no configured repository"
	}
	return u.Repository
}

// Bounds of what is said of one order: it is kept with the delivery, and is read by
// people.
const (
	mostProblems = 10
	mostText     = 2_000 // bytes
)

// problems are what is wrong with an order, each once.
type problems struct {
	said    map[string]bool
	first   []*gitops.Error // up to mostProblems
	more    bool            // there are others
	unknown map[string]bool // fields whose names nobody knows
}

// add reports whether there is room for another one.
func (p *problems) add(err *gitops.Error) bool {
	switch {
	case p.said[err.Public()]:
	case len(p.first) == mostProblems:
		p.more = true
		return false
	default:
		p.said[err.Public()] = true
		p.first = append(p.first, err)
	}
	return true
}

// err is one error that says all of them, with the field of the first; nil when nothing
// is wrong.
func (p *problems) err() *gitops.Error {
	if len(p.first) == 0 {
		return nil
	}
	said := []string{p.first[0].Message}
	for _, err := range p.first[1:] {
		said = append(said, err.Public())
	}
	if p.more {
		said = append(said, "and more")
	}
	return &gitops.Error{Code: gitops.Rejected, Field: p.first[0].Field, Message: gitops.Clip(strings.Join(said, "; "), mostText)}
}
