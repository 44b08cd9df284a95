package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestStopWithoutStart(t *testing.T) {
	s, err := newSite(t).newServer()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	nothingRuns(t)
}

func TestStopTwice(t *testing.T) {
	r := newSite(t).start()
	r.stop()
	r.stop()
	nothingRuns(t)
	if conn, err := net.Dial("tcp", r.Addr()); err == nil {
		conn.Close()
		t.Error("the public listener is still there")
	}
}

// A delivery that is on its way when the server is told to stop is taken, and
// answered, and there after the next start.
func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	s := newSite(t)
	s.must(s.git.Close())
	r := s.start()
	conn, err := net.Dial("tcp", r.Addr())
	s.must(err)
	defer conn.Close()
	body := strings.Replace(order("api", "dev", "main-1a2b3c4"), `"nonce": "-"`, `"nonce": "d1"`, 1) // as github has it
	signature := r.github(newSecret, "d1", body).Header.Get("X-Hub-Signature-256")
	fmt.Fprintf(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: repository_dispatch\r\n"+
		"X-GitHub-Delivery: d1\r\nX-Hub-Signature-256: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", signature, len(body))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	for !r.draining.Load() {
		runtime.Gosched()
	}
	fmt.Fprint(conn, body)
	resp, err := http.ReadResponse(answers, nil)
	s.must(err)
	text, err := io.ReadAll(resp.Body)
	s.must(err)
	resp.Body.Close()
	response{resp, string(text)}.delivery(t, 202)
	<-stopped
	if d, found := s.start().stored("github", "d1"); !found || len(d.Updates) != 1 || d.Updates[0].State != gitops.Pending {
		t.Errorf("after the next start it is %+v", d)
	}
}

// A request that never comes whole was promised nothing: it neither holds Stop up
// to its deadline nor makes it fail.
func TestStopDoesNotWaitForHalfARequest(t *testing.T) {
	r := newSite(t).start()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\nabc")
	// The answer comes when the body is being read.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("half a request took the whole time")
	}
}

// A push that nobody answers does not hold Stop up past its deadline, and its
// update is written after the next start.
func TestStopCutsAPushThatIsNotAnswered(t *testing.T) {
	s := newSite(t)
	r := s.start()
	arrived, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(arrived) }, Wait: release, Cut: true})
	r.do(r.github(newSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("Stop took longer than it was given")
	}
	if d, found := s.start().stored("github", "d1"); !found || len(d.Updates) != 1 || d.Updates[0].State != gitops.Pending && d.Updates[0].State != gitops.Committed {
		t.Errorf("after the next start it is %+v", d)
	}
}

// A deadline that has passed does not keep Stop from ending in order.
func TestStopWithoutTime(t *testing.T) {
	s := newSite(t)
	s.must(s.git.Close())
	r := s.start()
	r.do(r.github(newSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); err != nil {
		t.Log(err) // that a listener was cut short may be said
	}
	nothingRuns(t)
	if d, found := s.start().stored("github", "d1"); !found || d.Updates[0].State != gitops.Pending {
		t.Errorf("after the next start it is %+v", d)
	}
}

func TestDrainDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{25 * time.Second: 22 * time.Second, 4 * time.Second: 3 * time.Second, -time.Second: 0} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			leave, cancelLeave := drainDeadline(ctx)
			began := time.Now()
			<-leave.Done()
			if took := time.Since(began); took != want {
				t.Errorf("of %s a lane has %s, want %s", left, took, want)
			}
			cancelLeave()
			cancel()
		}
		leave, cancel := drainDeadline(t.Context())
		if _, bounded := leave.Deadline(); bounded {
			t.Error("without a deadline there is one")
		}
		cancel()
	})
}
