package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// dispatched is a dispatch without a nonce, as a caller of GitHub's API sends it.
func dispatched(repository, tag string) string {
	return fmt.Sprintf(`{"action":"update-image","client_payload":{"app":"api","env":"prod","tag":%q},"repository":%s,"sender":{"login":"ann","id":3}}`, tag, repository)
}

const shopAPI = `{"id":17,"full_name":"shop/api"}`

// A dispatch that was recorded is sent again, under other ids and written in other ways:
// it takes nothing back.
func TestARecordedDispatchCountsOnceHoweverItIsWritten(t *testing.T) {
	s := newSite(t)
	r := s.start()
	first := dispatched(shopAPI, "v1.0.0")
	r.do(r.github(newSecret, "d1", first)).delivery(t, http.StatusAccepted)
	r.do(r.github(newSecret, "d2", dispatched(shopAPI, "v1.1.0"))).delivery(t, http.StatusAccepted)
	for name, body := range map[string]string{
		"as-it-was":   first,
		"white-space": strings.ReplaceAll(first, `,"`, ",\n  \""),
		"order":       `{"sender":{"id":3,"login":"ann"},"repository":{"full_name":"shop/api","id":17},"client_payload":{"tag":"v1.0.0","env":"prod","app":"api"},"action":"update-image"}`,
		"escapes":     strings.ReplaceAll(first, "shop/api", `shop\/\u0061pi`),
	} {
		for _, form := range []bool{false, true} {
			id := fmt.Sprintf("%s-%t", name, form)
			if form {
				body = "payload=" + url.QueryEscape(body)
			}
			req := r.github(newSecret, id, body)
			if form {
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			a := r.do(req)
			if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "received before as github/d1") {
				t.Errorf("%s: %d %s", id, a.StatusCode, a.body)
			}
			if _, kept := r.stored("github", id); kept {
				t.Errorf("%s is kept as a delivery of its own", id)
			}
		}
	}
	if updates := read[struct{ Updates []gitops.Update }](r, "/api/v1/updates").Updates; len(updates) != 2 {
		t.Errorf("there are %d updates", len(updates))
	}
	// Each order has its line; what is known already ordered nothing and was refused
	// nothing, so it has none.
	r.expectAudit("order dispatch:17 github/d1", "order dispatch:17 github/d2")
}

// A dispatch whose repository cannot be read is nobody's: it orders nothing, and the
// audit has it.
func TestADispatchOfNobodyOrdersNothing(t *testing.T) {
	s := newSite(t)
	r := s.start()
	repositories := map[string]string{
		"text": `{"id":"17"}`, "fraction": `{"id":17.0}`, "exponent": `{"id":17e0}`, "huge": `{"id":18446744073709551633}`, "negative": `{"id":-17}`, "null": `null`,
		"list": `[{"id":17}]`, "letters": `{"ID":17}`, "within": `{"owner":{"id":17}}`, "twice": shopAPI + `,"repository":{"id":18,"full_name":"shop/api"}`,
		"id-twice": `{"id":17,"id":18}`, "another": `{"id":18,"full_name":"shop/api"}`,
	}
	for name, repository := range repositories {
		a := r.do(r.github(newSecret, name, dispatched(repository, "v1.0.0")))
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.body, `"field":"repository"`) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	written := make(map[string]bool) // by delivery; the audit is written beside the answer
	for len(written) < len(repositories) {
		found, _, err := r.store.AuditEntries(t.Context(), queue.AuditFilter{Act: gitops.ActRefuse}, queue.Page{Limit: 100})
		s.must(err)
		for _, e := range found {
			written[e.Delivery] = true
		}
	}
	r.stop()
	if content := s.on(gitserver.ValuesFile("api", "prod")); strings.Contains(content, "v1.0.0") {
		t.Errorf("the branch says\n%s", content)
	}
}

// Whoever may order nothing sends one large dispatch of no interest after another: a
// part of a bounded number is kept.
func TestWhatIsIgnoredDoesNotFillTheStore(t *testing.T) {
	s := newSite(t)
	r := s.start()
	const bound = 300
	large := strings.Replace(dispatched(`{"id":666,"full_name":"eve/eve"}`, strings.Repeat("x", 50<<10)), "update-image", "of-no-interest", 1)
	kept := 0
	for i := range bound + 5 {
		id := fmt.Sprint("d", i)
		if a := r.do(r.github(newSecret, id, large)); a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		if d, ok := r.stored("github", id); ok {
			kept++
			if len(d.Body) > 1<<10 {
				t.Fatalf("%d bytes are kept", len(d.Body))
			}
		}
	}
	if kept != bound {
		t.Errorf("%d are kept, want %d", kept, bound)
	}
	r.expectAudit() // who asks for nothing is refused nothing
}
