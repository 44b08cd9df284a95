package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// Freezes of the configuration, in a zone whose clocks are changed while the schedule is
// played, and configurations that are loaded.

// clockChange is a moment at which a zone's clocks are changed.
type clockChange struct {
	zone string
	at   time.Time
}

// changes are of summers and of winters, of a whole and of half an hour, at night and at
// midnight.
var changes = []clockChange{
	{"UTC", time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC)}, // there is none
	{"Europe/Berlin", time.Date(2000, 3, 26, 1, 0, 0, 0, time.UTC)},
	{"Europe/Berlin", time.Date(2000, 10, 29, 1, 0, 0, 0, time.UTC)},
	{"America/St_Johns", time.Date(2000, 4, 2, 3, 31, 0, 0, time.UTC)},
	{"America/St_Johns", time.Date(2000, 10, 29, 2, 31, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2000, 3, 25, 15, 0, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2000, 8, 26, 15, 30, 0, 0, time.UTC)},
}

// frozen knows the freezes of each configuration as a person would read them.
type frozen struct {
	clockChange
	mu      sync.Mutex
	written map[*gate.Freezes][]freezeText
	latest  *gate.Freezes
}

// freezeText is a freeze that a configuration has.
type freezeText struct {
	gate.FreezeConfig
	zone *time.Location
}

// holds reports whether a freeze holds an update at a time, by what a clock on the wall
// shows.
func (f *frozen) holds(of *gate.Freezes, u gitops.Update, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.written[of] {
		if len(c.Environments) > 0 && !slices.Contains(c.Environments, u.Environment) || len(c.Apps) > 0 && !slices.Contains(c.Apps, u.App) {
			continue
		}
		shows := at.In(c.zone)
		week, date := fmt.Sprint(int(shows.Weekday()))+shows.Format(" 15:04"), shows.Format("2006-01-02 15:04")
		for _, span := range c.Weekly {
			from, until := weekText(span.From), weekText(span.Until)
			if from < until && from <= week && week < until || from > until && (from <= week || week < until) {
				return true
			}
		}
		for _, span := range c.Once {
			if span.From <= date && date < span.Until {
				return true
			}
		}
	}
	return false
}

// weekText begins with the weekday's number in the place of its name.
func weekText(text string) string {
	for day := range time.Weekday(7) {
		if day.String()[:3] == text[:3] {
			return fmt.Sprint(int(day)) + text[3:]
		}
	}
	panic(text) // it is ours
}

// reload draws another configuration, which the replicas load one after the other.
func (w *world) reload(r *rand.Rand) {
	c := gate.FreezeConfig{Field: "freezes[0]", Name: "drawn", Zone: w.frozen.zone, Environments: one(r, nil, []string{one(r, environments...)}), Apps: one(r, nil, nil, []string{one(r, apps...)})}
	zone := must(time.LoadLocation(c.Zone))
	from := w.storeTime().Add(between(r, -2*time.Minute, time.Minute)).In(zone)
	until := from.Add(between(r, time.Minute, 4*time.Minute))
	if r.IntN(2) == 0 {
		c.Weekly = []gate.Span{{From: from.Format("Mon 15:04"), Until: until.Format("Mon 15:04")}}
	} else {
		c.Once = []gate.Span{{From: from.Format("2006-01-02 15:04"), Until: until.Format("2006-01-02 15:04")}}
	}
	all, err := gate.Compile([]gate.FreezeConfig{c})
	if err != nil {
		return // where clocks are put back it may end before it begins
	}
	w.tell("freezes are configured: %v of %v in %v, weekly %v, once %v in %s", c.Name, c.Apps, c.Environments, c.Weekly, c.Once, c.Zone)
	met.meet("a freeze was configured")
	w.frozen.is(all, freezeText{c, zone})
	for _, replica := range w.replicas() {
		after := between(r, 0, 5*time.Second)
		w.background.Go(func() {
			time.Sleep(w.chance.alone(after))
			replica.load()
		})
	}
}

func (f *frozen) is(all *gate.Freezes, texts ...freezeText) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = all
	if f.written == nil {
		f.written = make(map[*gate.Freezes][]freezeText)
	}
	f.written[all] = texts
}

func (f *frozen) now() *gate.Freezes {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest
}

// load has a replica load the configuration.
func (r *replica) load() {
	if r.gate(0); r.isDead() {
		return
	}
	r.lanes.Configure(r.settings(), func() { r.freezes.Store(r.frozen.now()) })
}

// settings are those of the lanes.
func (w *world) settings() (all []lane.Environment) {
	for _, environment := range environments {
		all = append(all, lane.Environment{
			Name: environment, Coalesce: w.coalesce == environment,
			NewestHeld: w.allAfterHold != environment, RespectHandEdits: w.overwrites != environment,
			PullRequest: w.proposes(environment),
		})
	}
	return all
}
