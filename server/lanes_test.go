package server

import (
	"context"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// A server that cannot listen writes nothing, whatever its store has.
func TestLanesStartAfterThePublicPortIsBound(t *testing.T) {
	s := newSite(t)
	s.git.Inject(gitserver.Fault{Status: 500, Times: -1})
	r := s.start()
	r.do(r.github(newSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.stop()
	s.git.Heal()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	defer taken.Close()
	s.edit("\nlisten: 127.0.0.1:0", "\nlisten: "+taken.Addr().String())
	server, err := s.newServer()
	s.must(err)
	if err := server.Start(t.Context()); err == nil {
		t.Error("it has started")
	}
	if server.lanes == nil {
		t.Error("the lanes were not there for the admin listener")
	}
	log, err := s.repository.Log("main")
	s.must(err)
	if len(log) != 1 {
		t.Errorf("%d commits", len(log))
	}
	nothingRuns(t)
}

// Updates of an environment that left the configuration are cancelled, visibly.
func TestUpdatesOfARemovedEnvironmentAreCancelled(t *testing.T) {
	s := newSite(t)
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500, Times: -1})
	r := s.start()
	d := r.do(r.github(newSecret, "d1", order("api", "prod", "1.2.3"))).delivery(t, 202)
	r.stop()
	if lines := s.log.Lines("environment is not configured"); len(lines) != 0 {
		t.Errorf("warned of %q", lines)
	}
	s.git.Heal()
	s.edit("  prod: {tags: {semver: \">=1.0.0\"}}\n", "")
	again := s.start()
	if u := again.settled(d.Updates[0].ID); u.State != gitops.Cancelled || u.Reason != `environment "prod" is not configured` {
		t.Errorf("the update is %+v", u)
	}
	again.stop()
	if lines := s.log.Lines(`"level":"WARN"`, `"msg":"environment is not configured, cancelling its updates"`, `"environment":"prod"`, `"updates":1`); len(lines) != 1 {
		t.Errorf("warned of %q", lines)
	}
	if lines := s.log.Lines(`"msg":"update cancelled"`, d.Updates[0].ID, `"environment":"prod"`); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}

// hangingWriter is a writer that ends nothing until it is let go.
type hangingWriter struct {
	lastStep func() time.Time
	letGo    chan struct{}
}

func (w hangingWriter) Write(context.Context, []gitops.WriteTask) (gitops.WriteResult, error) {
	<-w.letGo
	return gitops.WriteResult{}, gitops.Errorf(gitops.Unavailable, "it hung")
}

func (w hangingWriter) Away(string) ([]string, *queue.Outage) { return nil, nil }

func (w hangingWriter) LastStep() time.Time { return w.lastStep() }

// A lane that makes no progress for longer than anything takes is what a restart
// cures.
func TestLivezSeesAStuckLane(t *testing.T) {
	site := newSite(t)
	synctest.Test(t, func(t *testing.T) {
		store := queuetest.NewModel(time.Now, queuetest.Hooks{})
		_, _, err := store.Accept(t.Context(), gitops.Delivery{
			Source: "github", ID: "d1", ReceivedAt: time.Now(), Outcome: gitops.OutcomeAccepted,
			Updates: []gitops.Update{{Environment: "dev", App: "api", Tag: "1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		began, steps := time.Now(), true
		writer := hangingWriter{func() time.Time {
			if steps {
				return time.Now()
			}
			return began.Add(10 * time.Minute)
		}, make(chan struct{})}
		s := &Server{logger: site.logger(), lanes: lane.NewReplica(lane.Config{
			Holder: "this", Environments: []lane.Environment{{Name: "dev"}}, Configured: func(string, string) bool { return true },
			Queue: store, Writer: writer, Recorder: newLaneMetrics(prometheus.NewRegistry()), Logger: site.logger(),
		})}
		livez := func() int {
			w := httptest.NewRecorder()
			s.livez(w, nil)
			return w.Code
		}
		s.lanes.Start()
		if status := livez(); status != 200 {
			t.Errorf("livez is %d at first", status)
		}
		<-time.After(10 * time.Minute) // of slow refusals of other lanes' pushes
		if status := livez(); status != 200 {
			t.Errorf("livez is %d while the writer makes steps", status)
		}
		steps = false
		<-time.After(10 * time.Minute)
		if status := livez(); status != 503 {
			t.Errorf("livez is %d after 10 minutes without a step", status)
		}
		close(writer.letGo)
		s.lanes.Stop(t.Context())
	})
	if lines := site.log.Lines("lane stuck", `"environment":"dev"`); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
}
