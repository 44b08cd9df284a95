package inspect_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Ten thousand updates that wait cost the next one nothing: it is not looked through them.
func TestTenThousandThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		var all []gitops.Update
		for i := range 10_000 {
			all = append(all, s.update(fmt.Sprint(i), fmt.Sprintf("ghcr.io/acme/app:v%d", i)))
		}
		s.Inspect(all)
		synctest.Wait()
		s.Inspect(all)
		equal(t, "waiting", 10_000, s.Waiting()["dev"])
		s.registry.push(v1, digestA)
		s.answer(s.update("warm", v1))
		next := []gitops.Update{s.update("next", v1)}
		if allocations := testing.AllocsPerRun(100, func() { s.Inspect(next) }); allocations > 20 {
			t.Errorf("an update costs %v allocations", allocations)
		}
	})
}
