package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// response is an answer, read.
type response struct {
	*http.Response
	body string
}

// do sends a request to the public listener.
func (r *running) do(req *http.Request) response {
	r.t.Helper()
	return send(r.t, req)
}

func send(t testing.TB, req *http.Request) response {
	t.Helper()
	return do(t, http.DefaultClient, req)
}

// do sends a request and notes what is answered.
func do(t testing.TB, client *http.Client, req *http.Request) response {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(req.URL.Path, "/token") { // whose answer is a secret
		fmt.Fprintln(&said, resp.Header, string(body))
	}
	return response{resp, string(body)}
}

// admin asks the admin listener.
func (r *running) admin(path string) response {
	r.t.Helper()
	return r.get(r.AdminAddr(), path)
}

// probe asks the listener for probes.
func (r *running) probe(path string) response {
	r.t.Helper()
	return r.get(r.ProbeAddr(), path)
}

func (r *running) get(address, path string) response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return send(r.t, req)
}

// request is a request to the public listener, without any credential.
func (r *running) request(method, path, body string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.Addr()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

// github is a delivery as GitHub sends it.
func (r *running) github(secret, id, body string) *http.Request {
	r.t.Helper()
	body = strings.Replace(body, `"nonce": "-"`, fmt.Sprintf(`"nonce": %q`, id), 1)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	signature := hex.EncodeToString(mac.Sum(nil))
	said.Forbid(signature)
	req := r.request(http.MethodPost, "/webhooks/github", body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "repository_dispatch")
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", "sha256="+signature)
	return req
}

// order is a dispatch of an image. github makes it another one for each id.
func order(app, environment, tag string) string {
	return fmt.Sprintf(`{"action": "update-image", "client_payload": {"app": %q, "env": %q, "tag": %q, "nonce": "-"}, "repository": {"id": 17, "full_name": "shop/api"}, "sender": {"login": "ann", "id": 3}}`,
		app, environment, tag)
}

// ecr is a delivery as EventBridge sends it.
func (r *running) ecr(secret, body string) *http.Request {
	r.t.Helper()
	req := r.request(http.MethodPost, "/webhooks/ecr", body)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-Tallyman-Key", secret)
	return req
}

// push is an image's event; an id and a tag.
func push(id, tag string) string {
	return pushAt(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), id, tag)
}

func pushAt(at time.Time, id, tag string) string {
	return fmt.Sprintf(`{"version": "0", "id": %q, "detail-type": "ECR Image Action", "source": "aws.ecr", "account": "123456789012",
		"time": %q, "region": "eu-west-1", "resources": [], "detail": {"result": "SUCCESS", "repository-name": "shop/api",
		"image-digest": "sha256:%064d", "action-type": "PUSH", "image-tag": %q}}`, id, at.UTC().Format(time.RFC3339), 7, tag)
}

// delivery is an answer as a delivery.
func (r response) delivery(t testing.TB, status int) gitops.Delivery {
	t.Helper()
	var d gitops.Delivery
	if err := json.Unmarshal([]byte(r.body), &d); err != nil || r.StatusCode != status || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answered %s %s %s, want %d: %v", r.Status, r.Header.Get("Content-Type"), r.body, status, err)
	}
	return d
}

// problem is an answer as a problem, complete and strict.
func (r response) problem(t testing.TB, status int) problem {
	t.Helper()
	var p problem
	decoder := json.NewDecoder(strings.NewReader(r.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil || r.StatusCode != status || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("answered %s %s %s, want %d: %v", r.Status, r.Header.Get("Content-Type"), r.body, status, err)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Status != status || p.Detail == "" || p.Code == "" {
		t.Errorf("the problem is incomplete: %s", r.body)
	}
	return p
}
