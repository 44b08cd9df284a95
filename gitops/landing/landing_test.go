package landing

import (
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// provedTrees stands for a prover: commits with these trees are proved.
type provedTrees map[git.Hash]bool

func (p provedTrees) Verify(c git.Commit) (string, bool) { return "key", p[c.Tree] }

var (
	began  = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	update = gitops.Update{ID: "u", Environment: "dev", App: "shop", AcceptedAt: began, Sequence: 1}
)

func hash(n int) git.Hash { return git.Hash{byte(n)} }

// carrying is a commit that carries updates, with n for its tree.
func carrying(n int, updates ...gitops.Update) git.Commit {
	c := git.Commit{Tree: hash(n), Parents: []git.Hash{hash(100 + n)}, Made: began.Add(time.Duration(n) * time.Minute)}
	for _, u := range updates {
		c.Message = append(c.Message, u.Trailers()...)
	}
	return c
}

func TestACommitWithoutAProofIsAClaim(t *testing.T) {
	other := update
	other.ID = "v"
	found := Of(git.Commits{hash(1): carrying(1, update), hash(2): carrying(2, update, other, update), hash(3): carrying(3)}, provedTrees{hash(1): true})
	if len(found) != 4 || found[0].Claim != nil || found[0].Commit != hash(1) {
		t.Fatalf("%+v", found)
	}
	c := found[1].Claim
	if c == nil || c.Tree != hash(2) || c.Parent != hash(102) || !slices.Equal(c.Updates, []string{"u", "v"}) {
		t.Errorf("%+v", c)
	}
}

// Claims come before and after the commit that is proved, are found by a search or with
// the branch: what is proved counts.
func TestWhatIsProvedCounts(t *testing.T) {
	for _, proved := range []int{1, 2, 3} {
		commits := git.Commits{hash(1): carrying(1, update), hash(2): carrying(2, update), hash(3): carrying(3, update)}
		all := Of(commits, provedTrees{hash(proved): true})
		for split := range len(all) + 1 {
			known := NewKnown(10, began)
			known.Add(slices.Clone(all[:split])...)
			h := known.History(ByUpdate(all[split:]), slices.Values([]gitops.Update{update}))
			if l, ok := h.Landing("u"); !ok || l.Commit != hash(proved) || len(h.Claims("u")) > 0 {
				t.Errorf("%d is proved, %d are known: landed as %v, %t", proved, split, l.Commit, ok)
			}
		}
	}
}

func TestAClaimCountsWhenItIsConfirmed(t *testing.T) {
	known := NewKnown(10, began)
	known.Add(Of(git.Commits{hash(1): carrying(1, update), hash(2): carrying(2, update)}, provedTrees{})...)
	h := known.History(nil, slices.Values([]gitops.Update{update}))
	if _, ok := h.Landing("u"); ok {
		t.Error("a claim lands its update")
	}
	claims := h.Claims("u")
	if len(claims) != 2 || claims[0].Commit != hash(1) || claims[1].Commit != hash(2) {
		t.Fatalf("%+v", claims)
	}
	h.Confirm(claims[1])
	if l, ok := h.Landing("u"); !ok || l.Commit != hash(2) {
		t.Errorf("landed as %v, %t", l.Commit, ok)
	}
}

// Whoever commits an update's trailers a thousand times is not asked about each.
func TestClaimsAreBounded(t *testing.T) {
	known := NewKnown(10, began)
	for n := range 100 {
		known.Add(Of(git.Commits{hash(n): carrying(n, update)}, provedTrees{})...)
	}
	if claims := known.History(nil, slices.Values([]gitops.Update{update})).Claims("u"); len(claims) != 1+maxOthers {
		t.Errorf("%d claims", len(claims))
	}
}

// Of releases only those of proved commits are known.
func TestAClaimIsNoRelease(t *testing.T) {
	later := update
	later.ID, later.Sequence, later.AcceptedAt = "later", 9, began.Add(time.Hour)
	for _, proved := range []bool{true, false} {
		known := NewKnown(10, began)
		known.Add(Of(git.Commits{hash(1): carrying(1, later)}, provedTrees{hash(1): proved})...)
		if _, newer := known.History(nil, slices.Values([]gitops.Update{update})).Newer(update); newer != proved {
			t.Errorf("proved %t: a newer release %t", proved, newer)
		}
	}
}
