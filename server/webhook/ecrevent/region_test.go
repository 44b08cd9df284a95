package ecrevent_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

// Regions of every partition can be named, and those alone count.
func TestRegions(t *testing.T) {
	r, err := ecrevent.New("sources.x", nil, []string{"eu-west-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	for region, counts := range map[string]bool{"eu-west-1": true, "us-gov-west-1": true, "eusc-de-east-1": true, "us-iso-east-1": true, "us-west-2": false, "": false} {
		e, err := r.Read(edited(t, "push", map[string]any{"region": region}))
		if err != nil || (e.Push != nil) != counts || !counts && !strings.Contains(e.IgnoreReason, "is not one of sources.x.regions") {
			t.Errorf("%q: %+v, %v", region, e, err)
		}
	}
}

func TestNewRefusesWhatIsNoRegion(t *testing.T) {
	for _, region := range []string{"Frankfurt", "eu-west", "us-moon-east-1", "eusc-east-1"} {
		if _, err := ecrevent.New("sources.x", nil, []string{region}); err == nil || !strings.HasPrefix(err.Error(), "sources.x.regions[0]: ") {
			t.Errorf("%s: %v", region, err)
		}
	}
}
