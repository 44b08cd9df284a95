package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// An order that was rejected and is sent again has the same answer, also where only a
// part of its body was kept; with another order its key is refused.
func TestARejectedOrderIsRejectedAgain(t *testing.T) {
	onEachStore(t, testARejectedOrderIsRejectedAgain)
}

func testARejectedOrderIsRejectedAgain(t *testing.T, s *site) {
	r := s.start()
	for name, padding := range map[string]string{"short": "", "long": strings.Repeat(" ", 2<<10)} {
		header := http.Header{"Idempotency-Key": {name}}
		body := `{"app": "api", ` + padding + `"environment": "prod", "tag": "main-1a2b3c4"}`
		first := r.callWith(apiToken, "POST", "/api/v1/updates", body, header).problem(t, 422)
		again := r.callWith(apiToken, "POST", "/api/v1/updates", body, header).problem(t, 422)
		if again.Detail != first.Detail || again.Field != first.Field {
			t.Errorf("%s: answered %+v, and again %+v", name, first, again)
		}
		other := strings.Replace(body, "main-1a2b3c4", "1.0.0", 1)
		if p := r.callWith(apiToken, "POST", "/api/v1/updates", other, header).problem(t, 409); p.Field != "header Idempotency-Key" || !strings.HasPrefix(p.Detail, "header Idempotency-Key: was used for another order") {
			t.Errorf("%s: another order is answered %+v", name, p)
		}
	}
}

// Two tokens with different names hold one secret: whose it is cannot be known, so it is
// nobody's, at the start and when a file is replaced while the program runs.
func TestOneSecretOfTwoTokens(t *testing.T) {
	s := newSite(t)
	ops, board := filepath.Join(s.dir, "api-token"), filepath.Join(s.dir, "read-token")
	secret, err := os.ReadFile(ops)
	s.must(err)
	was, err := os.ReadFile(board)
	s.must(err)
	s.must(os.WriteFile(board, secret, 0o600))
	_, err = s.newServer()
	if got := strings.Join(sentences(err), "\n"); !strings.Contains(got, "api.tokens[1].file: holds the secret of token ops, too") {
		t.Errorf("%s", got)
	}
	s.must(os.WriteFile(board, was, 0o600))
	r := s.start()
	s.must(os.WriteFile(board, secret, 0o600))
	if p := r.call(apiToken, "GET", "/api/v1/updates", "").problem(t, 401); p.Code != gitops.Unauthorized || !strings.Contains(p.Detail, "ops") || !strings.Contains(p.Detail, "board") {
		t.Errorf("%+v", p)
	}
	s.must(os.WriteFile(board, was, 0o600))
	r.call(apiToken, "GET", "/api/v1/updates", "")
	r.call(readToken, "GET", "/api/v1/updates", "")
}
