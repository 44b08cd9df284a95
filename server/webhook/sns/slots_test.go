package sns

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

// Who came last has the next slot, whoever gives up has none, and none is lost.
func TestTheNewestHasTheNextSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		var order []int
		impatient, giveUp := context.WithCancel(t.Context())
		for n, ctx := range []context.Context{t.Context(), t.Context(), impatient, t.Context()} {
			go func() {
				if s.take(ctx) == nil {
					order = append(order, n) // one at a time has the slot
					s.give()
				}
			}()
			synctest.Wait()
		}
		giveUp()
		synctest.Wait()
		s.give()
		synctest.Wait()
		if !slices.Equal(order, []int{3, 1, 0}) || s.free != 1 || len(s.waiting) != 0 {
			t.Errorf("they had it in the order %v; %d are free, %d wait", order, s.free, len(s.waiting))
		}
	})
}
