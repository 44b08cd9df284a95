package limits

import (
	"fmt"
	"testing"
	"time"
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
