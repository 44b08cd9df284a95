package queuetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// answer makes a call of a golden script and returns what the store answered.
func (g *golden) answer(c goldenCall) []string {
	g.t.Helper()
	name, a := parseArguments(c.call)
	call, ok := map[string]func(arguments) ([]string, error){
		"advance": g.advance, "reopen": g.reopen, "crash": g.crash,
		"accept": g.accept, "settle": g.settle, "waiting": g.waiting, "existing": g.existing,
		"claim": g.claim, "extend": g.extend, "release": g.release,
		"ready": g.ready, "take": g.take,
		"report":  func(a arguments) ([]string, error) { return g.report(a, c.input) },
		"rollout": func(a arguments) ([]string, error) { return g.rollout(a, c.input) }, "rolling": g.rolling,
		"place": g.place, "lift": g.lift, "rejudge": g.rejudge, "holds": g.holds,
		"see": g.see, "images": g.images, "accepted": g.accepted,
		"retry": g.decide(gitops.ActionRetry), "dismiss": g.decide(gitops.ActionDismiss), "cancel": g.decide(gitops.ActionCancel),
		"update": g.update, "delivery": g.delivery, "head": g.head, "backlogs": g.backlogs, "failures": g.failures, "overtaken": g.overtaken,
		"updates": g.updates, "deliveries": g.deliveries, "changes": g.changes,
		"checkpoint": g.checkpoint, "set-checkpoint": g.setCheckpoint, "use-once": g.useOnce, "prune": g.prune,
	}[name]
	if !ok {
		g.t.Fatalf("line %d: there is no call %q", c.line, name)
	}
	lines, err := call(a)
	switch {
	case err != nil:
		return failure(err)
	case len(lines) == 0:
		return []string{"nothing"}
	}
	return lines
}

func (g *golden) advance(a arguments) ([]string, error) {
	g.clock.Pass(g.duration(a.at(0), 0))
	return []string{"it is " + when(g.clock.Now())}, nil
}

func (g *golden) reopen(arguments) ([]string, error) {
	g.close()
	g.open()
	return []string{"ok"}, nil
}

func (g *golden) crash(arguments) ([]string, error) {
	if err := g.instance.Crash(g.q); err != nil {
		g.t.Fatalf("Crash: %v", err)
	}
	g.open()
	return []string{"ok"}, nil
}

// accept takes in a delivery, whose id is the tag of its updates unless another is said.
func (g *golden) accept(a arguments) ([]string, error) {
	d := g.sent(a)
	stored, duplicate, err := g.q.Accept(g.t.Context(), d)
	if err != nil {
		return nil, err
	}
	for _, u := range stored.Updates {
		g.name(u)
	}
	lines := g.lines(stored.Updates)
	if duplicate {
		lines = append([]string{"duplicate"}, lines...)
	}
	return lines, nil
}

// sent is the delivery that accept and settle name.
func (g *golden) sent(a arguments) gitops.Delivery {
	d := gitops.Delivery{
		Source: "github", ID: a.at(0), ReceivedAt: g.clock.Now(), EventTime: g.time(a.values["event"]), Actor: "octocat", Principal: a.values["principal"],
		Recovered: a.has("recovered"), Outcome: gitops.OutcomeAccepted, Body: []byte("{}"),
	}
	if source := a.values["source"]; source != "" {
		d.Source = source
	}
	if outcome := a.values["outcome"]; outcome != "" {
		d.Outcome, d.Reason = gitops.Outcome(outcome), "a reason"
	}
	if body := a.values["body"]; body != "" {
		d.BodyDigest = digest(body)
	}
	if d.Outcome == gitops.OutcomeWaiting {
		d.Event = []byte("an event")
	}
	if received := a.values["received"]; received != "" {
		d.ReceivedAt = g.time(received)
	}
	for _, word := range a.words[1:] {
		if environment, app, ok := strings.Cut(word, "/"); ok {
			d.Updates = append(d.Updates, gitops.Update{Environment: environment, App: app, Tag: cmp.Or(a.values["tag"], d.ID), Revision: a.values["revision"], OnlyUp: a.has("only-up")})
		}
	}
	tellImages(&d, a)
	return d
}

// name gives an update the name that scripts call it.
func (g *golden) name(u gitops.Update) {
	if _, known := g.names[u.ID]; !known {
		name := fmt.Sprintf("%s:%s/%s", u.Delivery.ID, u.Environment, u.App)
		if u.Delivery.Source != "github" {
			name = u.Delivery.Source + "/" + name
		}
		g.names[u.ID], g.names[name] = name, u.ID
	}
}

func (g *golden) existing(a arguments) ([]string, error) {
	ids, err := g.q.ExistingIDs(g.t.Context(), a.at(0), a.words[1:])
	return ids, err
}

