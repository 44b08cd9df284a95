package gitops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
)

// noon is the now of these tests, with a fraction that EventBridge would not give.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 400_000_000, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

func TestLate(t *testing.T) {
	sent := func(event time.Time) gitops.EventMoment { return gitops.EventMoment{Event: event, Receipt: noon} }
	fetched := func(event time.Time) gitops.EventMoment {
		return gitops.EventMoment{Event: event, Receipt: noon, Recovered: true}
	}
	minuteAgo, ahead := before(time.Minute), noon.Add(time.Hour)
	for _, c := range []struct {
		name   string
		head   gitops.Head
		moment gitops.EventMoment
		want   time.Time // the newest, when it is late
	}{
		{"the first event", gitops.Head{}, sent(before(time.Hour)), time.Time{}},
		{"older than the newest", gitops.Head{NewestEvent: minuteAgo}, sent(before(time.Hour)), minuteAgo},
		{"newer than the newest", gitops.Head{NewestEvent: minuteAgo}, sent(before(time.Second)), time.Time{}},
		{"the same time", gitops.Head{NewestEvent: minuteAgo}, sent(minuteAgo), time.Time{}},
		{"the same second, without its fraction", gitops.Head{NewestEvent: minuteAgo}, sent(minuteAgo.Truncate(time.Second)), time.Time{}},
		{"the second before", gitops.Head{NewestEvent: minuteAgo}, sent(minuteAgo.Truncate(time.Second).Add(-time.Microsecond)), minuteAgo},
		{"the sender gives no time", gitops.Head{NewestEvent: minuteAgo}, sent(time.Time{}), time.Time{}},
		{"the sender's time is the receipt", gitops.Head{NewestEvent: before(-time.Hour)}, sent(noon), time.Time{}},
		{"the sender's time is after the receipt", gitops.Head{NewestEvent: minuteAgo}, sent(ahead), time.Time{}},

		// Receipts are ordered by sequence: they make late only what was fetched.
		{"older than a receipt", gitops.Head{NewestReceipt: minuteAgo}, sent(before(time.Hour)), time.Time{}},
		{"older than a receipt, and fetched", gitops.Head{NewestReceipt: minuteAgo}, fetched(before(time.Hour)), minuteAgo},
		{"newer than a receipt, and fetched", gitops.Head{NewestReceipt: minuteAgo}, fetched(before(time.Second)), time.Time{}},
		{"older than the newer of both, and fetched", gitops.Head{NewestEvent: before(time.Hour), NewestReceipt: minuteAgo}, fetched(before(2 * time.Minute)), minuteAgo},
		{"between a receipt and a newer event, and fetched", gitops.Head{NewestEvent: minuteAgo, NewestReceipt: before(time.Hour)}, fetched(before(2 * time.Minute)), minuteAgo},
		{"without a time, and fetched", gitops.Head{NewestReceipt: minuteAgo}, fetched(time.Time{}), time.Time{}},

		// What a clock that was ahead left behind says nothing.
		{"the newest event is after now", gitops.Head{NewestEvent: ahead}, sent(before(time.Hour)), time.Time{}},
		{"the newest receipt is after now", gitops.Head{NewestReceipt: ahead}, fetched(before(time.Hour)), time.Time{}},
		{"the newest receipt is after now, and the event's is not", gitops.Head{NewestEvent: minuteAgo, NewestReceipt: ahead}, fetched(before(time.Hour)), minuteAgo},
		{"the newest event is now", gitops.Head{NewestEvent: noon}, sent(minuteAgo), noon},
	} {
		newest, late := c.head.Late(c.moment)
		if late != !c.want.IsZero() || !newest.Equal(c.want) {
			t.Errorf("%s: %v, late is %t; want %v", c.name, newest, late, c.want)
		}
	}
}

