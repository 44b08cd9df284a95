package config_test

import (
	"slices"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// What is wrong with freezes and holds by themselves is said at the field, with the way out.
func TestHoldsThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"holds: {pinFor: 0s}":                    "holds.pinFor: is 0: give a value, or leave the field out for its default (line 12)",
		"holds: {pinFor: 30s}":                   "holds.pinFor: must be at least 1m",
		"holds: {pinFor: -1h}":                   "holds.pinFor: must be at least 1m",
		"holds: {pinAtMost: 24h}":                "holds.pinFor: is 72h0m0s, and holds.pinAtMost is 24h0m0s: a pin that says nothing would be too long",
		"holds: {pinAtMost: 9000h}":              "holds.pinAtMost: must be at most 8784h, which is 366 days: to keep a tag for longer, narrow the environment's tags",
		"holds: {pinFor: 3 days}":                "holds.pinFor: must be a duration such as 25s (line 12)",
		"freezes: {}":                            "freezes: must be a list (line 12)",
		"freezes: [{environments: []}]":          "freezes[0].environments: must name at least one environment; without the field it is for all of them",
		"freezes: [{environments: [dev, prod]}]": `freezes[0].environments[1]: no environment "prod" is configured; there are dev`,
		"freezes: [{apps: []}]":                  "freezes[0].apps: must name at least one app; without the field it is for all of them",
		"freezes: [{weekly: [Fri 16:00]}]":       "freezes[0].weekly[0]: must be a map with some of: from, until (line 12)",
		"freezes: [{once: [{from: 2026-12-19, until: 2027-01-04 08:00}]}]": `freezes[0].once[0].from: must be text, and without quotes this is a date: write "2026-12-19" (line 12)`,
		"freezes: [{cron: 0 16 * * FRI}]":                                  "freezes[0].cron: is not a field; there are name, environments, apps, zone, reason, weekly, once (line 12)",
	} {
		_, err := config.Parse([]byte(minimal + text + "\n"))
		if got := found(err); !slices.Equal(got, []string{want}) || gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}
