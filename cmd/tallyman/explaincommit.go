package main

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// commit shows what an update changed, and whether its commit is proved. One that a pull
// request was merged as need not be: whoever merged it made it.
func (p *printer) commit(u gitops.Update, c api.Commit, err error) {
	switch {
	case err != nil:
		p.line("  ", "The commit cannot be shown: %s", gitops.PublicOf(err))
		return
	case c.Proof == "" && u.Proposal != nil:
		p.line("  ", "The commit is what pull request %d was merged as; its author is %s", u.Proposal.Number, c.Author)
	case c.Proof == "":
		p.line("  ", "The commit has no proof that tallyman made it: %s claims the update", c.Author)
	default:
		p.line("  ", "The commit is tallyman's, proved by key %s", c.Proof)
	}
	for _, f := range c.Files {
		if f.Problem != "" {
			p.line("  ", "%s: %s", f.File, f.Problem)
			continue
		}
		p.line("  ", "%s", f.File)
		for _, line := range f.Diff {
			p.line("    ", "%s", line)
		}
	}
	if c.Now != nil {
		p.differs(*c.Now)
	}
}

// differs says which file of an app has which tag now, where they do not agree.
func (p *printer) differs(app api.App) {
	if len(app.Differs) > 0 {
		p.line("  ", "%s", p.paint("The app's files do not agree now: "+tagsByFile(app), "bad"))
	}
}
