package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tallyman-dev/tallyman/server/attack"
)

// soakFigures is what a soak found.
type soakFigures struct {
	length   time.Duration
	machine  machine
	memory   string
	resident []float64 // MiB, once a second
	peak     float64   // MiB, by the kernel
	begin    resources
	end      resources
	storeMiB float64

	processor time.Duration // that the process has used

	accepted int
	alone    []time.Duration // answers to valid deliveries before the attack
	answers  []time.Duration // and during it
	landings []time.Duration
	states   map[string]int         // updates that were accepted, by where they ended
	bounced  map[string]map[int]int // attempts at a valid delivery that were not accepted, by way and status

	answered map[string]map[int]int // hostile requests, by kind and status
	crowds   map[string]attack.Tally
	counted  map[string]float64 // refusals by the server's own metrics
	files    int                // hostile ones
	others   int                // commits by another writer
	backups  int
	problems []string // each of them fails the soak
}

// resources are what leaks when something leaks.
type resources struct{ goroutines, files int }

func newSoakFigures() soakFigures {
	return soakFigures{states: make(map[string]int), bounced: make(map[string]map[int]int), answered: make(map[string]map[int]int), crowds: make(map[string]attack.Tally), counted: make(map[string]float64)}
}

// count adds one to what was answered with a status.
func count(counts map[string]map[int]int, kind string, status int) {
	if counts[kind] == nil {
		counts[kind] = make(map[int]int)
	}
	counts[kind][status]++
}

// problem notes what fails the soak. Of a kind that never ends the first are enough.
func (f *soakFigures) problem(format string, args ...any) {
	if len(f.problems) < 100 {
		f.problems = append(f.problems, fmt.Sprintf(format, args...))
	}
}

// judge adds the problems that the figures show.
func (f *soakFigures) judge(l load) {
	for way, statuses := range f.bounced {
		for status, n := range statuses {
			if status >= 400 && status < 500 { // it is not that the server is busy: the sender is locked out
				f.problem("%d valid deliveries of %s were answered %d", n, way, status)
			}
		}
	}
	if f.peak > l.mostMiB {
		f.problem("%.0f MiB were resident, more than %.0f", f.peak, l.mostMiB)
	}
	if leaked := f.end.goroutines - f.begin.goroutines; leaked > leakSlack {
		f.problem("%d goroutines are left over", leaked)
	}
	if leaked := f.end.files - f.begin.files; leaked > leakSlack {
		f.problem("%d files or connections are left open", leaked)
	}
}

// leakSlack is what comes and goes: connections that are kept, timers.
const leakSlack = 20

// write writes the table as Markdown.
func (f *soakFigures) write(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "| %s\t| %s\t|\n", name, fmt.Sprintf(format, args...))
	}
	line("soak", "%s, in %s", f.length, f.memory)
	fmt.Fprint(w, "|---\t|---\t|\n")
	line("revision, machine", "%.7s, %d processors, load averages before it %s", f.machine.Revision, f.machine.Processors, f.machine.LoadBefore)
	if n := len(f.resident); n > 0 {
		line("resident memory", "%.0f MiB in the beginning, %.0f in the middle, %.0f in the end; most ever %.0f", f.resident[0], f.resident[n/2], f.resident[n-1], f.peak)
	}
	line("processor time of tallyman", "%s", f.processor.Round(time.Second))
	line("goroutines, open files", "%d, %d in the beginning; %d, %d in the end", f.begin.goroutines, f.begin.files, f.end.goroutines, f.end.files)
	line("updates accepted", "%d: %s", f.accepted, countsOf(f.states))
	line("answer to a valid delivery before the attack", "p50 %s, p99 %s, most %s (%d)", ms(percentile(f.alone, 50)), ms(percentile(f.alone, 99)), ms(percentile(f.alone, 100)), len(f.alone))
	line("answer to a valid delivery", "p50 %s, p99 %s, most %s (%d)", ms(percentile(f.answers, 50)), ms(percentile(f.answers, 99)), ms(percentile(f.answers, 100)), len(f.answers))
	line("from the answer to the branch", "p50 %s, p99 %s, most %s", ms(percentile(f.landings, 50)), ms(percentile(f.landings, 99)), ms(percentile(f.landings, 100)))
	for _, way := range slices.Sorted(maps.Keys(f.bounced)) {
		line("valid deliveries of "+way+" that were sent again", "after %s", countsOf(f.bounced[way]))
	}
	line("store", "%.0f MiB", f.storeMiB)
	for _, name := range slices.Sorted(maps.Keys(f.crowds)) {
		t := f.crowds[name]
		line(name, "%d opened; answered %s; closed %d; given up %d; open in the end %d; without a connection %d", t.Opened, countsOf(t.Answered), t.Closed, t.GivenUp, t.Open, t.Failed)
	}
	for _, kind := range slices.Sorted(maps.Keys(f.answered)) {
		line(kind, "answered %s", countsOf(f.answered[kind]))
	}
	for _, series := range slices.Sorted(maps.Keys(f.counted)) {
		line("`"+series+"`", "%.0f", f.counted[series])
	}
	line("beside", "%d hostile files, %d commits by another writer, %d backups", f.files, f.others, f.backups)
	line("problems", "%d", len(f.problems))
	_ = w.Flush() // what it writes to is asked by the caller
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", milliseconds(d)) }

// countsOf is "401 3 times, 429 1 times".
func countsOf[K cmp.Ordered](counted map[K]int) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(counted)) {
		parts = append(parts, fmt.Sprintf("%v %d times", key, counted[key]))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}
