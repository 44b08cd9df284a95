package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Whoever may roll back and not order goes back to what was there, and to nothing else: the
// right to roll back is not one to order any image.
func TestARollbackIsNoOrder(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read, rollback]}\n")
	s.edit(`prod: {tags: {semver: ">=1.0.0"}}`, `prod: {tags: {match: '.*'}}`)
	r := s.start()
	digest := "sha256:" + strings.Repeat("a", 64)
	d := r.order("", `{"app": "api", "environment": "prod", "tag": "1.4.0", "digest": "`+digest+`"}`).delivery(t, 202)
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Fatalf("%+v", u)
	}
	r.prod("1.4.1")
	said := map[string]string{
		"tag":    `tag: as far as the branch and the updates were searched, api in prod never had 9.9.9, and to go to it is an order. token board may not order api in prod: the nearest rule, access[3], does not hold: right "order" is not among read, rollback (change that rule, or add one to access in the configuration). Or name a tag that it had: tallyman history api --env prod`,
		"digest": "digest: as far as the branch and the updates were searched, api in prod never had 1.4.0 with that digest, and to go to it is an order. token board may not order",
	}
	for _, c := range []struct {
		name, token, image, field string
	}{
		{"a tag that was never there", readToken, `"tag": "9.9.9"`, "tag"},
		{"another digest of one that was", readToken, `"tag": "1.4.0", "digest": "sha256:` + strings.Repeat("b", 64) + `"`, "digest"},
		{"another digest of the last one", readToken, `"digest": "sha256:` + strings.Repeat("b", 64) + `"`, "digest"},
		{"a tag that an update wrote", readToken, `"tag": "1.4.0"`, ""},
		{"with its digest", readToken, `"tag": "1.4.0", "digest": "` + digest + `"`, ""},
		{"a tag that the branch had alone", readToken, `"tag": "main-0000000"`, ""},
		{"the last one", readToken, `"keep": true`, ""},
		{"any tag, by who may order it", apiToken, `"tag": "9.9.9"`, ""},
	} {
		body := fmt.Sprintf(`{"app": "api", "environment": "prod", "reason": "r", %s}`, c.image)
		for _, dry := range []string{"?dryRun=true", ""} {
			if c.field == "" && dry == "" {
				continue // the dry run says as much
			}
			answer := r.call(c.token, "POST", "/api/v1/rollbacks"+dry, body)
			if c.field == "" {
				if answer.StatusCode != 200 {
					t.Errorf("%s: %s %s", c.name, answer.Status, answer.body)
				}
			} else if p := answer.problem(t, 403); p.Field != c.field || !strings.HasPrefix(p.Detail, said[c.field]) {
				t.Errorf("%s: %+v", c.name, p)
			}
		}
	}
	refused := r.audited(6, url.Values{"act": {"refuse"}, "principal": {"token:board"}})
	if len(refused) != 6 || refused[0].Right != gitops.RightOrder || len(read[api.HoldList](r, "/api/v1/holds").Holds) != 0 {
		t.Errorf("the audit has %+v", refused)
	}
}
