package feedback

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// candidate is where the commit of an update's image may be found.
type candidate struct {
	ref    string // as GitHub is asked for it
	begins string // what the commit's name begins with
}

// takes reports whether a commit is what was looked for. A name that no commit begins with
// may be a branch's.
func (c candidate) takes(revision string) bool {
	return revision != "" && strings.HasPrefix(revision, c.begins)
}

var commitInTag = regexp.MustCompile(`(?:^|-)([0-9a-f]{7,40})$`)

// CommitInTag returns the commit's name at the end of a tag, as in main-1a2b3c4 and
// sha-1a2b3c4, or that is the tag; "" where the tag has none.
func CommitInTag(tag string) string {
	if found := commitInTag.FindStringSubmatch(tag); found != nil {
		return found[1]
	}
	return ""
}

// candidates are where the commit of an update is looked for, in this order: what the sender
// said, the commit whose name the tag ends in, and the tag of Git that is called like the
// image's, with or without v.
func candidates(u gitops.Update) (all []candidate) {
	if u.Revision != "" {
		all = append(all, candidate{ref: u.Revision, begins: u.Revision})
	}
	if commit := CommitInTag(u.Tag); commit != "" {
		all = append(all, candidate{ref: commit, begins: commit})
	}
	all = append(all, candidate{ref: "tags/" + u.Tag})
	if u.Tag[0] >= '0' && u.Tag[0] <= '9' {
		all = append(all, candidate{ref: "tags/v" + u.Tag})
	}
	return all
}
