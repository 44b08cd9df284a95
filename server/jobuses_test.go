package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

// Twenty orders come at once with one token of a job: it counts for one of them, and the
// others leave nothing. Twenty times the same order are one order.
func TestOneTokenOfAJobIsUsedTwentyTimesAtOnce(t *testing.T) {
	onEachStore(t, testOneTokenOfAJobIsUsedTwentyTimesAtOnce)
}

func testOneTokenOfAJobIsUsedTwentyTimesAtOnce(t *testing.T, s *site) {
	issuer := oidctest.New(t)
	s.jobsOf(issuer)
	r := s.start()
	for round, c := range []struct {
		orders         int // that differ
		again, refused int // answers 200, and 401; one is 202
	}{{20, 0, 19}, {1, 19, 0}} {
		token := issuer.Token(audience, nil)
		said.Forbid(token[strings.LastIndexByte(token, '.')+1:])
		answers := make([]response, 20)
		var all sync.WaitGroup
		begin := make(chan struct{})
		for n := range answers {
			req := r.request(http.MethodPost, "/api/v1/updates", fmt.Sprintf(`{"app": "api", "environment": "dev", "tag": "main-%d00000a"}`, round))
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Idempotency-Key", fmt.Sprint(round, "-", n%c.orders))
			all.Go(func() {
				<-begin
				answers[n] = r.do(req)
			})
		}
		close(begin)
		all.Wait()
		statuses := map[int]int{}
		for _, a := range answers {
			if statuses[a.StatusCode]++; a.StatusCode == 401 && !strings.Contains(a.problem(t, 401).Detail, "used for another order") {
				t.Errorf("refused with %s", a.body)
			}
		}
		if statuses[202] != 1 || statuses[200] != c.again || statuses[401] != c.refused {
			t.Errorf("of %d orders: answered %v, want 202 once, 200 %d times, 401 %d times", c.orders, statuses, c.again, c.refused)
		}
		found, _, err := r.store.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 100})
		s.must(err)
		if len(found) != round+1 {
			t.Errorf("of %d orders: %d deliveries are kept, want %d", c.orders, len(found), round+1)
		}
	}
}
