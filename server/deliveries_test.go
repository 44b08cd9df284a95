package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// stored tells what the store has of a delivery.
func (r *running) stored(source, id string) (gitops.Delivery, bool) {
	r.t.Helper()
	d, err := r.store.Delivery(r.t.Context(), gitops.DeliveryKey{Source: source, ID: id})
	if err != nil && gitops.CodeOf(err) != gitops.NotFound {
		r.t.Fatal(err)
	}
	return d, err == nil
}

// What cannot be taken is answered with a problem, and leaves nothing.
func TestRequestsThatAreRefused(t *testing.T) {
	s := newSite(t)
	r := s.start()
	good := order("api", "dev", "main-1a2b3c4")
	for _, c := range []struct {
		name   string
		req    *http.Request
		status int
		code   gitops.Code
		detail string
		field  string
	}{
		{"github, unsigned", r.request("POST", "/webhooks/github", good), 401, gitops.Unauthorized, "the header X-Hub-Signature-256 must be", ""},
		{"github, forged", r.github("guess", "d1", good), 401, gitops.Unauthorized, "signature mismatch", ""},
		{"github, with EventBridge's secret", r.github(bridgeSecret, "d1", good), 401, gitops.Unauthorized, "signature mismatch", ""},
		{"github, forged and no JSON", r.github("guess", "d1", "{"), 401, gitops.Unauthorized, "signature mismatch", ""},
		{"github, forged and of no known event", func() *http.Request {
			req := r.github("guess", "d1", "{}")
			req.Header.Set("X-GitHub-Event", "push")
			return req
		}(), 401, gitops.Unauthorized, "signature mismatch", ""},
		{"github, oversized", r.github(oldSecret, "d1", good+strings.Repeat(" ", webhook.MaxBody)), 413, gitops.TooLarge, "the body is larger than 1048576 bytes", ""},
		{"github, oversized and forged", r.github("guess", "d1", strings.Repeat(" ", webhook.MaxBody+1)), 413, gitops.TooLarge, "the body is larger than", ""},
		{"github, empty", r.github(oldSecret, "d1", ""), 400, gitops.Invalid, "the body is not a JSON object", ""},
		{"github, half of it", r.github(oldSecret, "d1", good[:40]), 400, gitops.Invalid, "the body is not a JSON object", ""},
		{"github, no JSON", r.github(oldSecret, "d1", "app=api"), 400, gitops.Invalid, "the body is not a JSON object", ""},
		{"github, no id", r.github(oldSecret, "", good), 400, gitops.Invalid, "header X-GitHub-Delivery: is missing", "header X-GitHub-Delivery"},
		{"ecr, without a key", r.ecr("", push("d1", "main-1a2b3c4")), 401, gitops.Unauthorized, "the header X-Tallyman-Key does not hold", ""},
		{"ecr, forged", r.ecr("guess", push("d1", "main-1a2b3c4")), 401, gitops.Unauthorized, "the header X-Tallyman-Key does not hold", ""},
		{"ecr, with GitHub's secret", r.ecr(oldSecret, push("d1", "main-1a2b3c4")), 401, gitops.Unauthorized, "the header X-Tallyman-Key does not hold", ""},
		{"ecr, oversized", r.ecr(bridgeSecret, push("d1", strings.Repeat("x", webhook.MaxBody))), 413, gitops.TooLarge, "the body is larger than", ""},
		{"ecr, empty", r.ecr(bridgeSecret, ""), 400, gitops.Invalid, "the body is not an EventBridge event in JSON", ""},
		{"ecr, half of it", r.ecr(bridgeSecret, push("d1", "x")[:40]), 400, gitops.Invalid, "the body is not an EventBridge event in JSON", ""},
		{"ecr, no JSON", r.ecr(bridgeSecret, "hello"), 400, gitops.Invalid, "the body is not an EventBridge event in JSON", ""},
		{"ecr, no id", r.ecr(bridgeSecret, push("", "x")), 400, gitops.Invalid, "id: is missing", "id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := r.do(c.req)
			p := answer.problem(t, c.status)
			if p.Code != c.code || !strings.HasPrefix(p.Detail, c.detail) || p.Field != c.field {
				t.Errorf("answered %s", answer.body)
			}
			for _, source := range []string{"github", "eventbridge"} {
				if d, found := r.stored(source, "d1"); found {
					t.Errorf("stored all the same: %+v", d)
				}
			}
		})
	}
	if backlogs, err := r.store.Backlogs(t.Context()); err != nil || len(backlogs) != 0 {
		t.Errorf("updates wait: %+v, %v", backlogs, err)
	}
}

