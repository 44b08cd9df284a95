package ledger_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops"
)

// well is two updates of one place, the second sent after the first was answered, and
// one whose file cannot be edited: all as it should be.
func well() ([]ledger.Entry, ledger.Found) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	entries := []ledger.Entry{
		{Update: "u1", App: "api", Environment: "dev", Tag: "v1", Sent: at(1), Answered: at(2)},
		{Update: "u2", App: "api", Environment: "dev", Tag: "v2", Sent: at(3), Answered: at(4)},
		{Update: "u3", App: "web", Environment: "dev", Tag: "v3", Sent: at(3), Answered: at(5), File: "web/values.yaml"},
	}
	return entries, ledger.Found{
		Updates: map[string]gitops.Update{
			"u1": {ID: "u1", State: gitops.Committed}, "u2": {ID: "u2", State: gitops.Committed},
			"u3": {ID: "u3", State: gitops.Failed, Reason: "web/values.yaml has too many values"},
		},
		Commits: [][]string{nil, {"u1"}, {"u2"}},
		Tags:    map[ledger.Place]string{{App: "api", Environment: "dev"}: "v2"},
	}
}

func TestAllIsWell(t *testing.T) {
	if problems := ledger.Check(well()); len(problems) > 0 {
		t.Errorf("%q", problems)
	}
	entries, found := well()
	entries[1].Sent = entries[0].Sent // both were under way together
	found.Commits = [][]string{{"u2"}, {"u1"}}
	found.Tags[ledger.Place{App: "api", Environment: "dev"}] = "v1"
	if problems := ledger.Check(entries, found); len(problems) > 0 {
		t.Errorf("%q", problems)
	}
}

// Each way to lose an update is found, and said once.
func TestALossIsFound(t *testing.T) {
	end := func(f *ledger.Found, id string, state gitops.State, reason string) {
		f.Updates = maps.Clone(f.Updates)
		f.Updates[id] = gitops.Update{ID: id, State: state, Reason: reason}
	}
	for says, lose := range map[string]func(*ledger.Found){
		"u2 (api to v2 in dev) was accepted and is not known any more": func(f *ledger.Found) { delete(f.Updates, "u2") },
		"u2 (api to v2 in dev) has not ended: it is pending":           func(f *ledger.Found) { end(f, "u2", gitops.Pending, "") },
		"u1 (api to v1 in dev) is committed, and no commit is of it":   func(f *ledger.Found) { f.Commits = f.Commits[2:] },
		"u1 (api to v1 in dev) is failed, and a commit is of it":       func(f *ledger.Found) { end(f, "u1", gitops.Failed, "x") },
		"u3 (web to v3 in dev) is failed: no permission":               func(f *ledger.Found) { end(f, "u3", gitops.Failed, "no permission") },
		"u3 (web to v3 in dev) is superseded: ":                        func(f *ledger.Found) { end(f, "u3", gitops.Superseded, "") },
		"u1 is on the branch twice":                                    func(f *ledger.Found) { f.Commits = append([][]string{{"u1"}}, f.Commits...) },
		"a commit is of update u9":                                     func(f *ledger.Found) { f.Commits = append(f.Commits, []string{"u9"}) },
		`the branch has "v1" for api in dev, the last update is v2`: func(f *ledger.Found) {
			f.Tags = map[ledger.Place]string{{App: "api", Environment: "dev"}: "v1"}
		},
		"v1 was accepted before v2 was sent, and is behind it": func(f *ledger.Found) {
			f.Commits = [][]string{{"u2"}, {"u1"}}
			f.Tags = map[ledger.Place]string{{App: "api", Environment: "dev"}: "v1"}
		},
	} {
		entries, found := well()
		lose(&found)
		problems := ledger.Check(entries, found)
		if len(problems) != 1 || !strings.Contains(problems[0], says) {
			t.Errorf("want %q, got %q", says, problems)
		}
	}
}

// An update that fails though its file is as it should be is a loss.
func TestAFailureIsALoss(t *testing.T) {
	entries, found := well()
	entries[2].File = ""
	if problems := ledger.Check(entries, found); len(problems) != 1 || !strings.Contains(problems[0], "u3") {
		t.Errorf("%q", problems)
	}
}