func (g *golden) claim(a arguments) ([]string, error) {
	holder := a.at(0)
	leases, err := g.q.Claim(g.t.Context(), holder, a.words[1:], g.duration(a.values["ttl"], hour))
	for _, l := range leases {
		g.leases[holder+" "+l.Name] = l
	}
	return names(leases), err
}

// names are those of the leases, with their ends.
func names(leases []queue.Lease) (names []string) {
	for _, l := range leases {
		names = append(names, fmt.Sprintf("%s until %s", l.Name, when(l.ExpiresAt)))
	}
	return names
}

// lease is the last that a holder was given of a name, or one that never was.
func (g *golden) lease(holder, name string) queue.Lease {
	if l, ok := g.leases[holder+" "+name]; ok {
		return l
	}
	return queue.Lease{Name: name, Holder: holder, Token: 1}
}

func (g *golden) extend(a arguments) ([]string, error) {
	var leases []queue.Lease
	for _, name := range a.words[1:] {
		leases = append(leases, g.lease(a.at(0), name))
	}
	kept, err := g.q.Extend(g.t.Context(), leases, g.duration(a.values["ttl"], hour))
	for _, l := range kept {
		g.leases[l.Holder+" "+l.Name] = l
	}
	return names(kept), err
}

func (g *golden) release(a arguments) ([]string, error) {
	return []string{"ok"}, g.q.Release(g.t.Context(), g.lease(a.at(0), a.at(1)), !a.has("unclean"))
}

func (g *golden) ready(a arguments) ([]string, error) {
	return g.q.Ready(g.t.Context(), a.words)
}

func (g *golden) take(a arguments) ([]string, error) {
	o := queue.TakeOptions{Limit: g.number(a.values["limit"]), NewestOnly: a.has("newest"), NewestHeld: a.has("newest-held")}
	if except := a.values["except"]; except != "" {
		o.Except = strings.Split(except, ",")
	}
	if unresolved := a.values["unresolved"]; unresolved != "" {
		for _, name := range strings.Split(unresolved, ",") {
			o.Unresolved = append(o.Unresolved, g.id(name))
		}
	}
	found, err := g.q.Take(g.t.Context(), g.lease(a.at(0), a.at(1)), o)
	return g.lines(found), err
}

// number reads a limit; without one there is none.
func (g *golden) number(text string) int {
	if text == "" {
		return everything
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

func (g *golden) report(a arguments, input []string) ([]string, error) {
	var r queue.Report
	for _, line := range input {
		what, reason, _ := strings.Cut(line, ": ")
		words := strings.Fields(what)
		switch words[0] {
		case "block":
			g.addBlock(&r, words, reason)
		case "proposal":
			r.Proposals = append(r.Proposals, g.proposal(words, reason))
		case "outage":
			r.Outage = &queue.Outage{Code: gitops.Code(words[1]), Reason: reason, RetryAt: g.time(words[2])}
		default:
			t := gitops.Transition{Action: gitops.Action(words[0]), Update: g.id(words[1]), Reason: reason, Found: g.foundIn(words[2:])}
			switch t.Action {
			case gitops.ActionCommit:
				t.Commit = commit
			case gitops.ActionFail:
				t.Code = gitops.NotFound
			case gitops.ActionCancel:
				t.Actor = "ann"
			}
			r.Transitions = append(r.Transitions, t)
		}
	}
	superseded, err := g.q.Report(g.t.Context(), g.lease(a.at(0), a.at(1)), r)
	return append([]string{"ok"}, g.lines(superseded)...), err
}

// addBlock reads "block UPDATE", which blocks it by nothing, or "block UPDATE KIND
// UNTIL"; without UNTIL the block does not lift by itself. Several lines in a row
// about one update are its several blocks.
func (g *golden) addBlock(r *queue.Report, words []string, reason string) {
	id := g.id(words[1])
	if len(r.Blocks) == 0 || r.Blocks[len(r.Blocks)-1].Update != id {
		r.Blocks = append(r.Blocks, queue.Blocked{Update: id})
	}
	if len(words) > 2 {
		b := gitops.Block{Kind: gitops.BlockKind(words[2]), Reason: reason}
		if len(words) > 3 {
			b.Until = g.time(words[3])
		}
		last := &r.Blocks[len(r.Blocks)-1]
		last.BlockedBy = append(last.BlockedBy, b)
	}
}

func (g *golden) decide(action gitops.Action) func(arguments) ([]string, error) {
	return func(a arguments) ([]string, error) {
		d := queue.Decision{Update: g.id(a.at(0)), Action: action, Actor: a.at(1), Reason: strings.Join(a.words[min(2, len(a.words)):], " ")}
		u, err := g.q.Decide(g.t.Context(), d)
		if err != nil {
			return nil, err
		}
		return append(g.lines([]gitops.Update{u}), steps(slices.Clone(u.Steps))...), nil
	}
}
