package simulation

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// trace is what happened in a schedule, line by line. Telling costs more than
// playing, so it is done only when somebody asks.
type trace struct {
	aloud bool // in the test's log
	kept  bool // in lines

	mu    sync.Mutex
	began time.Time
	lines []string
}

// tell takes down what happened.
func (w *world) tell(format string, args ...any) { w.told.tell(w.t, format, args...) }

func (h *trace) tell(t testing.TB, format string, args ...any) {
	if !h.aloud && !h.kept {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.began.IsZero() {
		h.began = time.Now()
	}
	line := fmt.Sprintf("%14s  ", time.Since(h.began)) + fmt.Sprintf(format, args...)
	if h.aloud {
		t.Log(line)
	}
	h.lines = append(h.lines, line)
}

// met counts what the schedules have met: one that meets nothing proves nothing.
var met tally

type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

// mustMeet is what some hundred schedules must have met, each of it.
var mustMeet = []string{
	"an update committed", "an update unchanged", "an update failed", "an update superseded", "an update cancelled", "an update came late",
	"a lower version was pushed", "a higher version was pushed before a lower one, and arrived after it", "the branch had a higher version",
	"an update was blocked: refused", "a push landed", "a push lost the race", "a hook refused a push", "a hook refused one app",
	"a push was too large", "a thin pack was refused", "the branch was not there", "a search was too long", "one commit had several updates",
	"Extend was refused under an old token", "Release was refused under an old token", "Take was refused under an old token", "Report was refused under an old token",
	"a person decided to retry", "a person decided to dismiss", "one replica reported what another had pushed", "a delivery was known already", "a dispatch was known by its body", "a dispatch came from a repository that may order nothing", "an order of several was accepted",
	"a backup was restored", "the store failed over and lost something", "a lost delivery was taken in again", "the store knew of a death",
	"a file killed a process", "an update failed because its file is set aside", "a person cleared a file", "what was set aside was retried and ended otherwise",
	"a person forged a trailer", "a person rebased a commit of ours", "the store lost its key",
	"an update was blocked: pin", "an update was blocked: freeze", "an update was blocked: stop", "an update was blocked: bad",
	"a hold was placed: pin", "a hold was placed: freeze", "a hold was placed: stop", "a hold was placed: bad", "a hold came right before a push", "a push was under way when a hold came",
	"what was held is taken again", "an older update that was held is passed over", "a person's request came twice", "a hold's answer named what was under way", "a freeze was configured",
	"a person ordered something", "a person rolled back", "a person's order was refused for what holds it", "a person's order passed what held it", "an update was written over an edit by hand", "an edit by hand superseded an update",
	"a delivery waited for its app", "a waiting delivery became an update", "two replicas decided one delivery",
	"an image was not there", "an image was found and its update pushed", "an update was blocked: image", "an update failed because its image never came",
	"an update failed because its tag had moved", "an event of a moved tag was refused", "a registry hung",
	"a first poll recorded what was there", "a poll ordered what no event told of", "a poll had a moved tag refused", "a poll's list failed", "another replica went on with the polls", "the highest version is one that no event told of", "a poll's list was old or cut short",
	"a pull request was opened", "a pull request was merged: merge", "a pull request was merged: squash", "a pull request was merged: rebase", "a pull request was merged", "a pull request was closed",
	"a pull request was armed", "a pull request was disarmed", "a pull request was in the queue", "a topic branch was pushed", "a topic branch was deleted", "an update proposed", "an update closed",
	"a person pushes onto a topic branch", "a person forces a topic branch", "a person deleted a topic branch", "a person opened a pull request again", "an update was blocked: proposal",
	"the forge was away", "the forge hung", "the forge limited a call",
	"a rollout was healthy", "a rollout was superseded", "a rollout was degraded", "a rollout was sync_failed", "Argo CD was asked to look at git", "ReportRollouts was refused under an old token",
	"Argo CD refused a call: unavailable", "Argo CD refused a call: rate_limited", "Argo CD refused a call: unauthorized",
	"a registry refused a look: unavailable", "a registry refused a look: rate_limited", "a registry refused a look: forbidden", "a registry refused a look: unauthorized",
}

// mayMeet is what is counted and too rare for that.
var mayMeet = []string{"a push that was on its way brought what was cancelled", "a session was replaced", "a lower version was pushed than one that is bad", "an update failed because its digest is another", "a poll found again what it had ordered",
	"a pull request was armed at another head", "a pull request was open already", "a hold came right before a pull request was opened or merged", "an update was closed because its tag was before"}

func (c *tally) meet(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[string]int)
	}
	c.counts[what]++
}

// check fails for what was never met.
func (c *tally) check(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, what := range mustMeet {
		if c.counts[what] == 0 {
			t.Errorf("no schedule was there in which %s", what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		t.Logf("%8d times %s", c.counts[what], what)
		if !slices.Contains(mustMeet, what) && !slices.Contains(mayMeet, what) {
			t.Errorf("%q is counted and not asked for", what)
		}
	}
}
