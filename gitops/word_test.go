package gitops_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What automation asks for because of something that happened before a person's last order
// is late. What the person orders never is.
func TestLateBehindAPerson(t *testing.T) {
	hourAgo, ahead := before(time.Hour), noon.Add(time.Hour)
	sent := func(event time.Time) gitops.EventMoment {
		return gitops.EventMoment{Event: event, Receipt: noon, Accepted: noon}
	}
	with := func(m gitops.EventMoment, change func(*gitops.EventMoment)) gitops.EventMoment {
		change(&m)
		return m
	}
	push := with(sent(before(2*time.Hour)), func(m *gitops.EventMoment) { m.OnlyUp, m.Version = true, gitops.VersionKey("2.0.0") })
	for _, c := range []struct {
		name   string
		head   gitops.Head
		moment gitops.EventMoment
		want   time.Time // the newest, when it is late
	}{
		{"an event from before", gitops.Head{Word: hourAgo}, sent(before(2 * time.Hour)), hourAgo},
		{"a push from before", gitops.Head{Word: hourAgo}, push, hourAgo},
		{"what was fetched from before", gitops.Head{Word: hourAgo}, with(sent(before(2*time.Hour)), func(m *gitops.EventMoment) { m.Recovered = true }), hourAgo},
		{"a minute before: two clocks tell of them", gitops.Head{Word: hourAgo}, sent(hourAgo.Add(-time.Minute)), time.Time{}},
		{"more than a minute before", gitops.Head{Word: hourAgo}, sent(hourAgo.Add(-time.Minute - time.Second)), hourAgo},
		{"after it", gitops.Head{Word: hourAgo}, sent(before(time.Minute)), time.Time{}},
		{"a newer event counts", gitops.Head{Word: hourAgo, NewestEvent: before(time.Minute)}, sent(before(2 * time.Hour)), before(time.Minute)},
		{"without a time", gitops.Head{Word: hourAgo}, sent(time.Time{}), time.Time{}},
		{"of a person", gitops.Head{Word: hourAgo}, with(sent(before(2*time.Hour)), func(m *gitops.EventMoment) { m.Person = true }), time.Time{}},
		{"no person ever ordered", gitops.Head{}, sent(before(2 * time.Hour)), time.Time{}},
		{"an order by a clock that was ahead", gitops.Head{Word: ahead}, sent(before(2 * time.Hour)), time.Time{}},
		{"received by a clock that is behind", gitops.Head{Word: before(time.Second)}, with(sent(before(2*time.Hour)), func(m *gitops.EventMoment) { m.Receipt = hourAgo }), before(time.Second)},
	} {
		newest, late := c.head.Late(c.moment)
		if late != !c.want.IsZero() || !newest.Equal(c.want) {
			t.Errorf("%s: %v, late is %t; want %v", c.name, newest, late, c.want)
		}
	}
}

// The last word is of when a person's order was accepted, and of nothing else.
func TestHeadKeepsTheLastWord(t *testing.T) {
	hourAgo, ahead := before(time.Hour), noon.Add(time.Hour)
	order := gitops.Update{Principal: "token:ops", AcceptedAt: noon}
	for _, c := range []struct {
		name string
		word time.Time
		u    gitops.Update
		want time.Time
	}{
		{"the first", time.Time{}, order, noon},
		{"a later one", hourAgo, order, noon},
		{"after a clock that was ahead", ahead, order, noon},
		{"a dispatch", hourAgo, gitops.Update{Principal: "dispatch:1", AcceptedAt: noon}, hourAgo},
		{"a job", hourAgo, gitops.Update{Principal: "job:1@x", AcceptedAt: noon}, hourAgo},
		{"a push", hourAgo, gitops.Update{Principal: "push:sns/1", AcceptedAt: noon, OnlyUp: true}, hourAgo},
		{"nobody", hourAgo, gitops.Update{AcceptedAt: noon}, hourAgo},
	} {
		if got := (gitops.Head{Word: c.word}).Accept(c.u.Moment(before(time.Minute))).Word; !got.Equal(c.want) {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

// The reason says whether a release or a person's order came after it, and how what was not
// named is written all the same.
func TestLateBehindSaysWhat(t *testing.T) {
	event, newest := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	u := gitops.Update{App: "api", Environment: "prod", Tag: "v2", EventTime: event, Principal: "dispatch:1"}
	pushed, own := u, u
	pushed.OnlyUp, own.Principal = true, "token:ops"
	const release = "a release of api in prod from 2026-03-01T11:00:00Z was accepted before this one from 2026-03-01T10:00:00Z"
	const byName = ". To write v2 all the same, order it by name: tallyman update api v2 --env prod"
	const person = "a person ordered api in prod at 2026-03-01T11:00:00Z, after this release from 2026-03-01T10:00:00Z" + byName
	for _, c := range []struct {
		name string
		head gitops.Head
		u    gitops.Update
		want string
	}{
		{"a release", gitops.Head{Word: event}, u, release},
		{"a release, of a push", gitops.Head{}, pushed, release + byName},
		{"a person", gitops.Head{Word: newest}, u, person},
		{"a person, of a push", gitops.Head{Word: newest}, pushed, person},
		{"of a person's own", gitops.Head{Word: newest}, own, release},
	} {
		if got := c.head.LateBehind(c.u, newest); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

func TestHeldUntil(t *testing.T) {
	block := func(kind gitops.BlockKind, until time.Time) gitops.Block {
		return gitops.Block{Kind: kind, Until: until}
	}
	for _, c := range []struct {
		name   string
		blocks []gitops.Block
		want   time.Time
	}{
		{"never blocked", nil, time.Time{}},
		{"a freeze that ended", []gitops.Block{block(gitops.BlockFreeze, before(time.Hour))}, before(time.Hour)},
		{"the last of several", []gitops.Block{block(gitops.BlockPin, noon), block(gitops.BlockFreeze, before(time.Hour))}, noon},
		{"a freeze that lasts", []gitops.Block{block(gitops.BlockFreeze, noon.Add(time.Second))}, time.Time{}},
		{"one of several that lasts", []gitops.Block{block(gitops.BlockFreeze, before(time.Hour)), block(gitops.BlockStop, time.Time{})}, time.Time{}},
		{"a refusal that ended", []gitops.Block{block(gitops.BlockRefused, before(time.Hour))}, time.Time{}},
	} {
		if got := gitops.HeldUntil(c.blocks, noon); !got.Equal(c.want) {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

// What a person asks for is copied whole.
func TestTermsClone(t *testing.T) {
	if (*gitops.Terms)(nil).Clone() != nil || (gitops.Update{}).Passes() != nil {
		t.Error("no terms became some")
	}
	terms := &gitops.Terms{Reason: "why", Passes: []gitops.BlockKind{gitops.BlockPin}}
	c := terms.Clone()
	c.Passes[0], c.Reason = gitops.BlockStop, ""
	if u := (gitops.Update{Terms: terms}); terms.Reason != "why" || u.Passes()[0] != gitops.BlockPin {
		t.Errorf("the copy shares %+v", terms)
	}
}
