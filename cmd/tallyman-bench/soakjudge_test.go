package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/attack"
)

// Each of what a soak may not show fails it, and nothing else does.
func TestTheSoakIsJudged(t *testing.T) {
	well := func() soakFigures {
		f := newSoakFigures()
		f.peak, f.resident = 400, []float64{100, 300, 200}
		f.begin, f.end = resources{30, 30}, resources{30 + leakSlack, 30 + leakSlack}
		count(f.bounced, "github", 503) // it was busy
		count(f.answered, "forged requests", 401)
		f.crowds["slow bodies"] = attack.Tally{Opened: 7}
		return f
	}
	for want, change := range map[string]func(*soakFigures){
		"": func(*soakFigures) {},
		"1 valid deliveries of github were answered 429": func(f *soakFigures) { count(f.bounced, "github", 429) },
		"401 MiB were resident, more than 400":           func(f *soakFigures) { f.peak = 401 },
		"21 goroutines are left over":                    func(f *soakFigures) { f.end.goroutines++ },
		"21 files or connections are left open":          func(f *soakFigures) { f.end.files++ },
	} {
		f := well()
		change(&f)
		f.judge(fullLoad)
		if got := strings.Join(f.problems, "; "); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	f := well()
	var table strings.Builder
	f.write(&table)
	for _, says := range []string{"100 MiB in the beginning, 300 in the middle, 200 in the end; most ever 400", "503 1 times", "401 1 times", "7 opened"} {
		if !strings.Contains(table.String(), says) {
			t.Errorf("the table does not say %q:\n%s", says, table.String())
		}
	}
}

// An update is on the branch with the first push that leaves the branch at or behind its
// commit.
func TestLandings(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	s := &soak{
		from: at(8), to: at(20),
		tips: []soakTip{{at(12), "elsewhere"}, {at(13), "c1"}, {at(17), "c3"}, {at(20), "c4"}},
	}
	for update, answered := range map[string]int{"before": 8, "u1": 10, "u2": 11, "u3": 12, "u4": 21, "after": 22, "failed": 10} {
		s.entries = append(s.entries, ledger.Entry{Update: update, Sent: at(answered - 1), Answered: at(answered)})
	}
	took := s.landings([]gitserver.Commit{
		{Hash: "c1", Updates: []string{"u1", "before"}}, {Hash: "c2", Updates: []string{"u2"}}, {Hash: "c3", Updates: []string{"u3"}}, {Hash: "c4", Updates: []string{"u4", "after"}},
	})
	slices.Sort(took)
	if diff := cmp.Diff([]time.Duration{0, 3 * time.Second, 5 * time.Second, 6 * time.Second}, took); diff != "" {
		t.Error(diff)
	}
}

// A process that takes more than it has is killed, and that is seen.
func TestAConfinedProcessIsKilled(t *testing.T) {
	c := confine(t, 16<<20)
	if c.events == "" {
		t.Skip(c.how)
	}
	if n := c.killed(); n != 0 {
		t.Errorf("%d were killed before there was one", n)
	}
	command := append(c.within, "sh", "-c", `head -c 100000000 /dev/zero | tail`) // which keeps it all
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err == nil {
		t.Errorf("it has its 100 MB: %s", out)
	}
	if c.killed() == 0 {
		t.Error("no kill is counted")
	}
}
