package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, c := range []struct {
		values []int
		p      float64
		want   int
	}{
		{nil, 50, 0},
		{[]int{7}, 1, 7},
		{[]int{7}, 99, 7},
		{[]int{3, 1, 2}, 50, 2},
		{[]int{4, 3, 1, 2}, 50, 2},
		{[]int{4, 3, 1, 2}, 100, 4},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile(%v, %g) = %d, want %d", c.values, c.p, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{5}, 5}, {[]float64{9, 1, 5}, 5}, {[]float64{8, 2, 4, 1}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %g, want %g", c.values, got, c.want)
		}
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-quick", "-runs", "5", "-latency", "0,40ms+80ms", "-bursts", ""}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"S", "M"}, o.sizes); diff != "" {
		t.Errorf("sizes of -quick: %s", diff)
	}
	if o.runs != 5 || len(o.bursts) != 0 {
		t.Errorf("-quick overrode what was given: %d runs, bursts %v", o.runs, o.bursts)
	}
	if far := o.distances[1]; far.Request != 40*time.Millisecond || far.Connect != 80*time.Millisecond {
		t.Errorf("40ms+80ms is %+v", far)
	}
	for _, bad := range [][]string{{"-sizes", "XXL"}, {"-sizes", ""}, {"-latency", "soon"}, {"-accept", "0"}, {"-bursts", "many"}, {"-rounds", "0"}, {"-pairs", "0"}} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A round that went wrong, on either side, does not decide.
func TestCompare(t *testing.T) {
	these := []accept{{PerSecond: 300, P99MS: 10, CPUPerDeliveryUS: 60, PerCommit: 80}, {PerSecond: 1, P99MS: 900, CPUPerDeliveryUS: 61, PerCommit: 1}, {PerSecond: 310, P99MS: 10, CPUPerDeliveryUS: 60, PerCommit: 80}}
	others := []accept{{PerSecond: 100, P99MS: 20, CPUPerDeliveryUS: 120, PerCommit: 16}, {PerSecond: 150, P99MS: 20, CPUPerDeliveryUS: 120, PerCommit: 16}, {PerSecond: 9000, P99MS: 1, CPUPerDeliveryUS: 5, PerCommit: 256}}
	if diff := cmp.Diff(compared{PerSecond: 2, P99: 0.5, PerCommit: 5, CPU: 0.5}, compare(these, others)); diff != "" {
		t.Error(diff)
	}
	if found := middleOf(these); found.PerSecond != 300 {
		t.Errorf("the middle round is %+v", found)
	}
}

func TestNumbersAreMetOrNotOrNotMeasured(t *testing.T) {
	r := &report{}
	fast := []sample{{wall: 10}, {wall: 8}, {wall: 90}}
	r.addSingle("L", "0", shellStep, []sample{{wall: 250}}, fast)
	r.addSingle("L", "0", barePush, []sample{{wall: 11}}, fast)
	r.addSingle("L", "0", endToEnd, fast, fast)
	r.judge()
	verdicts := make(map[string]string)
	for _, n := range r.Numbers {
		switch {
		case n.Met == nil:
			verdicts[n.Name] = "not measured"
		case *n.Met:
			verdicts[n.Name] = "met"
		default:
			verdicts[n.Name] = "not met"
		}
	}
	for name, want := range map[string]string{
		"L: the shell step, by one update end to end":       "met",
		"L: one update end to end, by C git's bare push":    "not met",
		"S: the shell step, by one update end to end":       "not measured",
		"L: a burst of 1,000, first request to last commit": "not measured",
	} {
		if verdicts[name] != want {
			t.Errorf("%s: %q, want %q", name, verdicts[name], want)
		}
	}
	var table strings.Builder
	r.print(&table)
	for _, want := range []string{"1 OF THE PROMISED NUMBERS NOT MET", "25.00", "not measured"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
}
