package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
)

// A connection of type OAUTH_CLIENT_CREDENTIALS asks for a token and then sends
// events with it.
func TestEventBridgeWithOAuth(t *testing.T) {
	s := newSite(t)
	s.edit("eventbridge: {", "eventbridge: {auth: oauth, username: bridge, ")
	r := s.start()
	ask := func(secret string) response {
		req := r.request(http.MethodPost, "/webhooks/ecr/token", "grant_type=client_credentials")
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("bridge", secret)
		return r.do(req)
	}
	if p := ask("guess").problem(t, 401); p.Code != gitops.Unauthorized {
		t.Errorf("answered %+v", p)
	}
	answer := ask(bridgeSecret)
	var token ecr.Token
	if err := json.Unmarshal([]byte(answer.body), &token); err != nil || answer.StatusCode != 200 || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("answered %s %v %s", answer.Status, answer.Header, answer.body)
	}
	said.Forbid(token.AccessToken)
	send := func(authorization, id string) response {
		req := r.request(http.MethodPost, "/webhooks/ecr", push(id, "main-1a2b3c4"))
		req.Header.Set("Authorization", authorization)
		return r.do(req)
	}
	send("Bearer "+token.AccessToken, "d1").delivery(t, 202)
	send("Bearer "+token.AccessToken+"x", "d2").problem(t, 401)
	send("", "d3").problem(t, 401)
	if got := gather(t, r.Server)[`tallyman_deliveries_total{outcome="unauthorized",source="eventbridge"}`]; got != 3 {
		t.Errorf("%v are counted as unauthorized", got)
	}
	// Without oauth there is no such path.
	plain := newSite(t).start()
	plain.do(plain.request(http.MethodPost, "/webhooks/ecr/token", "")).problem(t, 404)
}

func TestEventBridgeWithBasic(t *testing.T) {
	s := newSite(t)
	s.edit("eventbridge: {", "eventbridge: {auth: basic, ")
	r := s.start()
	req := r.request(http.MethodPost, "/webhooks/ecr", push("d1", "main-1a2b3c4"))
	req.SetBasicAuth("tallyman", bridgeSecret)
	r.do(req).delivery(t, 202)
	r.do(r.ecr(bridgeSecret, push("d2", "main-1a2b3c4"))).problem(t, 401)
}

// A dispatch that no rule allows is kept, with the reason, and nothing is written.
func TestADispatchThatNoRuleAllows(t *testing.T) {
	s := newSite(t)
	s.edit(`repositoryID: 17}}, may: [order], apps: ["*"], environments: ["*"]}`, `repositoryID: 17, senders: [ann]}}, may: [order], apps: [api], environments: [dev]}`)
	r := s.start()
	from := func(id, repository string) string {
		return strings.Replace(order("api", "dev", "main-1a2b3c4"), `"repository": {"id": 17, "full_name": "shop/api"}`, `"repository": {"id": `+id+`, "full_name": "`+repository+`"}`, 1)
	}
	r.do(r.github(oldSecret, "d1", from("17", "shop/api"))).delivery(t, 202)
	p := r.do(r.github(oldSecret, "d2", from("18", "shop/api"))).problem(t, 422)
	if p.Field != "repository" || !strings.Contains(p.Detail, "no rule of access is for dispatches of the repository shop/api (id 18)") {
		t.Errorf("answered %+v", p)
	}
	if d, found := r.stored("github", "d2"); !found || d.Outcome != gitops.OutcomeRejected || len(d.Updates) > 0 || d.Reason == "" {
		t.Errorf("kept %+v", d)
	}
}

// Each secret is replaced while deliveries come in, signed with the old one by
// some and with the new one by others, and none of them is refused.
func TestSecretsAreReplacedUnderLoad(t *testing.T) {
	s := newSite(t)
	s.edit("secretFiles: ["+s.dir+"/bridge]", "secretFiles: ["+s.dir+"/bridge, "+s.dir+"/bridge2]")
	replace := func(secret string, names ...string) {
		for _, name := range names {
			next := filepath.Join(s.dir, "next")
			s.must(os.WriteFile(next, []byte(secret), 0o600))
			s.must(os.Rename(next, filepath.Join(s.dir, name)))
		}
	}
	replace(bridgeSecret, "bridge2")
	replace(oldSecret, "new")
	r := s.start()
	const rotated = "r0tated-s3cret-of-2026"
	said.Forbid(rotated)

	var sent atomic.Int64
	taken := make(chan struct{}, 1000)
	senders := func(hook, bridge string) (stop func()) {
		done := make(chan struct{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					id := fmt.Sprintf("d%d", sent.Add(1))
					r.do(r.github(hook, id, order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
					r.do(r.ecr(bridge, push(id, "main-1a2b3c4"))).delivery(t, 202)
					select {
					case taken <- struct{}{}:
					default:
					}
				}
			})
		}
		return func() { close(done); all.Wait() }
	}
	some := func() {
		for range 20 {
			<-taken
		}
	}
	stopOld := senders(oldSecret, bridgeSecret)
	some()
	replace(rotated, "new", "bridge2")
	stopNew := senders(rotated, rotated) // who was told of the new secret already
	some()
	stopOld()
	replace(rotated, "old", "bridge")
	some()
	stopNew()
	r.do(r.github(oldSecret, "gone", order("api", "dev", "main-1a2b3c4"))).problem(t, 401)
	r.do(r.ecr(bridgeSecret, push("gone", "main-1a2b3c4"))).problem(t, 401)
}
