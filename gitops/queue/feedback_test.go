package queue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// What GitHub shows is kept of an app's latest update in each environment, and is said of no
// other update.
func TestFeedbackIsOfOneUpdate(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	shown := gitops.Feedback{Repository: "shop/api", Environment: "prod", Deployment: 7, URL: "https://github.com/shop/api/deployments"}
	none := gitops.Feedback{Repository: "shop/api", Reason: "the commit is not known"}
	prod, dev := gitops.Place{Environment: "prod", App: "api"}, gitops.Place{Environment: "dev", App: "api"}
	for _, note := range []struct {
		place    gitops.Place
		update   string
		accepted int64 // seconds
		of       gitops.Feedback
	}{
		{prod, "u1", 1, none}, {prod, "u2", 2, shown}, {dev, "u3", 1, none},
		{prod, "u1", 1, none}, // which has ended, and is told so
	} {
		if err := queue.NoteFeedback(t.Context(), m, note.place, note.update, time.Unix(note.accepted, 0), note.of); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		environment, app, update string
		want                     *gitops.Feedback
	}{
		{"prod", "api", "u1", nil}, {"prod", "api", "u2", &shown}, {"dev", "api", "u3", &none}, {"dev", "web", "u4", nil}, {"dev", "api", "u2", nil},
	} {
		got, err := queue.FeedbackOf(t.Context(), m, gitops.Update{ID: c.update, Environment: c.environment, App: c.app})
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%+v: %v, %s", c, err, diff)
		}
	}
}
