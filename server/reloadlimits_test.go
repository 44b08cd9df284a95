package server

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
)

// A reload does not have the certificates fetched again: SNS may not answer then.
func TestReloadKeepsCertificates(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	send := func(id string) {
		t.Helper()
		m.do(m.sns(m.amazon.Notify("2", id, push(id, "main-1a2b3c4"), now()))).delivery(t, http.StatusAccepted)
	}
	send("before")
	asked := len(m.amazon.Asked())
	m.site.must(m.site.reload(m.running))
	send("after")
	if again := len(m.amazon.Asked()) - asked; asked != 1 || again != 0 {
		t.Errorf("fetched %d times before the reload and %d times after", asked, again)
	}
}

// A reload does not have more kept of what a sender may not order.
func TestReloadKeepsNoMoreOfARejectedSender(t *testing.T) {
	s := newSite(t)
	r := s.start()
	reject := func(id string) (kept bool) {
		r.orders(id, "nowhere", "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity)
		_, kept = r.stored("github", id)
		return kept
	}
	for n := range 100 {
		if id := fmt.Sprint("rejected", n); !reject(id) {
			t.Errorf("%s is not kept", id)
		}
	}
	s.addFile("worker", "prod")
	s.edit("worker: {environments: [dev]}", "worker: {environments: [dev, prod]}")
	s.must(s.reload(r))
	if reject("last") {
		t.Error("more than 100 are kept after a reload")
	}
}
