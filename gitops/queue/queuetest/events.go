package queuetest

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// accept brings the delivery in and returns it as the store answered.
func (s *script) accept(d gitops.Delivery) gitops.Delivery {
	s.t.Helper()
	highest := s.highest()
	got, duplicate, err := s.q.Accept(s.t.Context(), d)
	want, known, wantErr := s.model.Accept(s.t.Context(), d)
	s.same("Accept", got, err, want, wantErr)
	if duplicate != known {
		s.t.Fatalf("Accept(%s): duplicate is %t", d.Key(), duplicate)
	}
	for _, u := range got.Updates {
		if !duplicate && u.Sequence <= highest[u.Environment] {
			s.t.Fatalf("update %s has sequence %d; %s already had %d", u.ID, u.Sequence, u.Environment, highest[u.Environment])
		}
		highest[u.Environment] = u.Sequence
		if !duplicate {
			s.sequences[u.ID] = u.Sequence // another than before if it was forgotten meanwhile
		}
		s.numbered(u)
	}
	s.check()
	return got
}

// highest are the highest sequences that the store gave, by environment.
func (s *script) highest() map[string]int64 {
	highest := make(map[string]int64)
	for id, u := range s.model.updates {
		highest[u.Environment] = max(highest[u.Environment], s.sequences[id])
	}
	return highest
}

// claim claims the names and returns the leases that were free.
func (s *script) claim(holder string, ttl time.Duration, names ...string) []lent {
	s.t.Helper()
	got, err := s.q.Claim(s.t.Context(), holder, names, ttl)
	want, wantErr := s.model.Claim(s.t.Context(), holder, names, ttl)
	s.same("Claim", got, err, want, wantErr)
	var claimed []lent
	for i, l := range got {
		for _, earlier := range s.leases {
			if earlier.store.Name == l.Name && earlier.store.Token >= l.Token {
				s.t.Fatalf("Claim: token %d of %s after %d", l.Token, l.Name, earlier.store.Token)
			}
		}
		claimed = append(claimed, lent{l, want[i]})
	}
	s.leases = append(s.leases, claimed...)
	s.check()
	return claimed
}

// one claims one name for an hour, which must be free.
func (s *script) one(holder, name string) lent {
	s.t.Helper()
	claimed := s.claim(holder, time.Hour, name)
	if len(claimed) != 1 {
		s.t.Fatalf("%s could not claim %s", holder, name)
	}
	return claimed[0]
}

func (s *script) extend(ttl time.Duration, leases ...lent) {
	s.t.Helper()
	var store, model []queue.Lease
	for _, l := range leases {
		store, model = append(store, l.store), append(model, l.model)
	}
	got, err := s.q.Extend(s.t.Context(), store, ttl)
	want, wantErr := s.model.Extend(s.t.Context(), model, ttl)
	s.same("Extend", got, err, want, wantErr)
	for i, l := range got {
		if !containsToken(store, l) {
			s.t.Fatalf("Extend: lease %d, of %s, has token %d, which was not asked for", i, l.Name, l.Token)
		}
	}
	s.check()
}

func containsToken(leases []queue.Lease, l queue.Lease) bool {
	for _, asked := range leases {
		if asked.Name == l.Name && asked.Token == l.Token {
			return true
		}
	}
	return false
}

func (s *script) release(l lent, clean bool) {
	s.t.Helper()
	s.code("Release", s.q.Release(s.t.Context(), l.store, clean), "")
	s.code("Release of the model", s.model.Release(s.t.Context(), l.model, clean), "")
	s.check()
}

func (s *script) report(l lent, r queue.Report) {
	s.t.Helper()
	got, err := s.q.Report(s.t.Context(), l.store, r)
	want, wantErr := s.model.Report(s.t.Context(), l.model, r)
	s.same("Report", got, err, want, wantErr)
	s.check()
}

// transit reports transitions alone.
func (s *script) transit(l lent, all ...gitops.Transition) {
	s.t.Helper()
	s.report(l, queue.Report{Transitions: all})
}

// block reports what blocks an update, and nothing else.
func (s *script) block(l lent, id string, blocks ...gitops.Block) {
	s.t.Helper()
	s.report(l, queue.Report{Blocks: []queue.Blocked{{Update: id, BlockedBy: blocks}}})
}

func (s *script) decide(id string, a gitops.Action, reason string) {
	s.t.Helper()
	d := queue.Decision{
		Update: id, Action: a, Actor: "ann", Reason: reason,
		Principal: "token:ann", Credential: "token ann", Remote: "192.0.2.8", Rule: "access[1]", Config: "c0ffee",
	}
	for _, d.DryRun = range []bool{true, false} {
		got, err := s.q.Decide(s.t.Context(), d)
		want, wantErr := s.model.Decide(s.t.Context(), d)
		s.same(fmt.Sprintf("Decide %s, dry %t", a, d.DryRun), got, err, want, wantErr)
	}
	s.check()
}

func (s *script) prune(before time.Time, limit int) {
	s.t.Helper()
	got, err := s.q.Prune(s.t.Context(), before, limit)
	want, wantErr := s.model.Prune(s.t.Context(), before, limit)
	s.same("Prune", got, err, want, wantErr)
	s.check()
}

// use uses a credential within the next hour.
func (s *script) use(credential string, by gitops.DeliveryKey) {
	s.t.Helper()
	until := s.clock.Now().Add(time.Hour)
	got, want := s.q.UseOnce(s.t.Context(), credential, by, until), s.model.UseOnce(s.t.Context(), credential, by, until)
	s.same("UseOnce", nil, got, nil, want)
}

// mayBePushed are the ids of the open updates that the store marks.
func (s *script) mayBePushed(environment string) (ids []string) {
	s.t.Helper()
	for _, u := range s.model.open(environment) {
		got, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if got.MaybePushed {
			ids = append(ids, u.ID)
		}
	}
	return ids
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func committed(u gitops.Update) gitops.Transition {
	return gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: commit}
}

func confirmed(u gitops.Update) gitops.Transition {
	return gitops.Transition{Update: u.ID, Action: gitops.ActionConfirm, Reason: reported + "the file already has this tag"}
}

func failed(u gitops.Update) gitops.Transition {
	return gitops.Transition{Update: u.ID, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: reported + "no such file"}
}

// refused is a block that lifts by itself after a time.
func (s *script) refused(d time.Duration) gitops.Block {
	return gitops.Block{Kind: gitops.BlockRefused, Reason: reported + "the path is protected", Until: s.clock.Now().Add(d)}
}

// stale is a block that does not lift by itself.
var stale = gitops.Block{Kind: gitops.BlockStale, Reason: reported + "it waited for longer than 7 days"}
