package test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// github is the part of GitHub that gives a job its token: the issuer, over TLS,
// and the runner's service, which the job asks.
type github struct {
	t       *testing.T
	key     *rsa.PrivateKey
	issuer  *httptest.Server
	runner  *httptest.Server
	claims  map[string]any
	caFile  string
	request string // ACTIONS_ID_TOKEN_REQUEST_URL
}

func newGitHub(t *testing.T, claims map[string]any) *github {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &github{t: t, key: key, claims: claims}
	g.issuer = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			g.answer(w, map[string]any{"issuer": g.issuer.URL, "jwks_uri": g.issuer.URL + "/.well-known/jwks",
				"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}})
		case "/.well-known/jwks":
			g.answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
				"n": encode(key.N.Bytes()), "e": "AQAB"}}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(g.issuer.Close)
	g.runner = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		g.answer(w, map[string]any{"value": g.token(r.URL.Query().Get("audience"))})
	}))
	t.Cleanup(g.runner.Close)
	g.request = g.runner.URL + "/token?api-version=2.0"
	dir := t.TempDir()
	write(t, dir, map[string]string{"ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.issuer.Certificate().Raw}))})
	g.caFile = filepath.Join(dir, "ca.pem")
	return g
}

func encode(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }

func (g *github) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		g.t.Error(err)
	}
}

// token signs the job's claims for an audience.
func (g *github) token(audience string) string {
	claims := maps.Clone(g.claims)
	now := time.Now()
	maps.Copy(claims, map[string]any{"iss": g.issuer.URL, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()})
	body, err := json.Marshal(claims)
	if err != nil {
		g.t.Error(err)
	}
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + encode(body)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, g.key, crypto.SHA256, digest[:])
	if err != nil {
		g.t.Error(err)
	}
	return signed + "." + encode(signature)
}

// job is what GitHub says of a job of the example's repository. Its sub has the
// newer of its two shapes, which nobody looks at.
func job(environment, ref, event string) map[string]any {
	return map[string]any{
		"sub":        "repo:myshop@81234567/myshop-api@901234567:environment:" + environment,
		"repository": "myshop/myshop-api", "repository_id": "901234567", "repository_owner": "myshop", "repository_owner_id": "81234567",
		"ref": ref, "ref_protected": "true", "environment": environment, "event_name": event, "actor": "ann", "run_id": "42", "run_attempt": "1",
		"workflow_ref":     "myshop/myshop-api/.github/workflows/release.yml@" + ref,
		"job_workflow_ref": "myshop/myshop-api/.github/workflows/order.yml@" + ref,
	}
}

const oidcConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests: {url: "http://127.0.0.1:1/nobody.git"}
sources: {github: {secretFiles: [%[1]s/secret]}}
environments: {dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}, staging: {tags: {semver: ">=1.0.0-0"}}, prod: {tags: {semver: ">=1.0.0"}}}
apps: {myshop-api: {}}
api:
  oidc:
    audience: %[2]s
    issuers: [%[3]s]
    caFile: %[4]s
  tokens: [{name: platform, file: %[1]s/secret}]
access: %[5]s
`

// TestOrdersAreBelieved runs the order's script as a job of each environment
// against a real tallyman, under the rules of docs/adopt.md.
func TestOrdersAreBelieved(t *testing.T) {
	const main, release = "refs/heads/main", "refs/tags/v1.4.2"
	for _, test := range []struct {
		name, environment, tag string
		claims                 map[string]any
		refused                string
	}{
		{"main to dev", "dev", "main-1a2b3c4d5e6f", job("dev", main, "push"), ""},
		{"a version to staging", "staging", "1.4.2", job("staging", release, "push"), ""},
		{"a version to prod", "prod", "1.4.2", job("prod", release, "workflow_dispatch"), ""},
		{"a branch to dev", "dev", "main-1a2b3c4d5e6f", job("dev", "refs/heads/mine", "push"), "may not order"},
		{"prod without its reviewers", "prod", "1.4.2", job("staging", release, "push"), "may not order"},
		{"prod by a push", "prod", "1.4.2", job("prod", release, "push"), "may not order"},
		{"a tag that dev does not take", "dev", "1.4.2", job("dev", main, "push"), "tag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, audience := t.TempDir(), "https://tallyman.myshop.example"
			g := newGitHub(t, test.claims)
			rules, err := json.Marshal(adoptAccess(t))
			if err != nil {
				t.Fatal(err)
			}
			config := fmt.Sprintf(oidcConfig, dir, audience, g.issuer.URL, g.caFile, rules)
			write(t, dir, map[string]string{"secret": "this-is-not-a-real-secret", "tallyman.yaml": config})
			public, _ := serve(t, filepath.Join(dir, "tallyman.yaml"))
			// The audience is tallyman's public address, which here is a name for it.
			command := script(t, "workflows/order.yml", "order", "Order", "TALLYMAN_URL="+audience, "APP=myshop-api", "ENVIRONMENT="+test.environment,
				"TAG="+test.tag, "DIGEST=", "GITHUB_RUN_ID=42", "GITHUB_RUN_ATTEMPT=1",
				"ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token", "ACTIONS_ID_TOKEN_REQUEST_URL="+g.request)
			last := len(command.Args) - 1
			command.Args[last] = strings.Replace(command.Args[last], `"$TALLYMAN_URL/api/v1/updates"`, public+"/api/v1/updates", 1)
			out, err := command.CombinedOutput()
			if test.refused == "" && (err != nil || !strings.Contains(string(out), `"outcome":"accepted"`)) {
				t.Errorf("%v\n%s", err, out)
			}
			if test.refused != "" && (err == nil || !strings.Contains(string(out), test.refused)) {
				t.Errorf("it was to be refused: %v\n%s", err, out)
			}
		})
	}
}
