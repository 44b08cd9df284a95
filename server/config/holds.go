package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Holds bounds the pins that people place.
type Holds struct {
	// PinFor is how long a pin lasts that says nothing else, and that of an edit by hand,
	// as in "72h". Default 72h.
	PinFor time.Duration `yaml:"pinFor"`
	// PinAtMost is how long a pin may last at most. Default 720h, which is 30 days.
	PinAtMost time.Duration `yaml:"pinAtMost"`
}

// Freeze is a time that comes again, or once, in which nothing is written: what is accepted
// meanwhile waits for its end.
type Freeze struct {
	// Name is how people and programs call it. Required.
	Name string `yaml:"name"`
	// Environments are those that are frozen. Default: every environment.
	Environments []string `yaml:"environments"`
	// Apps are those that are frozen. Default: every app.
	Apps []string `yaml:"apps"`
	// Zone is whose clocks count, by its name in the IANA time zone database, such as
	// Europe/Berlin. Required.
	Zone string `yaml:"zone"`
	// Reason is shown with each update that is held: one line. Default: none.
	Reason string `yaml:"reason"`
	// Weekly are windows of every week. Weekly or Once is required.
	Weekly []Window `yaml:"weekly"`
	// Once are windows between two dates.
	Once []Window `yaml:"once"`
}

// Window is from when until when, by the clocks of the zone.
type Window struct {
	// From is the first minute that is frozen: a weekday and a time of day in weekly, as
	// in "Fri 16:00", and a day in once, with or without a time of day, as in
	// "2026-12-19 18:00". Required.
	From string `yaml:"from"`
	// Until is the first minute that is not frozen any more. Required.
	Until string `yaml:"until"`
}

// longestPin bounds what may be configured: whoever wants a tag to stay for years changes
// the environment's tag rule.
const longestPin = 366 * 24 * time.Hour

// checkHolds checks the durations, and the names in freezes. Windows and zones are checked
// by what uses them.
func (c *Config) checkHolds(report reporter) {
	if d := c.Holds.PinFor; d < time.Minute {
		report("holds.pinFor", "must be at least 1m")
	} else if d > c.Holds.PinAtMost {
		report("holds.pinFor", "is %s, and holds.pinAtMost is %s: a pin that says nothing would be too long", d, c.Holds.PinAtMost)
	}
	if c.Holds.PinAtMost > longestPin {
		report("holds.pinAtMost", "must be at most 8784h, which is 366 days: to keep a tag for longer, narrow the environment's tags")
	}
	for i, f := range c.Freezes {
		field := FreezeField(i)
		c.checkFrozen(report, field+".environments", f.Environments)
		// Apps may come to be known: whoever knows what discover may find checks their names.
		if f.Apps != nil && len(f.Apps) == 0 {
			report(field+".apps", "must name at least one app; without the field it is for all of them")
		}
	}
}

func (c *Config) checkFrozen(report reporter, field string, environments []string) {
	if environments != nil && len(environments) == 0 {
		report(field, "must name at least one environment; without the field it is for all of them")
	}
	for i, name := range environments {
		if _, known := c.Environments[name]; !known {
			report(fmt.Sprintf("%s[%d]", field, i), "no environment %q is configured; there are %s", gitops.Clip(name, 100), strings.Join(slices.Sorted(maps.Keys(c.Environments)), ", "))
		}
	}
}

// FreezeField is the field of one freeze.
func FreezeField(i int) string { return fmt.Sprintf("freezes[%d]", i) }