func TestHeadAccepts(t *testing.T) {
	minuteAgo, hourAgo, ahead := before(time.Minute), before(time.Hour), noon.Add(time.Hour)
	for _, c := range []struct {
		name   string
		head   gitops.Head
		moment gitops.EventMoment
		want   gitops.Head
	}{
		{"a time", gitops.Head{}, gitops.EventMoment{Event: minuteAgo, Receipt: noon}, gitops.Head{NewestEvent: minuteAgo}},
		{"no time", gitops.Head{}, gitops.EventMoment{Receipt: noon}, gitops.Head{NewestReceipt: noon}},
		{"a time after the receipt", gitops.Head{}, gitops.EventMoment{Event: ahead, Receipt: noon}, gitops.Head{NewestReceipt: noon}},
		{"a newer time", gitops.Head{NewestEvent: hourAgo}, gitops.EventMoment{Event: minuteAgo, Receipt: noon}, gitops.Head{NewestEvent: minuteAgo}},
		{"a time of the same second", gitops.Head{NewestEvent: minuteAgo}, gitops.EventMoment{Event: minuteAgo.Truncate(time.Second), Receipt: noon}, gitops.Head{NewestEvent: minuteAgo}},
		{"a time when the newest is after now", gitops.Head{NewestEvent: ahead}, gitops.EventMoment{Event: minuteAgo, Receipt: noon}, gitops.Head{NewestEvent: minuteAgo}},
		{"no time when the newest receipt is after now", gitops.Head{NewestReceipt: ahead}, gitops.EventMoment{Receipt: noon}, gitops.Head{NewestReceipt: noon}},
		{"a time beside a receipt", gitops.Head{NewestReceipt: hourAgo}, gitops.EventMoment{Event: minuteAgo, Receipt: noon}, gitops.Head{NewestEvent: minuteAgo, NewestReceipt: hourAgo}},
		{"what was fetched", gitops.Head{}, gitops.EventMoment{Event: minuteAgo, Receipt: noon, Recovered: true}, gitops.Head{NewestEvent: minuteAgo}},
	} {
		if diff := cmp.Diff(c.want, c.head.Accept(c.moment), cmpopts.IgnoreFields(gitops.Head{}, "OrderEvent", "OrderReceipt")); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// The highest version stays, whatever is accepted after it and whether it is written.
func TestHeadKeepsTheHighestVersion(t *testing.T) {
	var h gitops.Head
	for _, c := range []struct {
		tag, want  string
		superseded bool
	}{
		{"main-1a2b3c4", "", false}, {"1.9.0", "1.9.0", false}, {"v1.10.0", "1.10.0", true}, {"1.9.1", "1.10.0", false}, {"1.2.0", "1.10.0", true}, {"latest", "1.10.0", false},
	} {
		m := gitops.EventMoment{Receipt: noon, Version: gitops.VersionKey(c.tag)}
		before := h
		if h = h.Accept(m); c.superseded {
			h = before.AcceptSuperseded(m)
		}
		if h.AcceptedVersion != gitops.VersionKey(c.want) || c.superseded && h.NewestReceipt != before.NewestReceipt {
			t.Errorf("after %s the head is %+v; want the version of %s", c.tag, h, c.want)
		}
	}
}

func TestHeadWrites(t *testing.T) {
	second := gitops.Update{ID: "u2", Sequence: 2, Tag: "v2"}
	head := gitops.Head{Environment: "dev", App: "api", NewestEvent: noon}.Write(second)
	want := gitops.Head{Environment: "dev", App: "api", NewestEvent: noon, Written: 2, WrittenID: "u2", WrittenTag: "v2"}
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, head.Write(gitops.Update{ID: "u1", Sequence: 1, Tag: "v1"})); diff != "" {
		t.Errorf("an older one that turns up on the branch took the newest one's place: -want +got:\n%s", diff)
	}
	if got := head.Write(gitops.Update{ID: "u3", Sequence: 3, Tag: "v3"}); got.Written != 3 || got.WrittenID != "u3" || got.WrittenTag != "v3" {
		t.Errorf("after a newer one was written the head is %+v", got)
	}
}

// Only what was not superseded before is news for a head.
func TestRaises(t *testing.T) {
	for _, from := range gitops.States() {
		for _, to := range gitops.States() {
			want := (to == gitops.Committed || to == gitops.Unchanged) && from != gitops.Superseded
			if got := gitops.Raises(from, to); got != want {
				t.Errorf("from %s to %s: %t", from, to, got)
			}
		}
	}
}

// An update is older than a commit when it was accepted before it, or its event happened
// before it by more than clocks differ. A person's retry is a new word.
func TestAskedBefore(t *testing.T) {
	commit := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return commit.Add(time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		u    gitops.Update
		want bool
	}{
		"accepted before":                       {gitops.Update{AcceptedAt: at(-1)}, true},
		"at once":                               {gitops.Update{AcceptedAt: commit}, false},
		"after":                                 {gitops.Update{AcceptedAt: at(1)}, false},
		"after, and happened long before":       {gitops.Update{AcceptedAt: at(1), EventTime: at(-60)}, true},
		"after, and happened just before":       {gitops.Update{AcceptedAt: at(1), EventTime: at(-1)}, false},
		"before, and happened just before":      {gitops.Update{AcceptedAt: at(-1), EventTime: at(-1)}, true},
		"before, and retried after":             {gitops.Update{AcceptedAt: at(-1), RetriedAt: at(1)}, false},
		"before, and retried before":            {gitops.Update{AcceptedAt: at(-2), RetriedAt: at(-1)}, true},
		"happened long before, and tried again": {gitops.Update{AcceptedAt: at(1), EventTime: at(-60), RetriedAt: at(2)}, false},
	} {
		if got := c.u.AskedBefore(commit); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
