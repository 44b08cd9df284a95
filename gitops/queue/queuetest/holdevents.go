package queuetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// place places holds, with an order or without.
func (s *script) place(p queue.Placement) queue.Placed {
	s.t.Helper()
	p.Credential, p.Remote, p.Config = "token ops", "192.0.2.9", "c0ffee"
	got, err := s.q.Place(s.t.Context(), p)
	want, wantErr := s.model.Place(s.t.Context(), p)
	s.same("Place", got, err, want, wantErr)
	if err == nil && got.Order != nil {
		for _, u := range got.Order.Updates {
			if !got.Duplicate {
				s.sequences[u.ID] = u.Sequence
			}
			s.numbered(u)
		}
	}
	s.revised(err == nil && !got.Duplicate && len(p.Holds) > 0)
	s.check()
	return got
}

// hold places one hold.
func (s *script) hold(h gitops.Hold) gitops.Hold {
	s.t.Helper()
	placed := s.place(queue.Placement{Holds: []gitops.Hold{h}})
	if len(placed.Holds) != 1 {
		s.t.Fatalf("placed was %+v", placed)
	}
	return placed.Holds[0]
}

// lift lifts holds, first without doing it.
func (s *script) lift(ids ...string) queue.Lifted {
	s.t.Helper()
	l := queue.Lifting{
		IDs: ids, Principal: "token:cy", Actor: "token:cy", Reason: "it is over", DryRun: true,
		Credential: "token cy", Remote: "192.0.2.8", Rule: "access[2]", Config: "c0ffee",
	}
	dry, err := s.q.Lift(s.t.Context(), l)
	want, wantErr := s.model.Lift(s.t.Context(), l)
	s.same("Lift, dry", dry, err, want, wantErr)
	s.revised(false)
	l.DryRun = false
	inForce := 0
	for _, h := range dry.Holds {
		if h.InForce(s.clock.Now()) {
			inForce++
		}
	}
	got, err := s.q.Lift(s.t.Context(), l)
	want, wantErr = s.model.Lift(s.t.Context(), l)
	s.same("Lift", got, err, want, wantErr)
	if err == nil && got.Ready != dry.Ready {
		s.t.Fatalf("Lift made %d updates ready, and said %d before", got.Ready, dry.Ready)
	}
	s.revised(inForce > 0)
	s.check()
	return got
}

func (s *script) rejudge(kind gitops.BlockKind, environments ...string) {
	s.t.Helper()
	s.code("Rejudge", s.q.Rejudge(s.t.Context(), kind, environments), "")
	s.code("Rejudge of the model", s.model.Rejudge(s.t.Context(), kind, environments), "")
	s.revised(false)
	s.check()
}

// revised fails unless the revision has risen since it was last asked for, or stayed.
func (s *script) revised(risen bool) {
	s.t.Helper()
	got, err := s.q.HoldsRevision(s.t.Context())
	s.code("HoldsRevision", err, "")
	if got < s.revision || (got > s.revision) != risen {
		s.t.Fatalf("the revision of the holds went from %d to %d", s.revision, got)
	}
	s.revision = got
}

// checkHolds asks for the holds in each way.
func (s *script) checkHolds() {
	s.t.Helper()
	got, err := s.q.HoldsInForce(s.t.Context())
	want, _ := s.model.HoldsInForce(s.t.Context())
	s.same("HoldsInForce", got, err, want, nil)
	if got.Revision != s.revision {
		s.t.Fatalf("HoldsInForce is of revision %d; want %d", got.Revision, s.revision)
	}
	s.listedHolds(queue.HoldFilter{Ended: true}, everything)
}

func (s *script) listedHolds(f queue.HoldFilter, limit int) []gitops.Hold {
	s.t.Helper()
	got := pages(s, limit, f != queue.HoldFilter{}, func(p queue.Page) ([]gitops.Hold, string, error) {
		return s.q.HoldsListed(s.t.Context(), f, p)
	})
	want, _, err := s.model.HoldsListed(s.t.Context(), f, queue.Page{Limit: everything})
	s.same(fmt.Sprintf("HoldsListed %+v by %d", f, limit), got, nil, want, err)
	return got
}

// held is a report that a hold keeps an update from being written.
func (s *script) held(l lent, kind gitops.HoldKind, updates ...gitops.Update) {
	s.t.Helper()
	var r queue.Report
	for _, u := range updates {
		r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{heldAs(kind)}})
	}
	s.report(l, r)
}

// heldAs is a block of a hold that does not lift by itself.
func heldAs(kind gitops.HoldKind) gitops.Block {
	return gitops.Block{Kind: gitops.BlockKind(kind), Reason: reported + string(kind)}
}

// person is who places the holds of these scripts.
func person(h gitops.Hold) gitops.Hold {
	h.Principal, h.Actor, h.Reason, h.Rule = "token:ops", "token:ops", "incident 4711", "access[3]"
	return h
}

func stopOf(environments ...string) gitops.Hold {
	return person(gitops.Hold{Kind: gitops.HoldStop, Environments: environments})
}

// pinOf is a pin of environment/app for an hour.
func (s *script) pinOf(target, tag string) gitops.Hold {
	environment, app, _ := strings.Cut(target, "/")
	return person(gitops.Hold{Kind: gitops.HoldPin, Environments: []string{environment}, Apps: []string{app}, Tag: tag, Until: s.clock.Now().Add(time.Hour)})
}

// freezeOf is a freeze of all apps of the environments for an hour.
func (s *script) freezeOf(environments ...string) gitops.Hold {
	return person(gitops.Hold{Kind: gitops.HoldFreeze, Environments: environments, Until: s.clock.Now().Add(time.Hour)})
}

func badOf(app, tag string, environments ...string) gitops.Hold {
	return person(gitops.Hold{Kind: gitops.HoldBad, Environments: environments, Apps: []string{app}, Tag: tag})
}
