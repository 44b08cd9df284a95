package rollout

import "strings"

// revisionsOf picks the revisions of those sources that read the update's file. An Application
// with one source has one revision, and one with several a list in the order of its sources.
// It returns nil if one of them has no revision: the sources changed after the comparison.
func (j *judgement) revisionsOf(one string, many []string) (picked []string) {
	if len(many) == 0 {
		if one == "" {
			return nil
		}
		many = []string{one}
	}
	for _, i := range j.Sources {
		if i < 0 || i >= len(many) || many[i] == "" {
			return nil
		}
		picked = append(picked, many[i])
	}
	return picked
}

// contained returns the containment of all revisions together: the first without the update
// decides. Revisions whose containment is not known become wants.
func (j *judgement) contained(revisions []string) (has Containment, revision string, known bool) {
	if len(revisions) == 0 {
		return NotARevision, "", true
	}
	has, revision, known = Contained, revisions[0], true
	for _, r := range revisions {
		c, ok := j.containment(r)
		switch {
		case !ok:
			j.wants.Containing = append(j.wants.Containing, r)
			if known && has == Contained {
				revision, known = r, false
			}
		case c != Contained && has == Contained:
			has, revision = c, r
		}
	}
	return has, revision, known || has != Contained
}

func (j *judgement) containment(revision string) (c Containment, known bool) {
	switch {
	case j.Commit != "" && revision == j.Commit:
		return Contained, true
	case !isCommit(revision):
		return NotARevision, true
	}
	c, known = j.Containing[revision]
	return c, known
}

// isCommit reports whether a revision is a commit's whole name. Argo CD gives the name of the
// branch where it could not read git.
func isCommit(revision string) bool {
	return (len(revision) == 40 || len(revision) == 64) && strings.Trim(revision, "0123456789abcdef") == ""
}

// short abbreviates a commit.
func short(revision string) string {
	if isCommit(revision) {
		return revision[:7]
	}
	return revision
}