// A sender that breaks off in the middle, and still listens, is told.
func TestBodyThatBreaksOff(t *testing.T) {
	r := newSite(t).start()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"action\":")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if p := (response{resp, string(body)}).problem(t, 400); p.Detail != "the body is incomplete" {
		t.Errorf("answered %s", body)
	}
}

// What was understood is kept, whatever came of it, and its body with it.
func TestDeliveriesAreKept(t *testing.T) {
	s := newSite(t)
	s.must(s.git.Close()) // an origin that is away is no reason not to take anything
	r := s.start()
	type want struct {
		outcome       gitops.Outcome
		field, reason string
		updates       []string
	}
	for i, c := range []struct {
		name string
		req  func(id string) *http.Request
		want want
	}{
		{"an order", func(id string) *http.Request { return r.github(oldSecret, id, order("api", "dev", "main-1a2b3c4")) },
			want{gitops.OutcomeAccepted, "", "", []string{"dev/api main-1a2b3c4"}}},
		{"with the secret of tomorrow", func(id string) *http.Request { return r.github(newSecret, id, order("worker", "dev", "main-1a2b3c4")) },
			want{gitops.OutcomeAccepted, "", "", []string{"dev/worker main-1a2b3c4"}}},
		{"a push", func(id string) *http.Request { return r.ecr(bridgeSecret, push(id, "1.2.3")) },
			want{gitops.OutcomeAccepted, "", "dev: tag 1.2.3 does not match main-[0-9a-f]{7,40} (a regular expression for the whole tag)", []string{"prod/api 1.2.3"}}},
		{"an untagged push", func(id string) *http.Request { return r.ecr(bridgeSecret, push(id, "")) },
			want{gitops.OutcomeIgnored, "", "the image was pushed without a tag", nil}},
		{"latest", func(id string) *http.Request { return r.ecr(bridgeSecret, push(id, "latest")) },
			want{gitops.OutcomeIgnored, "", `detail.image-tag: "latest" never reaches a manifest: name the tag of one build`, nil}},
		{"an unknown app", func(id string) *http.Request { return r.github(oldSecret, id, order("shop", "dev", "main-1a2b3c4")) },
			want{gitops.OutcomeRejected, "client_payload.app", `no app "shop" is configured: add it to apps, or correct the name`, nil}},
		{"no environment", func(id string) *http.Request { return r.github(oldSecret, id, order("api", "", "main-1a2b3c4")) },
			want{gitops.OutcomeRejected, "client_payload.env", "is missing", nil}},
		{"a tag that prod does not take", func(id string) *http.Request { return r.github(oldSecret, id, order("api", "prod", "0.9.0")) },
			want{gitops.OutcomeRejected, "client_payload.tag", "prod: tag 0.9.0 does not satisfy semver >=1.0.0", nil}},
		{"no payload", func(id string) *http.Request { return r.github(oldSecret, id, `{"action": "update-image"}`) },
			want{gitops.OutcomeRejected, "client_payload", "must be an object with app, env, tag and perhaps digest, sha and nonce", nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := fmt.Sprintf("d%d", i)
			req := c.req(id)
			body, err := req.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			source := map[string]string{"/webhooks/github": "github", "/webhooks/ecr": "eventbridge"}[req.URL.Path]
			answer := r.do(req)
			kept, found := r.stored(source, id)
			if !found || string(kept.Body) != string(raw) {
				t.Fatalf("kept %+v", kept)
			}
			var updates []string
			for _, u := range kept.Updates {
				updates = append(updates, u.Environment+"/"+u.App+" "+u.Tag)
			}
			if diff := cmp.Diff(c.want, want{kept.Outcome, kept.Field, kept.Reason, updates}, cmp.AllowUnexported(want{})); diff != "" {
				t.Error(diff)
			}
			switch c.want.outcome {
			case gitops.OutcomeAccepted:
				sameDelivery(t, kept, answer.delivery(t, 202))
			case gitops.OutcomeIgnored:
				sameDelivery(t, kept, answer.delivery(t, 200))
			case gitops.OutcomeRejected:
				if p := answer.problem(t, 422); p.Code != gitops.Rejected || p.Field != c.want.field || p.Detail != c.want.field+": "+c.want.reason {
					t.Errorf("answered %s", answer.body)
				}
			}
			if c.want.outcome != gitops.OutcomeRejected {
				sameDelivery(t, kept, r.do(c.req(id)).delivery(t, 200)) // and the same again
			} else if p := r.do(c.req(id)).problem(t, 422); p.Detail != c.want.field+": "+c.want.reason {
				t.Errorf("sent again it is %s", p.Detail) // who sends it again must not take it for done
			}
		})
	}
}

