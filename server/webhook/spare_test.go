package webhook_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestNothingSpareIsKept has a store that is nearly full: of what became no updates
// nothing is kept, its answers stay the same, and orders are accepted. With room again it
// is kept.
func TestNothingSpareIsKept(t *testing.T) {
	s := newSender(t)
	s.reject("known", "192.0.2.1")
	spare := false
	s.intake.Spare = func() bool { return spare }
	s.reject("known", "192.0.2.1")
	for i := range 110 { // more than are kept of a sender in an hour
		s.reject(fmt.Sprint("r", i), "192.0.2.1")
	}
	if d, accepted, err := s.send("i1", "nothing", "192.0.2.1", nil); accepted || err != nil || d.Outcome != gitops.OutcomeIgnored || d.ID != "i1" || d.Reason == "" {
		t.Errorf("what is ignored: %+v, accepted is %t, %v", d, accepted, err)
	}
	for _, id := range []string{"r0", "r109", "i1"} {
		if _, kept := s.kept(id); kept {
			t.Errorf("%s is kept", id)
		}
	}
	if n := strings.Count(strings.Join(s.outcomes, " "), "not kept: store_nearly_full"); n != 111 {
		t.Errorf("%d are counted as not kept", n)
	}
	if _, accepted, err := s.send("o1", "order", "192.0.2.1", nil); !accepted || err != nil {
		t.Errorf("an order: %t, %v", accepted, err)
	}
	spare = true
	s.reject("later", "192.0.2.1")
	if _, kept := s.kept("later"); !kept {
		t.Error("with room again nothing is kept, or what was not kept counts")
	}
}
