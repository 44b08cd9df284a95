package main

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func TestTheLogSaysWhatWasCommitted(t *testing.T) {
	s := &tallyman{news: make(chan struct{}, 1)}
	for _, line := range []string{
		`{"level":"INFO","msg":"ready","listen":"127.0.0.1:1","admin":"127.0.0.1:2"}`,
		`{"level":"INFO","msg":"update committed","environment":"dev","update":"u1"}`,
		`{"level":"INFO","msg":"update committed","environment":"prod","update":"u2"}`,
		`{"level":"INFO","msg":"update superseded","environment":"dev","update":"u3"}`,
		`{"level":"WARN","msg":"update blocked","environment":"dev","update":"u4"}`,
		`{"level":"ERROR","msg":"update failed","environment":"dev","update":"u5"}`,
		`{"level":"INFO","msg":"delivery accepted","delivery":"github/d1"}`,
	} {
		s.note([]byte(line))
	}
	if diff := cmp.Diff(map[string]int{"dev": 1, "prod": 1}, s.committed); diff != "" || s.finished != 4 {
		t.Errorf("%d updates ended; committed: %s", s.finished, diff)
	}
	if s.addresses == nil || s.addresses.Admin != "127.0.0.1:2" || s.last["dev"].IsZero() || len(s.problems) != 2 {
		t.Errorf("addresses %+v, last %v, problems %q", s.addresses, s.last, s.problems)
	}
}

func TestTheNextPushIsHeldUntilItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{news: make(chan struct{}, 1)}
		arrived, release := o.holdNext()
		passed := make(chan struct{})
		go func() {
			o.begin()
			close(passed)
		}()
		<-arrived
		o.begin() // another one is not held
		synctest.Wait()
		select {
		case <-passed:
			t.Error("the push was not held")
		default:
		}
		release()
		release()
		<-passed
		if len(o.arrived) != 2 {
			t.Errorf("%d pushes arrived", len(o.arrived))
		}
	})
}

func TestWhatTheCorePromises(t *testing.T) {
	r := &report{
		Readers:  []readers{{Size: "L", P99MS: 20, Alone: arrivals{P90MS: 5}, With: arrivals{P90MS: 14}}, {Size: huge, P99MS: 120, Alone: arrivals{P90MS: 5}, With: arrivals{P90MS: 30}}},
		Held:     &held{Held: 50_000, WithMS: 22, NoneMS: 20},
		Freed:    &freed{Held: 10_000, WroteMS: 12_000},
		Stopped:  &stopped{Deliveries: 1000, LastMS: -3},
		Images:   &images{PlainMS: 30, LookedMS: 31, MoreMS: 1.2, BesideMS: 40, Burst: 1000, Images: 250, Looks: 250, BurstMS: 3_100, Late: 3, AppearsMS: 600},
		Failover: &failover{MedianMS: 400, MaxMS: 3_500},
		OneFile:  &oneFile{Updates: 100, PlanMS: 500},

		Discovered: &discovered{Apps: 5_000, KnownMS: 800, NewApps: 100, NewKnownMS: 1_200, AsConfigured: 1.05, PeakMiB: 200},
	}
	r.judgeCore()
	verdicts := make(map[string]string)
	for _, n := range r.Numbers {
		verdicts[n.Name] = "not measured"
		if n.Met != nil {
			verdicts[n.Name] = map[bool]string{true: "met", false: "not met"}[*n.Met]
		}
	}
	want := map[string]string{
		"10,000 held updates: from the freeze's end until the newest of each app is written": "not met",
		"a stop in a burst of 1,000: last push after its answer":                             "met",
		"an update whose image is looked at, later than one without":                         "met",
		"an update while another app's image is not there, by one while all are":             "not met",
		"a burst of 1,000 whose images are looked at":                                        "not met",
		"looks at images in a burst, by its images":                                          "met",
		"an image that was not there for 8 s, until its commit, median":                      "met",
		"L: status while updates go on, p99":                                                 "met",
		"L: a push later for a status at the same moment, p90 by p90":                        "met",
		huge + ": status while updates go on, p99":                                           "not met",
		huge + ": a push later for a status at the same moment, p90 by p90":                  "not met",
		"one update end to end, XL by L":                                                     "not measured",
		"an update beside 50,000 held ones, by one beside none":                              "met",
		"a killed replica's environments stand still, median":                                "met",
		"a killed replica's environments stand still, at most":                               "not met",
		"500 updates in one file of 3 MB, planned":                                           "not measured", // in a smaller batch
		"5,000 apps x 4 discovered: start to all known":                                      "met",
		"5,000 apps x 4 discovered: most memory ever resident":                               "met",
		"100 new apps in one commit: from the look until known":                              "not met",
		"one update of a discovered app, by one of a configured app":                         "met",
	}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Error(diff)
	}
	var table strings.Builder
	r.print(&table)
	for _, says := range []string{"held updates", "1.10x", "killed replicas", "one file", "status", "discovered apps", "looks at images"} {
		if !strings.Contains(table.String(), says) {
			t.Errorf("the table does not say %q:\n%s", says, table.String())
		}
	}
}

// The file has the size that is promised for, and every app has its own key.
func TestTheOneFile(t *testing.T) {
	text := oneFileText()
	if n := len(text); n < 3_000_000 || n > 3_500_000 {
		t.Errorf("the file has %d bytes", n)
	}
	for _, app := range []int{0, oneFileApps - 1} {
		if n := strings.Count(text, "\n  "+gitserver.App(app)+":\n"); n != 1 {
			t.Errorf("app %d is there %d times", app, n)
		}
	}
}
