package gate_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/gate"
)

// A fingerprint is that of what an environment's freezes say, wherever they stand, and of
// nothing else.
func TestFingerprint(t *testing.T) {
	weekend := gate.FreezeConfig{
		Field: "freezes[0]", Name: "weekend", Environments: []string{"prod"}, Zone: "UTC",
		Weekly: []gate.Span{{From: "Fri 16:00", Until: "Mon 08:00"}},
	}
	of := func(environment string, all ...gate.FreezeConfig) string {
		t.Helper()
		freezes, err := gate.Compile(all)
		if err != nil {
			t.Fatal(err)
		}
		return freezes.Fingerprint(environment)
	}
	first := of("prod", weekend)
	if first == "" || of("dev", weekend) != "" || (*gate.Freezes)(nil).Fingerprint("prod") != "" {
		t.Error("an environment without freezes has a fingerprint, or one with has none")
	}
	dev, moved := weekend, weekend
	dev.Name, dev.Environments, moved.Field = "dev", []string{"dev"}, "freezes[1]"
	if of("prod", dev, moved) != first {
		t.Error("a freeze of another environment counts, or the place of one")
	}
	for what, change := range map[string]func(f *gate.FreezeConfig){
		"apps":    func(f *gate.FreezeConfig) { f.Apps = []string{"api"} },
		"zone":    func(f *gate.FreezeConfig) { f.Zone = "Europe/Berlin" },
		"reason":  func(f *gate.FreezeConfig) { f.Reason = "nobody is in" },
		"windows": func(f *gate.FreezeConfig) { f.Weekly = []gate.Span{{From: "Fri 16:00", Until: "Mon 09:00"}} },
	} {
		other := weekend
		change(&other)
		if of("prod", other) == first {
			t.Errorf("with other %s the fingerprint is the same", what)
		}
	}
}