// sameDelivery compares by what an answer shows.
func sameDelivery(t *testing.T, want, got gitops.Delivery) {
	t.Helper()
	wantIDs, gotIDs := []string{}, []string{}
	for _, u := range want.Updates {
		wantIDs = append(wantIDs, u.ID)
	}
	for _, u := range got.Updates {
		gotIDs = append(gotIDs, u.ID)
	}
	if want.Key() != got.Key() || want.Outcome != got.Outcome || want.Reason != got.Reason || !want.ReceivedAt.Equal(got.ReceivedAt) || !cmp.Equal(wantIDs, gotIDs) {
		t.Errorf("answered %+v, want %+v", got, want)
	}
}

// From a signed request to a commit on origin, and to what is told of it.
func TestOrderBecomesACommit(t *testing.T) {
	s := newSite(t)
	pushed := make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushed) }})
	r := s.start()
	d := r.do(r.github(newSecret, "72d3162e", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	if len(d.Updates) != 1 || d.Updates[0].State != gitops.Pending || d.Actor != "github:ann" {
		t.Fatalf("answered %+v", d)
	}
	select {
	case <-pushed:
	case <-t.Context().Done():
		t.Fatal("nothing is pushed")
	}
	key := s.key(r)
	stored, err := r.store.Update(t.Context(), d.Updates[0].ID)
	s.must(err)
	r.stop() // it settles what is on its way
	log, err := s.repository.Log("main")
	s.must(err)
	last := log[len(log)-1]
	var proof string
	last.Message, proof, _ = strings.Cut(last.Message, "\nTallyman-Proof: ")
	if !strings.HasPrefix(proof, key+" ") {
		t.Errorf("the commit is proved by %q, not by the key %s", proof, key)
	}
	want := gitserver.Commit{
		Hash: last.Hash, Parents: []string{log[0].Hash}, Author: "tallyman[bot] <tallyman[bot]@users.noreply.github.com>",
		Subject: "chore: bump api to main-1a2b3c4 (dev)",
		Message: "chore: bump api to main-1a2b3c4 (dev)\n\nTallyman-Update: " + d.Updates[0].ID + "\nTallyman-Delivery: github/72d3162e\nTallyman-Actor: github:ann" +
			"\nTallyman-Release: dev/api accepted " + d.Updates[0].AcceptedAt.Format(time.RFC3339Nano) + " " + strconv.FormatInt(stored.Sequence, 10),
		Updates: []string{d.Updates[0].ID},
	}
	if diff := cmp.Diff(want, last); diff != "" || len(log) != 2 {
		t.Errorf("%d commits, the last:\n%s", len(log), diff)
	}
	again := s.start()
	told := again.do(again.github(newSecret, "72d3162e", order("api", "dev", "main-1a2b3c4"))).delivery(t, 200)
	if u := told.Updates[0]; u.State != gitops.Committed || u.Commit != last.Hash || u.Attempts != 1 || u.FinishedAt.IsZero() {
		t.Errorf("the duplicate is told %+v", u)
	}
}
