package limits

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/budget"
)

func TestKnownClientsAreForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	k := newKnownClients(func() time.Time { return now })
	expect := func(client string, want bool) {
		t.Helper()
		if k.has(client) != want {
			t.Errorf("%s is known: %t", client, !want)
		}
	}
	k.note("192.0.2.1")
	expect("192.0.2.1", true)
	expect("192.0.2.2", false)
	now = now.Add(knownFor - 1)
	expect("192.0.2.1", true)
	now = now.Add(1)
	expect("192.0.2.1", false)
	k.note("192.0.2.1")
	expect("192.0.2.1", true)

	// What is more than there is room for displaces who was quiet for longest.
	for n := range mostKnown - 1 {
		k.note(fmt.Sprint("other ", n))
	}
	k.note("192.0.2.1")
	k.note("one more")
	expect("other 0", false)
	expect("other 1", true)
	expect("192.0.2.1", true)
	expect("one more", true)
	if len(k.places) != mostKnown || k.byQuiet.Len() != mostKnown {
		t.Errorf("%d and %d are held", len(k.places), k.byQuiet.Len())
	}
}

// What is remembered of clients, known ones and refused ones of two windows, stays within
// half of what is left to the rest of the program.
func TestWhatIsRememberedFits(t *testing.T) {
	const knownBytes, refusedBytes = 250, 150
	held, room := int64(mostKnown*knownBytes+2*mostRefused*refusedBytes), budget.Split(budget.Default).Garbage/2
	if held > room {
		t.Errorf("%s are remembered, and there are %s", budget.Text(held), budget.Text(room))
	}
}
