package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// While the server is away the stream says so once, and once more when it is back.
func TestWatchSaysThatTheServerIsAway(t *testing.T) {
	var out strings.Builder
	link := connection{out: &out}
	for _, happens := range []func() error{
		link.stands, link.stands,
		func() error {
			return link.away(gitops.Errorf(gitops.Unavailable, "tallyman.example cannot be reached"))
		},
		func() error {
			return link.away(gitops.Errorf(gitops.Unavailable, "tallyman.example cannot be reached"))
		},
		link.stands, link.stands,
	} {
		if err := happens(); err != nil {
			t.Fatal(err)
		}
	}
	if want := "tallyman: tallyman.example cannot be reached; retrying\ntallyman: connected\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// send takes its server from where the other commands take it.
func TestSendTakesTheAddressOfTheOthers(t *testing.T) {
	serveAnswers(t, nil)
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	t.Setenv("TALLYMAN_URL", s.URL+"/")
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("not-a-real-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, failure, exit := ran(t, "send", "github", "--secret-file", secret); exit != 0 || asked != 1 {
		t.Errorf("exit %d, %s; asked %d times", exit, failure, asked)
	}
}
