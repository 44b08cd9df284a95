package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// event is one block of a stream that has data.
type event struct {
	id, kind string
	delivery gitops.Delivery
	update   gitops.Update
	hold     gitops.Hold
}

// follower reads a stream.
type follower struct {
	t      testing.TB
	body   io.ReadCloser
	lines  *bufio.Scanner
	cursor string
}

// follow opens a stream, which stands when it returns.
func (r *running) follow(query, lastEventID string) *follower {
	r.t.Helper()
	return r.followAs(apiToken, query, lastEventID)
}

func (r *running) followAs(token, query, lastEventID string) *follower {
	r.t.Helper()
	req := r.request("GET", "/api/v1/events"+query, "")
	req.Header.Set("Authorization", "Bearer "+token)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("answered %s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	f := &follower{t: r.t, body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	r.t.Cleanup(func() { resp.Body.Close() })
	if f.next(); f.cursor == "" {
		r.t.Fatal("the stream does not say where it begins")
	}
	return f
}

// next reads one block; ok is false at the stream's end.
func (f *follower) next() (e event, ok bool) {
	f.t.Helper()
	for f.lines.Scan() {
		name, value, _ := strings.Cut(f.lines.Text(), ": ")
		switch name {
		case "":
			return e, true
		case "id":
			e.id, f.cursor = value, value
		case "event":
			e.kind = value
		case "data":
			f.decode(&e, value)
		}
	}
	return e, false
}

// decode reads data, which must be as the contract has it.
func (f *follower) decode(e *event, data string) {
	f.t.Helper()
	doc, err := contract()
	if err != nil {
		f.t.Fatal(err)
	}
	into, schema := any(&e.update), "Update"
	switch e.kind {
	case "delivery":
		into, schema = &e.delivery, "Delivery"
	case "hold":
		into, schema = &e.hold, "Hold"
	}
	var plain any
	if err := json.Unmarshal([]byte(data), into); err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(data), &plain); err != nil {
		f.t.Fatal(err)
	}
	if err := doc.Components.Schemas[schema].Value.VisitJSON(plain); err != nil {
		f.t.Errorf("%s is against the contract: %v", data, err)
	}
}

// events reads as many, in a few words each.
func (f *follower) events(n int) (found []string) {
	f.t.Helper()
	for len(found) < n {
		e, ok := f.next()
		switch {
		case !ok:
			f.t.Fatalf("the stream ended after %v", found)
		case e.kind == "delivery":
			found = append(found, e.delivery.Key().String()+" "+string(e.delivery.Outcome))
		case e.kind == "update":
			found = append(found, e.update.Delivery.String()+" "+e.update.Environment+" "+string(e.update.State))
		}
	}
	return found
}

func TestEvents(t *testing.T) { onEachStore(t, testEvents) }

func testEvents(t *testing.T, s *site) {
	r := s.start()
	r.order("before", goodOrder).delivery(t, 202)
	r.changes(func(u gitops.Update) bool { return u.State == gitops.Committed })
	all, prod, one := r.follow("", ""), r.follow("?environment=prod", ""), r.follow("?delivery=api/"+opsID("k2"), "")
	begun := all.cursor
	r.order("k1", strings.Replace(goodOrder, "1a2b3c4", "1a2b3c5", 1)).delivery(t, 202)
	r.changes(func(u gitops.Update) bool { return u.Delivery.ID == opsID("k1") && u.State == gitops.Committed })
	r.order("k2", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`).delivery(t, 202)
	r.changes(func(u gitops.Update) bool { return u.Delivery.ID == opsID("k2") && u.State == gitops.Committed })
	r.order("k3", `{"app": "shop", "environment": "dev", "tag": "x"}`).problem(t, 422)

	k1, k2 := "api/"+opsID("k1"), "api/"+opsID("k2")
	want := []string{k1 + " accepted", k1 + " dev committed", k2 + " accepted", k2 + " prod committed", "api/" + opsID("k3") + " rejected"}
	if diff := cmp.Diff(want, all.events(5)); diff != "" {
		t.Errorf("all:\n%s", diff)
	}
	for name, f := range map[string]*follower{"prod": prod, "one": one} {
		if diff := cmp.Diff(want[2:4], f.events(2)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	// Whoever comes back misses nothing, and gets nothing twice.
	again := r.follow("", begun)
	first := again.events(1)
	if diff := cmp.Diff(want, append(first, r.follow("", again.cursor).events(4)...)); diff != "" {
		t.Errorf("again:\n%s", diff)
	}
	if diff := cmp.Diff(want[4:], r.follow("?after="+one.cursor, "").events(1)); diff != "" {
		t.Errorf("after:\n%s", diff)
	}
}

// A stream that is open does not keep the server from stopping.
func TestEventsEndWhenTheServerDrains(t *testing.T) {
	s := newSite(t)
	server, err := s.newServer()
	s.must(err)
	s.must(server.Start(t.Context()))
	f := (&running{Server: server, t: t}).follow("", "")
	s.must(server.Stop(context.WithoutCancel(t.Context()))) // which has no deadline that would end the stream
	if _, ok := f.next(); ok || f.lines.Err() != nil {
		t.Errorf("the stream did not end in order: %v", f.lines.Err())
	}
}

// One principal takes its share of the streams and no more; others have theirs.
func TestEventsAreBounded(t *testing.T) {
	r := newSite(t).start()
	var open []*follower
	for range 20 {
		open = append(open, r.follow("?environment=prod", ""))
	}
	answer := r.call(apiToken, "GET", "/api/v1/events", "")
	if p := answer.problem(t, 429); p.Code != gitops.RateLimited || !strings.HasPrefix(p.Detail, "token:ops has 20 streams open, and may have no more") || answer.Header.Get("Retry-After") != "5" {
		t.Errorf("%v %+v", answer.Header, p)
	}
	r.followAs(readToken, "", "")
	// None of them reads, and nobody waits for them.
	d := r.order("k", goodOrder).delivery(t, 202)
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("%+v", u)
	}
	// Each that ends makes room for another.
	for _, f := range open {
		f.body.Close()
	}
	for range 20 {
		for r.call(apiToken, "GET", "/api/v1/events?after=whatever", "").StatusCode == 429 { // until the server has seen that they are gone
		}
		r.follow("?environment=prod", "")
	}
}

// With several replicas on one store, what happens by one is told by another, and
// a stream goes on at any of them.
func TestEventsOfAnotherReplica(t *testing.T) {
	s := newSite(t)
	s.edit("sqlite://"+s.dir+"/tallyman.db", postgrestest.Start(t, "fsync=off").Schema(t))
	one, other := s.start(), s.start()
	f := other.follow("?app=api", "")
	begun := f.cursor
	one.order("k1", goodOrder).delivery(t, 202)
	want := []string{"api/" + opsID("k1") + " accepted", "api/" + opsID("k1") + " dev committed"}
	if diff := cmp.Diff(want, f.events(2)); diff != "" {
		t.Errorf("at the other:\n%s", diff)
	}
	if diff := cmp.Diff(want, one.follow("", begun).events(2)); diff != "" {
		t.Errorf("taken up at the one:\n%s", diff)
	}
}
