package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Each request to the API leaves one line, with who asked and no value that a client
// gave; a stream's when it ends.
func TestEachAPIRequestIsLogged(t *testing.T) {
	s := newSite(t)
	r := s.start()
	line := func(texts ...string) string {
		t.Helper()
		found := s.log.Lines(append(texts, `"msg":"API request"`)...)
		for len(found) == 0 { // it is written after the answer
			found = s.log.Lines(append(texts, `"msg":"API request"`)...)
		}
		if len(found) != 1 {
			t.Fatalf("%q are %d lines: %q", texts, len(found), found)
		}
		return found[0]
	}
	const mistake = "a-token-in-the-wrong-place"
	r.call(apiToken, "GET", "/api/v1/updates/"+mistake, "")
	r.call(apiToken, "GET", "/api/v1/deliveries?source="+mistake, "")
	r.call("wrong", "GET", "/api/v1/history?app="+mistake, "")
	r.call(readToken, "POST", "/api/v1/updates?"+mistake, "")
	for _, texts := range [][]string{
		{`"method":"GET"`, `"route":"/api/v1/updates/{id}"`, `"status":404`, `"principal":"token:ops"`, `"credential":"token ops"`, `"remote":"127.0.0.1"`, `"seconds":0.`},
		{`"route":"/api/v1/deliveries"`, `"status":200`},
		{`"route":"/api/v1/history"`, `"status":401`, `"principal":""`},
		{`"method":"POST"`, `"route":"/api/v1/updates"`, `"status":403`, `"principal":"token:board"`},
	} {
		if l := line(texts...); strings.Contains(l, mistake) {
			t.Errorf("it says what a client gave: %s", l)
		}
	}
	f := r.follow("?app="+mistake, "")
	if lines := s.log.Lines(`"route":"/api/v1/events"`); len(lines) > 0 {
		t.Errorf("while the stream is open: %q", lines)
	}
	f.body.Close()
	r.order("k", goodOrder).delivery(t, 202) // the stream finds its reader gone
	line(`"route":"/api/v1/events"`, `"status":200`, `"principal":"token:ops"`)
}

// While a token is replaced both are valid and the same caller; one that has expired is
// not, and the log says which.
func TestTokensExpireAndAreReplaced(t *testing.T) {
	const next, old = "s3cret-of-the-api-the-next-one", "s3cret-of-the-api-of-last-year"
	said.Forbid(next, old)
	s := newSite(t)
	for name, secret := range map[string]string{"next-token": next, "old-token": old} {
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte(secret), 0o600))
	}
	ends := now().Add(time.Hour).Truncate(time.Second)
	s.edit("  tokens:\n", fmt.Sprintf("  tokens:\n    - {name: ops, file: %[1]s/next-token, expires: %[2]q}\n    - {name: ops, file: %[1]s/old-token, expires: \"2026-01-02\"}\n", s.dir, ends.Format(time.RFC3339)))
	r := s.start()
	began := now().Unix()
	for _, token := range []string{next, apiToken} {
		if d := r.callWith(token, "POST", "/api/v1/updates", goodOrder, nil).delivery(t, 202); d.Principal != "token:ops" {
			t.Errorf("%+v", d)
		}
	}
	if p := r.call(old, "GET", "/api/v1/updates", "").problem(t, 401); p.Code != gitops.Unauthorized || !strings.HasPrefix(p.Detail, "token ops has expired: it was valid until 2026-01-02T00:00:00Z") {
		t.Errorf("%+v", p)
	}
	if lines := s.log.Lines(`"outcome":"unauthorized"`, "token ops has expired"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	series := gather(t, r.Server)
	used := func(file string) float64 {
		return series[fmt.Sprintf("tallyman_api_token_last_used_timestamp_seconds{file=%q,token=%q}", filepath.Join(s.dir, file), "ops")]
	}
	if used("next-token") < float64(began) || used("api-token") < float64(began) || used("old-token") != 0 {
		t.Errorf("last used: %v, %v, %v", used("next-token"), used("api-token"), used("old-token"))
	}
	if got := series[fmt.Sprintf("tallyman_credential_expiry_timestamp_seconds{credential=\"token ops\",file=%q}", filepath.Join(s.dir, "next-token"))]; got != float64(ends.Unix()) {
		t.Errorf("it expires at %v", got)
	}
	if _, has := series[fmt.Sprintf("tallyman_credential_expiry_timestamp_seconds{credential=\"token ops\",file=%q}", filepath.Join(s.dir, "api-token"))]; has {
		t.Error("a token without an end has one")
	}
}

// A secret that others can read is told at the start and by check.
func TestReadableSecretsAreWarnedOf(t *testing.T) {
	s := newSite(t)
	s.must(os.Chmod(filepath.Join(s.dir, "old"), 0o644))
	r := s.start()
	want := s.dir + "/old has mode 0644, so everybody on this machine can read the secret"
	if lines := s.log.Lines(`"level":"WARN"`, `"field":"sources.github.secretFiles[0]"`, want); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	var out strings.Builder
	r.PrintWarnings(&out)
	if !strings.Contains(out.String(), "warning: sources.github.secretFiles[0]: "+want) {
		t.Errorf("printed %s", out.String())
	}
}
