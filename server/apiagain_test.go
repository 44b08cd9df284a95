package server

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/api"
)

const pinAt141 = `{"kind": "pin", "environments": ["prod"], "apps": ["api"], "tag": "1.4.1", "reason": "tests"}`

// An act that is sent again is done once, whatever changed since: what the branch has, what
// is bad by now, and whether somebody lifted what was placed, which the answer says.
func TestAnActIsDoneOnce(t *testing.T) { onEachStore(t, testAnActIsDoneOnce) }

func testAnActIsDoneOnce(t *testing.T, s *site) {
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.1")
	there := strings.Replace(rollProd, "{", `{"tag": "1.4.1", `, 1)
	frozen := `{"kind": "freeze", "environments": ["prod"], "until": "` + time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.999Z") + `", "reason": "x"}`
	acts := []struct{ key, path, body string }{
		{"pin", "holds", pinAt141}, {"there", "rollbacks", there}, {"stop", "holds", stopProd}, {"frozen", "holds", frozen}, {"frozen for", "holds", freezeProd},
		{"back", "rollbacks", strings.Replace(rollProd, "{", `{"tag": "1.4.0", "throughStop": "now", `, 1)},
	}
	answers := make([]string, len(acts))
	for i, a := range acts {
		answer := r.keyed("POST", "/api/v1/"+a.path, strings.ReplaceAll(a.key, " ", "-"), a.body)
		if answers[i] = answer.body; answer.StatusCode != 201 {
			t.Fatalf("%s: %s %s", a.key, answer.Status, answer.body)
		}
	}
	for _, h := range read[api.HoldList](r, "/api/v1/holds").Holds {
		act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+h.ID+"?reason=over", "", "", 200)
	}
	r.prod("1.5.0")
	act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", `{"kind": "bad", "apps": ["api"], "tag": "1.4.1", "reason": "r"}`, 201)
	before := read[api.HoldList](r, "/api/v1/holds?ended=true")
	for _, a := range acts {
		key := strings.ReplaceAll(a.key, " ", "-")
		answer := r.keyed("POST", "/api/v1/"+a.path, key, a.body)
		if answer.StatusCode != 200 || !strings.Contains(answer.body, `"lifted":{`) || strings.Contains(answer.body, "undo\":\"tallyman unpin") || strings.Contains(answer.body, "quietSince") {
			t.Errorf("%s again: %s %s", a.key, answer.Status, answer.body)
		}
		for path, other := range map[string]string{"holds": strings.Replace(stopProd, "{", `{"reason": "another", `, 1), "rollbacks": strings.Replace(rollProd, "4711", "4712", 1)} {
			if p := r.keyed("POST", "/api/v1/"+path, key, other).problem(t, 409); p.Field != "header Idempotency-Key" || !strings.Contains(p.Detail, "was used for another act: ") {
				t.Errorf("%s for another act: %+v", a.key, p)
			}
		}
	}
	r.order("order", strings.Replace(order150, "1.5.0", "1.6.0", 1)).delivery(t, 202)
	if p := r.keyed("POST", "/api/v1/holds", "order", stopProd).problem(t, 409); !strings.Contains(p.Detail, "was used for another act: an order") {
		t.Errorf("an order's key for a stop: %+v", p)
	}
	if p := r.order("back", acts[5].body).problem(t, 409); !strings.Contains(p.Detail, "was used for another act: a rollback of api in prod to 1.4.0") {
		t.Errorf("a rollback's key and body for an order: %+v", p)
	}
	if after := read[api.HoldList](r, "/api/v1/holds?ended=true"); len(after.Holds) != len(before.Holds) {
		t.Errorf("%d holds, and before %d", len(after.Holds), len(before.Holds))
	}
	if why := read[api.Why](r, "/api/v1/why?app=api&environment=prod"); why.Written == "1.4.0" || why.Written == "1.4.1" {
		t.Errorf("%s is written", why.Written)
	}
}
