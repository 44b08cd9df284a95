package queuetest

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// people place holds, alone or with an order, and lift them.
func (r *player) people() {
	switch r.IntN(8) {
	case 0, 1:
		var ids []string
		for _, h := range r.model.holds {
			if r.IntN(3) == 0 {
				ids = append(ids, h.ID)
			}
		}
		if r.IntN(10) == 0 {
			ids = append(ids, r.one("missing", "h0", "h9999"))
		}
		r.lift(ids...)
	case 2:
		r.rejudge(oneOf(r, gitops.BlockKinds()...), []string{"dev", "Prod"}[:r.IntN(3)]...)
	default:
		p := queue.Placement{Key: r.one("", "key-1", "key-2")}
		for range r.IntN(3) {
			p.Holds = append(p.Holds, r.someHold())
		}
		if r.IntN(2) == 0 {
			p.Order, p.Written = r.someOrder()
			p.Entries = []gitops.AuditEntry{{Act: gitops.ActRollback, Environment: "dev", App: "app-0"}}
		}
		placed := r.place(p)
		if placed.Order != nil {
			for _, u := range placed.Order.Updates {
				r.ids = append(r.ids, u.ID)
			}
		}
	}
}

// someOrder is a person's, new or sent before, and now and then what was written last.
func (r *player) someOrder() (order *gitops.Delivery, written string) {
	d := r.order(r.targets()...)
	d.Source, d.Principal = "api", r.one("token:ops", "token:ann")
	if r.IntN(3) == 0 {
		d.BodyDigest = digest(r.one("a", "b", "c"))
	}
	if r.IntN(4) == 0 && len(r.sent) > 0 {
		d = r.sent[r.IntN(len(r.sent))]
	}
	r.terms(d.Updates)
	r.sent = append(r.sent, d)
	if len(d.Updates) == 1 && r.IntN(2) == 0 {
		written = r.model.head(d.Updates[0].Environment, d.Updates[0].App).WrittenID
		if r.IntN(4) == 0 {
			written = "missing"
		}
	}
	return &d, written
}

// someHold is of any kind, for a few seconds where it has an end, and now and then one
// that cannot be.
func (r *player) someHold() gitops.Hold {
	h := person(gitops.Hold{Kind: oneOf(r, gitops.HoldKinds()...)})
	switch h.Kind {
	case gitops.HoldPin:
		h = r.pinOf(r.environment()+"/"+r.one("app-0", "App-1"), r.one("v1", "1.2.0"))
		h.Until = r.clock.Now().Add(r.seconds(30))
	case gitops.HoldBad:
		h = badOf(r.one("app-0", "App-1"), r.one("1.2.0", "2.0.0"), []string{"dev", "Prod"}[:r.IntN(3)]...)
	case gitops.HoldFreeze:
		h.Until = r.clock.Now().Add(r.seconds(30))
		h.Apps = []string{"app-0", "app-2"}[:r.IntN(3)]
	}
	if h.Kind == gitops.HoldStop || h.Kind == gitops.HoldFreeze {
		h.Environments = []string{"staging", "Prod"}[:r.IntN(3)]
	}
	h.Principal = r.one("token:ops", "dispatch:1")
	if r.IntN(20) == 0 {
		h.Actor = ""
	}
	return h
}

// terms gives updates what a person's order may ask for.
func (r *player) terms(updates []gitops.Update) {
	for i := range updates {
		if r.IntN(4) == 0 {
			updates[i].Terms = &gitops.Terms{
				Reason: r.one("", "a reason"), Passes: gitops.BlockKinds()[3 : 3+r.IntN(5)], RollsBack: r.one("", "v1"), PinUntil: r.clock.Now().Add(r.seconds(30)),
			}
		}
	}
}

// kinds are of blocks that one update may have: all of holds or none, and that of an image
// is the first.
func (r *player) kinds() []gitops.BlockKind {
	others := [][]gitops.BlockKind{nil, {gitops.BlockStale}, {gitops.BlockRefused, gitops.BlockStale}, {gitops.BlockImage}, {gitops.BlockImage, gitops.BlockRefused}}
	if r.IntN(2) == 0 {
		return oneOf(r, others...)
	}
	all := gitops.HoldKinds()
	first := r.IntN(len(all))
	var kinds []gitops.BlockKind
	for _, kind := range all[first : first+1+r.IntN(len(all)-first)] {
		kinds = append(kinds, gitops.BlockKind(kind))
	}
	return kinds
}
