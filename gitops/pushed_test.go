package gitops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What only goes up is late when an order came after it, or a push of the same or a
// higher version.
func TestAPushIsLateBehindOrdersAndItsOwnVersion(t *testing.T) {
	minuteAgo, hourAgo, ahead := before(time.Minute), before(time.Hour), noon.Add(time.Hour)
	push := func(tag string, event time.Time) gitops.EventMoment {
		return gitops.EventMoment{Event: event, Receipt: noon, OnlyUp: true, Version: gitops.VersionKey(tag)}
	}
	fetched := push("2.0.0", before(2*time.Minute))
	fetched.Recovered = true
	pushed := func(tag string, event time.Time) gitops.Head {
		return gitops.Head{NewestEvent: minuteAgo, PushedVersion: gitops.VersionKey(tag), PushedEvent: event}
	}
	for _, c := range []struct {
		name   string
		head   gitops.Head
		moment gitops.EventMoment
		want   time.Time // the newest, when it is late
	}{
		{"a higher version than was pushed later", pushed("1.9.5", minuteAgo), push("2.0.0", hourAgo), time.Time{}},
		{"the same version as was pushed later", pushed("v2.0.0", minuteAgo), push("2.0.0", hourAgo), minuteAgo},
		{"the same version as was pushed before", pushed("v2.0.0", hourAgo), push("2.0.0", minuteAgo), time.Time{}},
		{"a lower version than was pushed later", pushed("2.0.0", minuteAgo), push("1.9.5", hourAgo), minuteAgo},
		{"a push that was dated ahead", pushed("2.0.0", ahead), push("2.0.0", hourAgo), time.Time{}},
		{"what is no version", pushed("2.0.0", minuteAgo), push("main", hourAgo), minuteAgo},
		{"a version after what is none", pushed("main", minuteAgo), push("2.0.0", hourAgo), minuteAgo},
		{"no push and no order before", gitops.Head{NewestEvent: minuteAgo, NewestReceipt: minuteAgo}, push("2.0.0", hourAgo), time.Time{}},

		{"an order's event after it", gitops.Head{OrderEvent: minuteAgo}, push("2.0.0", hourAgo), minuteAgo},
		{"an order's event before it", gitops.Head{OrderEvent: hourAgo}, push("2.0.0", minuteAgo), time.Time{}},
		{"an order's event that was dated ahead", gitops.Head{OrderEvent: ahead}, push("2.0.0", hourAgo), time.Time{}},
		{"an order that was received a minute after it", gitops.Head{OrderReceipt: minuteAgo}, push("2.0.0", before(2*time.Minute)), time.Time{}},
		{"an order that was received more than a minute after it", gitops.Head{OrderReceipt: minuteAgo}, push("2.0.0", before(2*time.Minute+time.Second)), minuteAgo},
		{"an order that was received a minute after what was fetched", gitops.Head{OrderReceipt: minuteAgo}, fetched, minuteAgo},
		{"an order that was received before it", gitops.Head{OrderReceipt: hourAgo}, push("2.0.0", minuteAgo), time.Time{}},
		{"an order that was received by a clock that was ahead", gitops.Head{OrderReceipt: ahead}, push("2.0.0", hourAgo), time.Time{}},
		{"the newest counts", gitops.Head{OrderEvent: before(time.Second), OrderReceipt: minuteAgo}, push("2.0.0", hourAgo), before(time.Second)},
	} {
		newest, late := c.head.Late(c.moment)
		if late != !c.want.IsZero() || !newest.Equal(c.want) {
			t.Errorf("%s: %v, late is %t; want %v", c.name, newest, late, c.want)
		}
	}
}

// Orders are remembered apart from pushes, and of pushes the newest event of the version
// that was accepted last.
func TestHeadKeepsOrdersApartFromPushes(t *testing.T) {
	minuteAgo, hourAgo := before(time.Minute), before(time.Hour)
	push := func(version string, event time.Time) gitops.EventMoment {
		return gitops.EventMoment{Event: event, Receipt: noon, OnlyUp: true, Version: version}
	}
	for _, c := range []struct {
		name    string
		moments []gitops.EventMoment
		want    gitops.Head
	}{
		{"an order", []gitops.EventMoment{{Event: hourAgo, Receipt: noon}}, gitops.Head{NewestEvent: hourAgo, OrderEvent: hourAgo}},
		{"an order without a time", []gitops.EventMoment{{Receipt: noon}}, gitops.Head{NewestReceipt: noon, OrderReceipt: noon}},
		{"a push", []gitops.EventMoment{push("2", hourAgo)}, gitops.Head{NewestEvent: hourAgo, PushedVersion: "2", PushedEvent: hourAgo}},
		{"a push without a time", []gitops.EventMoment{push("2", time.Time{})}, gitops.Head{NewestReceipt: noon, PushedVersion: "2"}},
		{"a newer push of the version", []gitops.EventMoment{push("2", hourAgo), push("2", minuteAgo)}, gitops.Head{NewestEvent: minuteAgo, PushedVersion: "2", PushedEvent: minuteAgo}},
		{"an older push of another version", []gitops.EventMoment{push("2", minuteAgo), push("3", hourAgo)}, gitops.Head{NewestEvent: minuteAgo, PushedVersion: "3", PushedEvent: hourAgo}},
		{"an order after a push", []gitops.EventMoment{push("2", hourAgo), {Event: minuteAgo, Receipt: noon}},
			gitops.Head{NewestEvent: minuteAgo, OrderEvent: minuteAgo, PushedVersion: "2", PushedEvent: hourAgo}},
		{"a push after an order", []gitops.EventMoment{{Event: hourAgo, Receipt: noon}, push("2", minuteAgo)},
			gitops.Head{NewestEvent: minuteAgo, OrderEvent: hourAgo, PushedVersion: "2", PushedEvent: minuteAgo}},
	} {
		var head gitops.Head
		for _, m := range c.moments {
			head = head.Accept(m)
		}
		if diff := cmp.Diff(c.want, head, cmpopts.IgnoreFields(gitops.Head{}, "AcceptedVersion")); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}
