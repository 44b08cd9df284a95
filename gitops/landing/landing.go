// Package landing says which updates the commits on a branch carry, and which of that
// counts for an update that is about to be written. It is pure.
package landing

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Landing is an update that a commit on the branch carries.
type Landing struct {
	gitops.UpdateTrailer
	Commit git.Hash
	Made   time.Time // of the commit, by its committer's clock
	Claim  *Claim    // nil for a commit that a tallyman made, as its proof or its push shows

	// Others are further commits that claim the update: the first need not be the one
	// that is true.
	Others []Landing
}

// maxOthers bounds how many claims of one update are looked at.
const maxOthers = 7

// Claim is a commit that carries updates and has no proof: a person wrote it, or
// rebased, picked, squashed or amended one that had. It is true of an update only when
// it does what the update asks.
type Claim struct {
	Tree, Parent git.Hash // the parent is zero where there is none
	Updates      []string // all that it carries
}

// Verifier tells proved commits from others.
type Verifier interface {
	Verify(c git.Commit) (key string, ok bool)
}

// Of lists the updates that commits carry, oldest first.
func Of(commits git.Commits, verifier Verifier) []Landing {
	var found []Landing
	for name, c := range commits {
		updates := gitops.ParseTrailers(c.Message)
		if len(updates) == 0 {
			continue
		}
		var only *Claim
		if _, proved := verifier.Verify(c); !proved {
			only = claimOf(c, updates)
		}
		for _, u := range updates {
			found = append(found, Landing{UpdateTrailer: u, Commit: name, Made: c.Made, Claim: only})
		}
	}
	// Two commits may carry one update when people copy commits about: the same
	// one is found every time.
	slices.SortStableFunc(found, func(a, b Landing) int {
		return cmp.Or(a.Made.Compare(b.Made), bytes.Compare(a.Commit[:], b.Commit[:]))
	})
	return found
}

func claimOf(c git.Commit, updates []gitops.UpdateTrailer) *Claim {
	only := &Claim{Tree: c.Tree}
	if len(c.Parents) > 0 {
		only.Parent = c.Parents[0]
	}
	for _, u := range updates {
		if !slices.Contains(only.Updates, u.Update) {
			only.Updates = append(only.Updates, u.Update)
		}
	}
	return only
}

// ByUpdate puts together what commits say of each update.
func ByUpdate(found []Landing) map[string]Landing {
	byUpdate := make(map[string]Landing, len(found))
	for _, l := range found {
		if before, ok := byUpdate[l.Update]; ok {
			l = before.with(l)
		}
		byUpdate[l.Update] = l
	}
	return byUpdate
}

// with is what is known of an update once another commit that carries it was found: what
// is proved counts, whoever else claims the update, and of two proved commits the first.
func (l Landing) with(other Landing) Landing {
	switch {
	case l.Claim == nil || l.Commit == other.Commit:
		return l
	case other.Claim == nil:
		return other
	case len(l.Others) == maxOthers || slices.ContainsFunc(l.Others, func(o Landing) bool { return o.Commit == other.Commit }):
		return l
	}
	l.Others = append(slices.Clip(l.Others), other)
	return l
}
