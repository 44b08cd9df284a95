package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

const token = "s3cret-of-the-api"

// serve is a server that answers each connection with the next of the texts.
func serve(t *testing.T, texts ...string) (c *client.Client, asked *[]string) {
	t.Helper()
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			t.Error("without the token")
		}
		*asked = append(*asked, r.URL.RequestURI()+" "+r.Header.Get("Last-Event-ID"))
		if len(texts) == 0 {
			t.Fatal("asked once too often")
		}
		text := texts[0]
		texts = texts[1:]
		if status, problem, refused := strings.Cut(text, "!"); refused {
			w.Header().Set("Content-Type", "application/problem+json")
			var code int
			fmt.Sscan(status, &code)
			w.WriteHeader(code)
			fmt.Fprint(w, problem)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

// A stream that breaks is opened again at its cursor, also one of a block without an
// event; an event of an unknown kind is skipped.
func TestFollow(t *testing.T) {
	c, asked := serve(t,
		"retry: 1\nid: 1\n\n: hello\r\nid: 2\r\nevent: update\r\ndata: {\"id\":\r\ndata: \"u1\"}\r\n\r\nid: 3\n\nevent: weather\ndata: rain\n\n",
		"503!{\"code\": \"unavailable\", \"detail\": \"stopping\"}",
		"id: 4\nevent: hold\ndata: {\"id\": \"h1\"}\n\nid: 4\nevent: delivery\ndata: {\"source\": \"github\", \"id\": \"d1\"}\n\nid: 5\nevent: update\ndata: {\"id\": \"half",
		"id: 6\nevent: update\ndata: {\"id\": \"u2\"}\n\n",
	)
	enough := errors.New("enough")
	var stood int
	var got, away []string
	err := c.Follow(t.Context(), url.Values{"app": {"api"}}, "", func() error { stood++; return nil }, func(e client.Event) error {
		if e.Delivery != nil {
			got = append(got, e.Cursor+" "+e.Delivery.Key().String())
			return nil
		}
		if e.Hold != nil {
			got = append(got, e.Cursor+" "+e.Hold.ID)
			return nil
		}
		got = append(got, e.Cursor+" "+e.Update.ID)
		if e.Update.ID == "u2" {
			return enough
		}
		return nil
	}, func(err error) error { away = append(away, gitops.PublicOf(err)); return nil })
	if diff := cmp.Diff([]string{"stopping"}, away); diff != "" {
		t.Error(diff)
	}
	if err != enough || stood != 3 {
		t.Errorf("ended with %v, stood %d times", err, stood)
	}
	if diff := cmp.Diff([]string{"2 u1", "4 h1", "4 github/d1", "6 u2"}, got); diff != "" {
		t.Error(diff)
	}
	want := []string{"/api/v1/events?app=api ", "/api/v1/events?app=api 3", "/api/v1/events?app=api 3", "/api/v1/events?app=api 4"}
	if diff := cmp.Diff(want, *asked); diff != "" {
		t.Error(diff)
	}
}

// stay goes on following while the server cannot be reached.
func stay(error) error { return nil }

// A server that was restored from a backup does not know the stream's cursor: the
// stream goes on from now, also for a caller that began with a cursor. A cursor that
// was wrong from the beginning is the caller's error.
func TestFollowAfterARestore(t *testing.T) {
	const lost = "400!{\"code\": \"invalid\", \"field\": \"cursor\", \"detail\": \"cursor: is invalid\"}"
	c, asked := serve(t, "retry: 1\nid: 70\n\n", lost, "id: 4\nevent: update\ndata: {\"id\": \"u1\", \"delivery\": \"api/k\"}\n\n")
	enough := errors.New("enough")
	if err := c.Follow(t.Context(), nil, "69", func() error { return nil }, func(client.Event) error { return enough }, stay); err != enough {
		t.Errorf("ended with %v", err)
	}
	if want := []string{"/api/v1/events 69", "/api/v1/events 70", "/api/v1/events "}; !cmp.Equal(want, *asked) {
		t.Errorf("asked %q", *asked)
	}
	c, _ = serve(t, lost)
	if err := c.Follow(t.Context(), nil, "69", func() error { return nil }, func(client.Event) error { return nil }, stay); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("ended with %v", err)
	}
}

