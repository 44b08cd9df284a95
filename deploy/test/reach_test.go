package test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	adoptAudience = "https://tallyman.myshop.example"
	adoptSecret   = "this-is-not-a-real-secret"
)

// adoption is a running tallyman with the configuration of docs/adopt.md, but for its
// addresses and the files of its secrets.
type adoption struct {
	t      *testing.T
	github *github
	public string
	tokens []string // the names in api.tokens; each has adoptSecret
}

// adoptConfig is the part config of tallyman-values.yaml in docs/adopt.md, with the
// example's names.
func adoptConfig(t *testing.T) map[string]any {
	t.Helper()
	text := adoptScript(t)
	start, end := strings.Index(text, "<<END\n")+len("<<END\n"), strings.Index(text, "\nEND\n")
	if end < start {
		t.Fatal("docs/adopt.md has no tallyman-values.yaml")
	}
	text = strings.NewReplacer("$ORG", "myshop", "$DOMAIN", "myshop.example", "$REPOSITORY_ID", "901234567", "$OWNER_ID", "81234567",
		"$APP_ID", "1", "$MANIFESTS_ID", "923456781", "$REGISTRY", "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com").Replace(text[start:end])
	var values struct{ Config map[string]any }
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values.Config
}

// adopted starts it, with changes of its configuration.
func adopted(t *testing.T, changes ...func(config map[string]any, dir string)) *adoption {
	t.Helper()
	dir, a := t.TempDir(), &adoption{t: t, github: newGitHub(t, nil)}
	config := adoptConfig(t)
	secret := filepath.Join(dir, "secret")
	config["listen"], config["adminListen"], config["probeListen"], config["store"] = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "sqlite://"+dir+"/tallyman.db"
	config["manifests"] = map[string]any{"url": "http://127.0.0.1:1/nobody.git"}
	config["sources"].(map[string]any)["github"].(map[string]any)["secretFiles"] = []string{secret}
	api := config["api"].(map[string]any)
	for _, token := range api["tokens"].([]any) {
		token := token.(map[string]any)
		token["file"] = secret
		a.tokens = append(a.tokens, token["name"].(string))
	}
	oidc := api["oidc"].(map[string]any)
	if oidc["audience"] != adoptAudience {
		t.Errorf("the audience is %v", oidc["audience"])
	}
	config["limits"].(map[string]any)["refusedPerMinute"] = 100_000 // what is refused is refused by a rule
	oidc["issuers"], oidc["caFile"] = []string{a.github.issuer.URL}, a.github.caFile
	for _, change := range changes {
		change(config, dir)
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"secret": adoptSecret, "tallyman.yaml": string(text)})
	a.public = "http://" + serve(t, filepath.Join(dir, "tallyman.yaml")).Listen
	return a
}

// send returns the status of an answer and the environments that it accepted updates
// for.
func (a *adoption) send(path, body string, header map[string]string) (status int, environments []string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.public+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var answer struct {
		Updates []struct{ Environment string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		a.t.Errorf("%s is answered %s: %v", path, text, err)
	}
	for _, u := range answer.Updates {
		environments = append(environments, u.Environment)
	}
	return resp.StatusCode, environments
}

func (a *adoption) dispatch(id, repository string, number int, sender string, senderID int, payload string) (int, []string) {
	body := fmt.Sprintf(`{"action": "update-image", "client_payload": %s, "repository": {"id": %d, "full_name": %q}, "sender": {"login": %q, "id": %d}, "installation": {"id": 1}}`,
		payload, number, repository, sender, senderID)
	mac := hmac.New(sha256.New, []byte(adoptSecret))
	mac.Write([]byte(body))
	return a.send("/webhooks/github", body, map[string]string{"X-GitHub-Event": "repository_dispatch", "X-GitHub-Delivery": id,
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))})
}

func (a *adoption) order(id, bearer, environment string) (int, []string) {
	return a.send("/api/v1/updates", `{"app": "myshop-api", "environment": "`+environment+`", "tag": "1.4.2"}`,
		map[string]string{"Authorization": "Bearer " + bearer, "Idempotency-Key": id})
}

