package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// What receivers are told is counted under the right name, and is there from the start. What
// a notifier that was removed still says makes no series.
func TestNotificationsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newNotifyMetrics(registry)
	series := func() map[string]float64 { return gather(t, &Server{metrics: &metrics{registry: registry}}) }
	of := func(sent, failed, refused, old, behind float64) map[string]float64 {
		return map[string]float64{
			`tallyman_notifications_total{notifier="ops",result="sent"}`: sent, `tallyman_notifications_total{notifier="ops",result="failed"}`: failed,
			`tallyman_notifications_total{notifier="ops",result="refused"}`: refused, `tallyman_notifications_total{notifier="ops",result="too_old"}`: old,
			`tallyman_notify_behind_seconds{notifier="ops"}`: behind,
		}
	}
	m.know(config.Config{Notify: []config.Notifier{{Name: "ops"}}})
	if diff := cmp.Diff(of(0, 0, 0, 0, 0), series()); diff != "" {
		t.Error(diff)
	}
	for i, result := range []notify.Result{notify.Sent, notify.Failed, notify.Refused, notify.TooOld} {
		for range i + 1 {
			m.Count("ops", result)
		}
	}
	m.Count("gone", notify.Sent)
	m.Behind("gone", time.Now())
	m.Behind("ops", time.Now().Add(-time.Hour))
	now := series()
	if behind := now[`tallyman_notify_behind_seconds{notifier="ops"}`]; behind < 3600 || behind > 3660 {
		t.Errorf("it is %v s behind", behind)
	}
	now[`tallyman_notify_behind_seconds{notifier="ops"}`] = 0
	if diff := cmp.Diff(of(1, 2, 3, 4, 0), now); diff != "" {
		t.Error(diff)
	}
	m.Behind("ops", time.Time{})
	m.know(config.Config{Notify: []config.Notifier{{Name: "ops"}, {Name: "other"}}})
	if now := series(); now[`tallyman_notifications_total{notifier="ops",result="failed"}`] != 2 || len(now) != 10 {
		t.Errorf("%v", now)
	}
	m.know(config.Config{})
	m.Count("ops", notify.Sent)
	if now := series(); len(now) != 0 {
		t.Errorf("%v", now)
	}
}