// What a repetition does not change ends the stream.
func TestFollowIsRefused(t *testing.T) {
	c, _ := serve(t, "403!{\"code\": \"forbidden\", \"detail\": \"no\"}")
	err := c.Follow(t.Context(), nil, "", func() error { return nil }, func(client.Event) error { return nil }, stay)
	if gitops.CodeOf(err) != gitops.Forbidden {
		t.Errorf("ended with %v", err)
	}
}

// updateOf are updates of one delivery.
func updateOf(ids ...string) (updates []gitops.Update) {
	for _, id := range ids {
		updates = append(updates, gitops.Update{ID: id, Delivery: gitops.DeliveryKey{Source: "api", ID: "k"}})
	}
	return updates
}

// An update that ended before the stream was open is found, also when the first
// request for it fails.
func TestAwaitLooksAgain(t *testing.T) {
	const stream = "retry: 1\nid: 1\n\n"
	c, asked := serve(t, stream, "503!{\"code\": \"unavailable\", \"detail\": \"the store\"}", stream, `{"id": "u1", "state": "committed"}`)
	u := updateOf("u1")
	err := c.Await(t.Context(), u, isFinal, func(gitops.Update) {})
	if err != nil || u[0].State != gitops.Committed {
		t.Errorf("%+v, %v", u, err)
	}
	if want := []string{"/api/v1/events?delivery=api%2Fk ", "/api/v1/updates/u1 ", "/api/v1/events?delivery=api%2Fk ", "/api/v1/updates/u1 "}; !cmp.Equal(want, *asked) {
		t.Errorf("asked %q", *asked)
	}
}

