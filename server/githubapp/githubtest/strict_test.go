package githubtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// signed is a JWT as the claims have it.
func signed(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(map[string]string{"alg": "RS256", "typ": "JWT"}) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// What GitHub would refuse fails the test that asked it, unless that wants it.
func TestWhatGitHubWouldRefuseFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	s := New(r)
	s.Install(1, "o/r")
	now := time.Now().Unix()
	good := map[string]any{"iss": AppID, "iat": now - 60, "exp": now + 300}
	with := func(name string, value any) string {
		claims := map[string]any{}
		for k, v := range good {
			claims[k] = v
		}
		claims[name] = value
		return signed(t, s.key, claims)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path, authorization, accept string
		status                                    int
	}{
		{"nothing wrong", "GET", "/app", with("iss", AppID), "application/vnd.github.v3+json", 200},
		{"the client's id", "GET", "/app", with("iss", ClientID), "application/json", 200},
		{"no JWT", "GET", "/app", "", "application/json", 401},
		{"half of one", "GET", "/app", with("iss", AppID)[:60], "application/json", 401},
		{"somebody else's key", "GET", "/app", signed(t, other, good), "application/json", 401},
		{"somebody else's App", "GET", "/app", with("iss", "99"), "application/json", 401},
		{"expired", "GET", "/app", with("exp", now-1), "application/json", 401},
		{"too long", "GET", "/app", with("exp", now+700), "application/json", 401},
		{"made tomorrow", "GET", "/app", with("iat", now+60), "application/json", 401},
		{"made at a fraction", "GET", "/app", with("iat", float64(now)-60.5), "application/json", 401},
		{"no iat", "GET", "/app", with("iat", nil), "application/json", 401},
		{"accepting nothing", "GET", "/app", with("iss", AppID), "", 406},
		{"too much on a page", "GET", "/app/hook/deliveries?per_page=101", with("iss", AppID), "application/json", 422},
		{"an unknown parameter", "GET", "/app/hook/deliveries?page=2", with("iss", AppID), "application/json", 422},
		{"a cursor made up", "GET", "/app/hook/deliveries?cursor=2", with("iss", AppID), "application/json", 422},
		{"an unknown path", "GET", "/app/hooks", with("iss", AppID), "application/json", 404},
		{"another's installation", "POST", "/app/installations/2/access_tokens", with("iss", AppID), "application/json", 404},
		{"a JWT for a repository", "GET", "/repos/o/r", with("iss", AppID), "application/json", 401},
		{"a token of nobody", "GET", "/repos/o/r", "Bearer ghs_x", "application/json", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.failures = nil
			request, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", c.authorization)
			if c.accept != "" {
				request.Header.Set("Accept", c.accept)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			said, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || (len(r.failures) == 1) != (c.status != 200) {
				t.Errorf("answered %s %s, and the test had %q", answer.Status, said, r.failures)
			}
		})
	}
	r.failures = nil
	s.Expect(http.StatusUnauthorized)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/app", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	if answer, err := http.DefaultClient.Do(request); err != nil || answer.Body.Close() != nil || len(r.failures) > 0 {
		t.Errorf("a refusal that is wanted: %v, %q", err, r.failures)
	}
}
