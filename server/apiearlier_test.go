package server

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// The right rollback goes to what was there before: by the store, or by the branch where the
// store knows nothing of it. What is new, by its tag or its digest, takes the rights of an
// order that passes what holds it.
func TestRollbackIsToWhatWasThere(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read, order, rollback]}\n")
	digest := "sha256:" + strings.Repeat("a", 64)
	r := s.start()
	r.prod("1.4.0")
	s.commit(map[string]string{gitserver.ValuesFile("api", "prod"): gitserver.Values("api", "prod", "1.3.9")})
	d := r.order("", strings.Replace(order150, "{", `{"digest": "`+digest+`", `, 1)).delivery(t, 202)
	if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Fatalf("%+v", u)
	}
	r.prod("1.6.0")
	act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", freezeProd, 201)
	to := func(fields string) string { return strings.Replace(rollProd, "{", "{"+fields+", ", 1) }
	other := "sha256:" + strings.Repeat("b", 64)
	for _, fields := range []string{`"tag": "9.9.9"`, `"tag": "1.4.0", "digest": "` + digest + `"`, `"tag": "1.5.0", "digest": "` + other + `"`, `"digest": "` + other + `"`} {
		for _, dry := range []string{"", "?dryRun=true"} {
			p := r.call(readToken, "POST", "/api/v1/rollbacks"+dry, to(fields)).problem(t, 403)
			if !strings.Contains(p.Detail, "as far as is known, so a rollback to it takes the rights order and override, too: token board may not override api in prod") {
				t.Errorf("%s: %s", fields, p.Detail)
			}
		}
		if a := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks?dryRun=true", "", to(fields), 200); !a.DryRun {
			t.Errorf("%s with every right: %+v", fields, a)
		}
	}
	for fields, want := range map[string]string{
		`"tag": "1.3.9"`: "", `"tag": "1.4.0"`: "", `"tag": "1.5.0"`: digest, `"tag": "1.5.0", "digest": "` + digest + `"`: digest, `"digest": "` + digest + `"`: digest, `"keep": true`: digest,
	} {
		answer := r.call(readToken, "POST", "/api/v1/rollbacks?dryRun=true", to(fields))
		if answer.StatusCode != 200 || want != "" && !strings.Contains(answer.body, want) {
			t.Errorf("%s: %s %s", fields, answer.Status, answer.body)
		}
	}
	pin := `{"kind": "pin", "environments": ["prod"], "apps": ["api"], "tag": "1.6.0", "digest": "` + digest + `", "reason": "r", "dryRun": true}`
	if a := act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", pin, 200); a.Order == nil || a.Order.Updates[0].Digest != digest {
		t.Errorf("a pin of what is there by a digest orders %+v", a.Order)
	}
	if n := len(r.audited(8, url.Values{"act": {"refuse"}, "principal": {"token:board"}})); n != 8 {
		t.Errorf("the audit has %d refused rollbacks", n)
	}
}

// While the git server is away a rollback goes to a named tag that was written, and is
// written when it is back; without a name the answer says to give one.
func TestRollbackWhileTheGitServerIsAway(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read, rollback]}\n")
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.1")
	s.git.Inject(gitserver.Fault{Times: -1, Cut: true})
	for _, body := range []string{rollProd, strings.Replace(rollProd, "{", `{"tag": "1.3.0", `, 1)} {
		if p := r.call(readToken, "POST", "/api/v1/rollbacks", body).problem(t, 503); p.Field != "tag" || !strings.Contains(p.Detail, "name a tag that was written there (--to TAG") {
			t.Errorf("%+v", p)
		}
	}
	back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "back", strings.Replace(rollProd, "{", `{"tag": "1.4.0", `, 1), 201)
	if back.From != "1.4.1" || back.To != "1.4.0" {
		t.Errorf("%+v", back)
	}
	again := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "back", strings.Replace(rollProd, "{", `{"tag": "1.4.0", `, 1), 200)
	if again.Update.ID != back.Update.ID {
		t.Errorf("the same key again: %+v", again)
	}
	s.git.Heal()
	if u := r.settled(back.Update.ID); u.State != gitops.Committed {
		t.Errorf("%+v", u)
	}
}