func TestProblemsAreErrors(t *testing.T) {
	c, _ := serve(t, "409!{\"code\": \"conflict\", \"field\": \"tag\", \"detail\": \"tag: is gone\"}", "502!<html>", "404!{}")
	_, err := c.Update(t.Context(), "a/b")
	var e *gitops.Error
	if !errors.As(err, &e) || e.Code != gitops.Conflict || e.Field != "tag" || e.Error() != "tag: is gone" {
		t.Errorf("%v", err)
	}
	for range 2 {
		if _, err := c.Environments(t.Context()); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "is it a tallyman") {
			t.Errorf("%v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"tallyman.example":              "url: must begin with http",
		"ftp://tallyman.example":        "url: must begin with http",
		"http://tallyman.example":       "url: must begin with https://",
		"http://127.0.0.1.example:8080": "url: must begin with https://",
	} {
		if _, err := client.New(address, token); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"https://tallyman.example/", "http://localhost:8080", "http://[::1]:8080"} {
		if _, err := client.New(address, token); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := client.New("https://tallyman.example", ""); err == nil {
		t.Error("without a token")
	}
}

func isFinal(u gitops.Update) bool { return u.State.Final() }

// While the stream is refused the update is polled for.
func TestAwaitPollsWhileTheStreamIsRefused(t *testing.T) {
	const refused = `429!{"code": "rate_limited", "detail": "token:ops has 20 streams open"}`
	c, asked := serve(t, refused, `{"id": "u1", "state": "pending"}`, refused, `503!{"code": "unavailable", "detail": "the store"}`, refused, `{"id": "u1", "state": "committed"}`)
	u := updateOf("u1")
	err := c.Await(t.Context(), u, isFinal, func(gitops.Update) {})
	if err != nil || u[0].State != gitops.Committed {
		t.Errorf("%+v, %v", u, err)
	}
	if len(*asked) != 6 || (*asked)[1] != "/api/v1/updates/u1 " || (*asked)[5] != "/api/v1/updates/u1 " {
		t.Errorf("asked %q", *asked)
	}
}

// When the time is over there is one more look, for what the stream did not say.
func TestAwaitLooksOnceMore(t *testing.T) {
	for state, ended := range map[gitops.State]bool{gitops.Committed: true, gitops.Pending: false} {
		ctx, cancel := context.WithCancel(t.Context())
		c, asked := serve(t, "retry: 1\nid: 1\n\n", `{"id": "u1", "state": "pending"}`, `{"id": "u1", "state": "`+string(state)+`"}`)
		u := updateOf("u1")
		err := c.Await(ctx, u, isFinal, func(gitops.Update) { cancel() })
		if (err == nil) != ended || u[0].State != state || len(*asked) != 3 {
			t.Errorf("%s: %+v, %v, asked %q", state, u, err, *asked)
		}
	}
}

// What is waited for may be less than the end. An update that has come so far is still
// followed while another has not.
func TestAwaitLessThanTheEnd(t *testing.T) {
	const stream = "retry: 1\nid: 1\nevent: update\ndata: {\"id\": \"u1\"}\n\nid: 2\nevent: update\ndata: {\"id\": \"u2\"}\n\n"
	c, _ := serve(t, stream, `{"id": "k", "updates": [{"id": "u1", "state": "proposed"}, {"id": "u2", "state": "pending"}]}`, `{"id": "u1", "state": "committed"}`, `{"id": "u2", "state": "proposed"}`)
	updates := updateOf("u1", "u2")
	enough := func(u gitops.Update) bool { return u.State.Final() || u.State == gitops.Proposed }
	if err := c.Await(t.Context(), updates, enough, func(gitops.Update) {}); err != nil || updates[0].State != gitops.Committed || updates[1].State != gitops.Proposed {
		t.Errorf("%+v, %v", updates, err)
	}
}

// Several updates are waited for by one stream: each to its own end, whichever comes first.
func TestAwaitSeveral(t *testing.T) {
	const stream = "retry: 1\nid: 1\nevent: update\ndata: {\"id\": \"u2\"}\n\nid: 2\nevent: update\ndata: {\"id\": \"others\"}\n\nid: 3\nevent: update\ndata: {\"id\": \"u1\"}\n\n"
	c, asked := serve(t, stream, `{"id": "k", "updates": [{"id": "u1", "state": "pending"}, {"id": "u2", "state": "pending"}]}`, `{"id": "u2", "state": "failed"}`, `{"id": "u1", "state": "committed"}`)
	updates := updateOf("u1", "u2")
	var seen []string
	err := c.Await(t.Context(), updates, isFinal, func(u gitops.Update) { seen = append(seen, u.ID+" "+string(u.State)) })
	if err != nil || updates[0].State != gitops.Committed || updates[1].State != gitops.Failed {
		t.Errorf("%+v, %v", updates, err)
	}
	if want := []string{"u1 pending", "u2 pending", "u2 failed", "u1 committed"}; !cmp.Equal(want, seen) {
		t.Errorf("seen %q", seen)
	}
	if want := []string{"/api/v1/events?delivery=api%2Fk ", "/api/v1/deliveries/api/k ", "/api/v1/updates/u2 ", "/api/v1/updates/u1 "}; !cmp.Equal(want, *asked) {
		t.Errorf("asked %q", *asked)
	}
}

// What is written is followed into the cluster while that is wanted: a change of the rollout has
// the update looked at, and a final state is not the end of it.
func TestAwaitARollout(t *testing.T) {
	const stream = "retry: 1\nid: 1\nevent: update\ndata: {\"id\": \"u1\"}\n\nid: 2\nevent: rollout\ndata: {\"id\": \"u1\"}\n\nid: 3\nevent: rollout\ndata: {\"id\": \"u1\"}\n\n"
	c, _ := serve(t, stream, `{"id": "u1", "state": "pending"}`, `{"id": "u1", "state": "committed"}`,
		`{"id": "u1", "state": "committed", "rollout": {"state": "progressing"}}`, `{"id": "u1", "state": "committed", "rollout": {"state": "healthy"}}`)
	updates := updateOf("u1")
	var seen []string
	enough := func(u gitops.Update) bool { return u.Rollout != nil && u.Rollout.State.Final() }
	err := c.Await(t.Context(), updates, enough, func(u gitops.Update) {
		if u.Rollout != nil {
			seen = append(seen, string(u.Rollout.State))
			return
		}
		seen = append(seen, string(u.State))
	})
	if err != nil || updates[0].Rollout.State != gitops.RolloutHealthy || !cmp.Equal([]string{"pending", "committed", "progressing", "healthy"}, seen) {
		t.Errorf("%+v, %v, seen %q", updates, err, seen)
	}
}