// TestAdoptReachesProdByOneWay orders a version by every way in that docs/adopt.md
// configures, as everybody who could, and finds that only the job that reviewers have
// approved reaches prod.
func TestAdoptReachesProdByOneWay(t *testing.T) {
	t.Parallel()
	a := adopted(t)
	n := 0
	id := func() string { n++; return fmt.Sprintf("attempt-%d", n) }
	for repository, number := range map[string]int{"myshop/myshop-manifests": 923456781, "myshop/myshop-api": 901234567, "myshop/other": 7, "mallory/myshop-manifests": 8} {
		for sender, senderID := range map[string]int{"ann": 3, "myshop-tallyman[bot]": 4, "mallory": 5} {
			for _, payload := range []string{`{"app": "myshop-api", "env": "prod", "tag": "1.4.2"}`, `{"app": "myshop-api", "tag": "1.4.2"}`} {
				if status, got := a.dispatch(id(), repository, number, sender, senderID, payload); slices.Contains(got, "prod") {
					t.Errorf("the dispatch %s of %s by %s is answered %d, for %v", payload, repository, sender, status, got)
				}
			}
		}
	}
	if status, got := a.dispatch(id(), "myshop/myshop-manifests", 923456781, "ann", 3, `{"app": "myshop-api", "env": "dev", "tag": "main-1a2b3c4"}`); !slices.Equal(got, []string{"dev"}) {
		t.Errorf("a dispatch to dev is answered %d, for %v: is this test blind?", status, got)
	}
	for _, name := range a.tokens {
		if status, got := a.order(id(), adoptSecret, "prod"); status != http.StatusForbidden || len(got) > 0 {
			t.Errorf("the order of token %s is answered %d, for %v", name, status, got)
		}
	}
	for _, path := range []string{"/webhooks/ecr", "/webhooks/sns"} {
		if status, _ := a.send(path, "{}", nil); status != http.StatusNotFound {
			t.Errorf("%s is answered %d", path, status)
		}
	}
	if len(a.tokens) == 0 {
		t.Error("there is no token: is this test blind?")
	}
	a.everyJob(id)
}

// everyJob orders as jobs that differ in each of what GitHub says of a job.
func (a *adoption) everyJob(id func() string) {
	a.t.Helper()
	reached := 0
	for _, environment := range []string{"", "dev", "staging", "prod", "Prod", "production"} {
		for _, ref := range []string{"refs/heads/main", "refs/heads/v1.4.2", "refs/tags/v1.4.2", "refs/tags/x/v1.4.2", "refs/pull/1/merge"} {
			for _, event := range []string{"push", "workflow_dispatch", "release", "pull_request", "pull_request_target", "schedule"} {
				for _, workflow := range []string{"release.yml", "build.yml"} {
					for _, owner := range []string{"81234567", "999"} {
						claims := job(environment, ref, event)
						claims["workflow_ref"], claims["repository_owner_id"] = "myshop/myshop-api/.github/workflows/"+workflow+"@"+ref, owner
						a.github.claims = claims
						gated := environment == "prod" && ref == "refs/tags/v1.4.2" && event == "workflow_dispatch" && workflow == "release.yml" && owner == "81234567"
						status, got := a.order(id(), a.github.token(adoptAudience), "prod")
						reaches := slices.Equal(got, []string{"prod"}) && status == http.StatusAccepted
						refused := len(got) == 0 && (status == http.StatusForbidden || status == http.StatusUnauthorized)
						if reaches != gated || refused == gated {
							a.t.Errorf("a job in %q on %s by %s of %s, owner %s, is answered %d, for %v", environment, ref, event, workflow, owner, status, got)
						} else if reaches {
							reached++
						}
					}
				}
			}
		}
	}
	if reached != 1 {
		a.t.Errorf("prod is reached in %d ways", reached)
	}
}

// TestAdoptWithPushes configures EventBridge as the section "Other ways" of
// docs/adopt.md says, and finds that a push reaches dev and staging at most.
func TestAdoptWithPushes(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile("(?s)`- (\\{who: \\{push: .*?\\})`").FindStringSubmatch(read(t, "../docs/adopt.md"))
	if rule == nil {
		t.Fatal("docs/adopt.md has no rule for pushes")
	}
	a := adopted(t, func(config map[string]any, dir string) {
		var push any
		if err := yaml.Unmarshal([]byte(strings.Replace(rule[1], "[...]", `["123456789012"]`, 1)), &push); err != nil {
			t.Fatal(err)
		}
		config["sources"].(map[string]any)["eventbridge"] = map[string]any{"secretFiles": []string{filepath.Join(dir, "secret")}}
		config["access"] = append(config["access"].([]any), push)
	})
	for _, c := range []struct {
		account string
		want    []string
	}{{"123456789012", []string{"staging"}}, {"210987654321", nil}} {
		body := bytes.ReplaceAll([]byte(pushed), []byte("ACCOUNT"), []byte(c.account))
		if status, got := a.send("/webhooks/ecr", string(body), map[string]string{"X-Tallyman-Key": adoptSecret}); !slices.Equal(got, c.want) {
			t.Errorf("a push in account %s is answered %d, for %v", c.account, status, got)
		}
	}
}

const pushed = `{"version": "0", "id": "push-ACCOUNT", "detail-type": "ECR Image Action", "source": "aws.ecr", "account": "ACCOUNT",
	"time": "2026-01-02T15:04:05Z", "region": "ap-northeast-2", "resources": [], "detail": {"result": "SUCCESS", "repository-name": "myshop-api",
	"image-digest": "sha256:0000000000000000000000000000000000000000000000000000000000000007", "action-type": "PUSH", "image-tag": "1.4.2"}}`
