package lane_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func refuse(context.Context, []gitops.Update) ([]gitops.Settlement, error) { return nil, refusal }

// Each call that a lane makes to the store fails three times in a row, once
// without having taken effect and once with: what was pending ends as committed,
// in order, and is counted once.
func TestEveryCallToTheStoreMayFail(t *testing.T) {
	for _, method := range []string{"Claim", "Extend", "Pending", "Settle", "Defer", "Release"} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %t", method, applied), func(t *testing.T) {
				inBubble(t, three, func(t *testing.T, r rig) {
					r.queue.fail(method, fault{errDown, applied}, fault{errDown, applied}, fault{errDown, applied})
					r.writer.script = append(r.writer.script, refuse) // so that there is a Defer
					r.Start()
					elapse(2 * time.Minute)
					r.queue.add(gitops.Update{App: "api", Tag: "1.0.3"})
					elapse(2 * time.Minute)
					r.Stop(t.Context())
					equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed", "u4 committed"}, r.queue.states())
					equal(t, "counted", map[gitops.State]int{gitops.Committed: 4}, r.recorder.counts())
					if n := r.queue.count(method); n < 4 && method != "Release" && method != "Defer" {
						t.Errorf("%s was called %d times: it was not tried again", method, n)
					}
				})
			})
		}
	}
}
