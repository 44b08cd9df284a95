package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

// A job's token is asked for with the runner's, for the audience, and again when the
// server does not accept it any more: once for each request.
func TestJobTokens(t *testing.T) {
	given := 0
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-runners" || r.URL.Query().Get("audience") != "https://tallyman.example" || r.URL.Query().Get("api-version") != "2.0" {
			t.Errorf("asked by %s with %v", r.URL, r.Header)
		}
		given++
		fmt.Fprintf(w, `{"count": 1, "value": "token-%d"}`, given)
	}))
	defer runner.Close()
	accepted, asked := "token-1", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != "Bearer "+accepted {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"code": "unauthorized", "detail": "the token has expired"}`)
			return
		}
		fmt.Fprint(w, `{"id": "u1", "state": "pending"}`)
	}))
	defer server.Close()
	tokens, err := client.NewJobTokens(runner.URL+"/token?api-version=2.0", "the-runners", "https://tallyman.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWith(server.URL, tokens)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		accepted     string
		code         gitops.Code
		given, asked int
	}{
		{"token-1", "", 1, 1},
		{"token-1", "", 1, 1},
		{"token-2", "", 2, 2}, // the first has expired
		{"none", gitops.Unauthorized, 3, 2},
	} {
		accepted, asked = step.accepted, 0
		if _, err := c.Update(t.Context(), "u1"); gitops.CodeOf(err) != step.code && err != nil || (err == nil) != (step.code == "") || given != step.given || asked != step.asked {
			t.Errorf("%+v: %v, %d tokens were given, %d requests sent", step, err, given, asked)
		}
	}
}

// A token is replaced before GitHub's five minutes are over.
func TestJobTokenIsReplacedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		tokens, err := client.NewJobTokens("https://runner.example/token", "the-runners", "a")
		if err != nil {
			t.Fatal(err)
		}
		client.AskThrough(tokens, func(*http.Request) string { given++; return fmt.Sprint("token-", given) })
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "token-1"}, {3 * time.Minute, "token-1"}, {time.Minute, "token-2"}} {
			time.Sleep(step.after) // of synctest: no time passes
			if got, err := tokens.Token(t.Context()); err != nil || got != step.want {
				t.Errorf("after %s: %s, %v", step.after, got, err)
			}
		}
	})
}

func TestJobTokensThatCannotBeHad(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
	}{{http.StatusForbidden, "no"}, {http.StatusOK, "{}"}, {http.StatusOK, "<html>"}} {
		runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); fmt.Fprint(w, c.body) }))
		tokens, err := client.NewJobTokens(runner.URL, "the-runners", "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Token(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
		runner.Close()
		if _, err := tokens.Token(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("away: %v", err)
		}
	}
	for _, c := range [][2]string{{"http://runner.example", "x"}, {"", "x"}, {"https://runner.example", ""}} {
		if _, err := client.NewJobTokens(c[0], c[1], "a"); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%q: %v", c, err)
		}
	}
}
