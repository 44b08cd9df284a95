package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// heldSite is a site of one app whose token may hold, and the tallyman that serves it.
type heldSite struct {
	*site
	ctx   context.Context
	child *child
	base  string
	asked int // requests, for their keys
}

func newHeldSite(t *testing.T) *heldSite {
	t.Helper()
	h := &heldSite{site: newSite(t, 1), ctx: deadline(t)}
	h.mayHold()
	return h
}

// mayHold gives the site's token the rights to hold, and to roll back.
func (s *site) mayHold() {
	s.t.Helper()
	text, err := os.ReadFile(s.config())
	s.must(err)
	wide := strings.Replace(string(text), "[read, order, retry, cancel]", "[read, order, retry, cancel, rollback, hold, stop]", 1)
	s.must(os.WriteFile(s.config(), []byte(wide), 0o600))
}

func (h *heldSite) begin() {
	h.t.Helper()
	h.child, h.base, _ = h.start(h.ctx)
}

// dispatch sends a release of the app to prod, as GitHub does.
func (h *heldSite) dispatch(base, tag string) {
	h.t.Helper()
	d := dispatch{App: []string{"app-00"}, Environment: []string{"prod"}, Tag: tag, eventType: "update-image", actor: "ann", repositoryID: 1}
	req, err := d.request(base, h.secret, "dispatch-of-"+tag)
	h.must(err)
	resp, err := http.DefaultClient.Do(req.WithContext(h.ctx))
	h.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		h.t.Fatalf("%s: %s", tag, resp.Status)
	}
}

// ask asks the API, and reads its answer into what is given.
func (h *heldSite) ask(method, address, body string, into any) {
	h.t.Helper()
	h.asked++
	req, err := http.NewRequestWithContext(h.ctx, method, address, strings.NewReader(body))
	h.must(err)
	req.Header.Set("Authorization", "Bearer s3cret-of-the-api-and-long")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprint("request-", h.asked))
	resp, err := http.DefaultClient.Do(req)
	h.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	h.must(err)
	if resp.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s %s: %s: %s", method, address, body, resp.Status, answer)
	}
	if into != nil {
		h.must(json.Unmarshal(answer, into))
	}
}

// placed is the answer to a hold that was placed.
type placed struct {
	Hold gitops.Hold `json:"hold"`
	Stop struct {
		UnderWay      []string `json:"underWay"`
		OtherReplicas []string `json:"otherReplicas"`
	} `json:"stop"`
}

func (h *heldSite) place(base, body string) (p placed) {
	h.t.Helper()
	h.ask("POST", base+"/api/v1/holds", body, &p)
	return p
}

// inForce are the kinds of the holds in force, in the order in which they were placed.
func (h *heldSite) inForce() (kinds []string) {
	h.t.Helper()
	var found struct{ Holds []gitops.Hold }
	h.ask("GET", h.base+"/api/v1/holds", "", &found)
	for _, hold := range found.Holds { // the newest first
		kinds = append([]string{string(hold.Kind)}, kinds...)
	}
	return kinds
}

// awaitHeld waits for the log's line of an update that is held.
func (h *heldSite) awaitHeld(c *child) {
	h.t.Helper()
	h.must(c.await(h.ctx, func(line map[string]any) bool { return line["msg"] == "update held" }))
}

// subjects are those of the commits since the first, the oldest first.
func (h *heldSite) subjects() (all []string) {
	h.t.Helper()
	commits, err := h.repository.Log("main", h.first)
	h.must(err)
	for _, c := range commits {
		all = append(all, c.Subject)
	}
	return all
}

func (h *heldSite) expectSubjects(want ...string) {
	h.t.Helper()
	if got := h.subjects(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		h.t.Errorf("the branch has %q, want %q", got, want)
	}
}

func bumped(tag string) string { return fmt.Sprintf("chore: bump app-00 to %s (prod)", tag) }
