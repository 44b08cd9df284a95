package test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
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

// orderStep is the step of workflows/order.yml as a runner has it, for a job with
// inputs: the action's script, with what the workflow and action.yml give it.
func orderStep(t *testing.T, inputs map[string]string, env ...string) *exec.Cmd {
	t.Helper()
	var definition struct {
		Inputs map[string]struct{ Default string }
		Runs   struct{ Steps []step }
	}
	if err := yaml.Unmarshal([]byte(read(t, "action/action.yml")), &definition); err != nil {
		t.Fatal(err)
	}
	steps := readWorkflow(t, "workflows/order.yml").Jobs["order"].Steps
	if len(steps) != 1 || steps[0].Uses != action {
		t.Fatalf("the order's steps are %+v", steps)
	}
	expression := regexp.MustCompile(`\$\{\{ (\S+) \}\}`)
	command := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", definition.Runs.Steps[0].Run)
	command.Dir = t.TempDir()
	path, err := filepath.Abs("../action")
	if err != nil {
		t.Fatal(err)
	}
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "GITHUB_ACTION_PATH=" + path}
	for name, value := range definition.Runs.Steps[0].Env {
		input := strings.TrimPrefix(expression.FindStringSubmatch(value)[1], "inputs.")
		given, ok := steps[0].With[input]
		if !ok {
			given = definition.Inputs[input].Default
		}
		given = expression.ReplaceAllStringFunc(given, func(e string) string {
			value, known := inputs[expression.FindStringSubmatch(e)[1]]
			if !known {
				t.Errorf("%s is given %s", input, e)
			}
			return value
		})
		command.Env = append(command.Env, name+"="+given)
	}
	command.Env = append(command.Env, env...)
	return command
}

// TestOrdersAreAccepted runs the order's step as a job of each environment against a
// real tallyman, under the rules of docs/adopt.md.
func TestOrdersAreAccepted(t *testing.T) {
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
			a := adopted(t)
			a.github.claims = test.claims
			files := t.TempDir()
			command := orderStep(t, map[string]string{"vars.TALLYMAN_URL": a.public, "github.repository_owner": "myshop",
				"inputs.app": "myshop-api", "inputs.environment": test.environment, "inputs.tag": test.tag, "inputs.digest": "", "inputs.revision": strings.Repeat("a1", 20), "inputs.wait": "proposed", "inputs.timeout": "10m"},
				// The audience is tallyman's public address, which here is a name for it. Nothing is written here, so none waits.
				"AUDIENCE="+adoptAudience, "WAIT=false", "GITHUB_REPOSITORY_ID=901234567", "GITHUB_RUN_ID=42", "GITHUB_RUN_ATTEMPT=1",
				"GITHUB_OUTPUT="+filepath.Join(files, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(files, "summary"),
				"ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token", "ACTIONS_ID_TOKEN_REQUEST_URL="+a.github.request)
			out, err := command.CombinedOutput()
			if test.refused == "" && (err != nil || !strings.Contains(string(out), "is accepted")) {
				t.Errorf("%v\n%s", err, out)
			}
			if test.refused != "" && (err == nil || !strings.Contains(string(out), test.refused)) {
				t.Errorf("it was to be refused: %v\n%s", err, out)
			}
		})
	}
}
