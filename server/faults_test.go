package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Every way in which a push goes wrong, in front of the whole service: once with
// git having taken it, once without. The order is answered 202 and becomes one
// commit, without anybody's help and without a restart.
func TestAPushThatGoesWrongIsOneCommitInTheEnd(t *testing.T) {
	faults := map[string]gitserver.Fault{
		"cut":                 {Cut: true},
		"500":                 {Status: 500},
		"503 with a time":     {Status: 503, Header: http.Header{"Retry-After": {"1"}}},
		"200 and nothing":     {Status: 200},
		"401":                 {Status: 401},
		"403":                 {Status: 403},
		"429 with a time":     {Status: 429, Header: http.Header{"Retry-After": {"1"}}},
		"half a report":       {Status: 200, Body: "0030\x01000eunpack ok\n"},
		"a page from a proxy": {Status: 200, Body: "<html>please log in</html>"},
	}
	for name, fault := range faults {
		for _, taken := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/taken=%t", name, taken), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				fault.On, fault.Apply = gitserver.Push, taken
				s.git.Inject(fault)
				s.endsCommitted(s.start())
			})
		}
	}
}

// endsCommitted orders two updates, waits until both are settled, and wants each
// on the branch once, in their order.
func (s *site) endsCommitted(r *running) {
	s.t.Helper()
	var ids []string
	for _, tag := range []string{"main-1a2b3c4", "main-2a2b3c4"} {
		d := r.do(r.github(newSecret, "delivery-"+tag, order("api", "dev", tag))).delivery(s.t, 202)
		ids = append(ids, d.Updates[0].ID)
	}
	for _, id := range ids {
		if u := r.settled(id); u.State != gitops.Committed {
			s.t.Errorf("ended as %+v", u)
		}
	}
	s.must(s.repository.Fsck())
	log, err := s.repository.Log("main")
	s.must(err)
	var landed []string
	for _, c := range log {
		landed = append(landed, c.Updates...)
	}
	if strings.Join(landed, " ") != strings.Join(ids, " ") {
		s.t.Errorf("the branch has %v, want %v", landed, ids)
	}
}
