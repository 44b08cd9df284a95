package config

import (
	"slices"
	"testing"
	"time"
)

// Of fields in groups, those are named that need the restart.
func TestNeedRestartNamesTheFields(t *testing.T) {
	before := Config{Listen: ":8080", File: "a"}
	after := Config{Listen: ":8080", File: "b"}
	if fields := NeedRestart(before, after); len(fields) > 0 {
		t.Errorf("%v need a restart", fields)
	}
	after.Lease, after.Limits.File.Nodes, after.Limits.TrustedProxies, after.Log.Level = time.Minute, 7, []string{"10.0.0.0/8"}, "debug"
	if fields := NeedRestart(before, after); !slices.Equal(fields, []string{"lease", "log.level", "limits.trustedProxies", "limits.file.nodes"}) {
		t.Errorf("%v need a restart", fields)
	}
}
