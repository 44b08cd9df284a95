package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/feedback"
)

// What is told to GitHub is counted under the right name, and is there from the start.
func TestFeedbackIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newFeedbackMetrics(registry)
	series := func() map[string]float64 { return gather(t, &Server{metrics: &metrics{registry: registry}}) }
	const oldest = "tallyman_feedback_oldest_seconds"
	want := map[string]float64{
		"tallyman_feedback_written_total": 0, "tallyman_feedback_failures_total": 0, "tallyman_feedback_refusing_repositories": 0, oldest: 0,
		`tallyman_feedback_left_out_total{reason="no_commit"}`: 0, `tallyman_feedback_left_out_total{reason="refused"}`: 0, `tallyman_feedback_left_out_total{reason="too_old"}`: 0,
	}
	if diff := cmp.Diff(want, series()); diff != "" {
		t.Error(diff)
	}
	m.Written()
	m.Failed()
	m.Failed()
	m.LeftOut(feedback.NoCommit)
	m.Refusing(3)
	m.Behind(time.Now().Add(-time.Hour))
	want["tallyman_feedback_written_total"], want["tallyman_feedback_failures_total"], want["tallyman_feedback_refusing_repositories"] = 1, 2, 3
	want[`tallyman_feedback_left_out_total{reason="no_commit"}`] = 1
	now := series()
	if waited := now[oldest]; waited < 3600 || waited > 3660 {
		t.Errorf("the oldest has waited for %v s", waited)
	}
	now[oldest] = 0
	if diff := cmp.Diff(want, now); diff != "" {
		t.Error(diff)
	}
	m.Behind(time.Time{})
	if waited := series()[oldest]; waited != 0 {
		t.Errorf("nothing waits, for %v s", waited)
	}
}
