package main

import (
	"fmt"
	"slices"
)

// number is one that docs/design.md promises.
type number struct {
	Name   string  `json:"name"`
	Figure float64 `json:"figure"`
	Limit  string  `json:"limit"`
	Met    *bool   `json:"met"` // null when it was not measured in this run
}

// judge holds what was measured to the promised numbers.
func (r *report) judge() {
	r.Numbers = nil
	r.judgeSingle()
	r.judgeBursts()
	r.judgeAccepting()
	r.judgeMemory()
	r.judgeCore()
}

// atMost and atLeast add a number; without measured it has no figure yet.
func (r *report) atMost(name, unit string, limit, figure float64, measured bool) {
	r.add(name, fmt.Sprintf("<= %g%s", limit, unit), figure, figure <= limit, measured)
}

func (r *report) atLeast(name, unit string, limit, figure float64, measured bool) {
	r.add(name, fmt.Sprintf(">= %g%s", limit, unit), figure, figure >= limit, measured)
}

func (r *report) add(name, limit string, figure float64, met, measured bool) {
	n := number{Name: name, Limit: limit}
	if measured {
		n.Figure, n.Met = figure, &met
	}
	r.Numbers = append(r.Numbers, n)
}

// medianOf finds a contender's time.
func (r *report) medianOf(size, latency, contender string) (float64, bool) {
	for _, s := range r.Single {
		if s.Size == size && s.Latency == latency && s.Contender == contender {
			return s.Median, true
		}
	}
	return 0, false
}

func (r *report) judgeSingle() {
	ratio := func(size, latency, contender string) (float64, bool) {
		other, ok := r.medianOf(size, latency, contender)
		own, too := r.medianOf(size, latency, endToEnd)
		return other / own, ok && too
	}
	push, ok := ratio("L", "0", barePush)
	r.atMost("L: one update end to end, by C git's bare push", "x", 0.8, 1/push, ok)
	step, ok := ratio("L", "0", shellStep)
	r.atLeast("L: the shell step, by one update end to end", "x", 20, step, ok)
	step, ok = ratio("S", "0", shellStep)
	r.atLeast("S: the shell step, by one update end to end", "x", 5, step, ok)
	large, ok := r.medianOf("L", "0", endToEnd)
	small, too := r.medianOf("S", "0", endToEnd)
	r.atMost("one update end to end, L by S", "x", 4, large/small, ok && too)
	for _, size := range []string{"S", "M", "L"} {
		for _, far := range []string{"40ms", "40ms+80ms"} {
			if push, ok := ratio(size, far, barePush); ok || far == "40ms+80ms" {
				r.atMost(fmt.Sprintf("%s: the same with %s of latency, by bare push", size, far), "x", 0.5, 1/push, ok)
			}
		}
	}
}

func (r *report) judgeBursts() {
	var found burst
	measured := false
	for _, b := range r.Bursts {
		if b.Size == "L" && b.Deliveries == 1000 {
			found, measured = b, true
		}
	}
	r.atMost("L: a burst of 1,000, first request to last commit", " s", 3, found.OnOriginMS/1000, measured)
	r.atMost("L: a burst of 1,000, pushes", "", 19, float64(found.Pushes), measured)
	// One that was not there would have ended the run.
	sound := measured && slices.Contains(r.Sound, "L")
	r.atLeast("L: a burst of 1,000, commits there once each, fsck clean", "", 1000, 1000, sound)
	if c := r.Contention; c != nil {
		r.atMost("two processes and a person on one branch, pushes wasted", " %", 30, 100*float64(c.Conflicts)/float64(c.Pushes), true)
	} else {
		r.atMost("two processes and a person on one branch, pushes wasted", " %", 30, 0, false)
	}
}

func (r *report) judgeAccepting() {
	var found accept
	measured := false
	for _, a := range r.Accepts {
		if a.Connections == 256 && !a.OriginUp && !measured {
			found, measured = a, true
		}
	}
	r.atLeast("durable deliveries/s at 256 connections, by the disk's fsyncs/s", "x", 10, found.PerSecond/found.FsyncsPerSecond, measured)
	r.atLeast("durable deliveries/s at 256 connections", "", 10_000, found.PerSecond, measured)
	r.atMost("p99 of accepting at 256 connections", " ms", 50, found.P99MS, measured)
}

func (r *report) judgeMemory() {
	found, measured := r.startOf("L")
	peak, grown, leaked := found.PeakMiB, 0.0, 0.0
	if n := len(r.Row); n > 0 {
		peak = max(peak, r.Row[n-1].PeakMiB)
		settled := r.Row[n/10] // the first tenth fills what is kept
		grown = r.Row[n-1].ResidentMiB / settled.ResidentMiB
		leaked = float64(r.Row[n-1].Goroutines - settled.Goroutines)
	}
	enough := len(r.Row) >= 50
	r.atMost("L: most memory ever resident", " MiB", 110, peak, measured || enough)
	r.atMost("memory after 50,000 updates, by that after a tenth of them", "x", 1.1, grown, enough)
	r.atMost("goroutines left behind over them", "", 0, max(0, leaked), enough)
	r.atMost("L: start to ready", " ms", 300, found.ReadyMS, measured)
	found, measured = r.startOf(huge)
	r.atMost("XL: most memory ever resident", " MiB", 300, found.PeakMiB, measured)
	r.atMost("XL: start to ready", " ms", 1000, found.ReadyMS, measured)
}

func (r *report) startOf(size string) (start, bool) {
	for _, s := range r.Starts {
		if s.Size == size {
			return s, true
		}
	}
	return start{}, false
}
