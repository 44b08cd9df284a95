package simulation

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// parsing is what the checker knows of what is parsed.
type parsing struct {
	by       map[string]map[string]bool // processes that began to parse an object
	killed   map[string]int             // processes that an object has killed
	cleared  map[string]int             // how often an object was cleared, or came where another had been
	commits  map[hash]bool              // that came onto the branch
	lags     int                        // how often the git server said where the branch was
	harmless map[string]bool            // lines that kill no more
	cured    bool                       // none kills any more
}

func newParsing() parsing {
	return parsing{by: make(map[string]map[string]bool), killed: make(map[string]int), cleared: make(map[string]int), commits: make(map[hash]bool), harmless: make(map[string]bool)}
}

// begins is told that a process is about to parse something.
func (c *checker) begins(process, object string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsing.by[object] == nil {
		c.parsing.by[object] = make(map[string]bool)
	}
	c.parsing.by[object][process] = true
}

// appears is told that the branch moves: what comes where another file was is tried, whatever
// it did when it was there before. The origin's lock is held.
func (c *checker) appears(from, to hash) {
	if c.w.poisons == 0 || to.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes(from, to)
	all := c.w.origin.all
	for at := to; !c.parsing.commits[at] && len(all[at].parents) > 0; at = all[at].parents[0] {
		if c.parsing.commits[at] = true; at != to || all[at].parents[0] != from { // several came at once: each is looked at
			c.changes(all[at].parents[0], at)
		}
	}
}

// changes notes the files of a commit that are others than those of another.
func (c *checker) changes(from, to hash) {
	all, was := c.w.origin.all, make(map[string]hash)
	if !from.IsZero() {
		was = all.files(all[from].tree)
	}
	for path, blob := range all.files(all[to].tree) {
		if was[path] != blob {
			c.parsing.cleared[blob.String()]++
		}
	}
}

// lags is told that the git server says where the branch was: what it had there looks as
// if it had taken the place of what kills.
func (c *checker) lags() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsing.lags++
}

// kills is told of a process that a file has killed: two, until it is tried again. A
// restore forgets the deaths.
func (c *checker) kills(o gitops.ParsedObject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsing.killed[o.Object]++
	if n, most := c.parsing.killed[o.Object], gitops.SetAsideAfter*(c.parsing.cleared[o.Object]+c.parsing.lags+c.restores); n > most {
		c.wrong("%s has killed %d processes, and may kill %d", o.Path, n, most)
		c.parsing.cured = true // or it goes on without end
	}
}

// cleared is told that a person has an object tried again.
func (c *checker) cleared(object, line string, harmless bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsing.cleared[object]++
	if harmless {
		c.parsing.harmless[line] = true
	}
}

func (c *checker) cureAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parsing.cured = true
}

func (c *checker) isCured(line string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parsing.cured || c.parsing.harmless[line]
}

var clearCommand = regexp.MustCompile(`tallyman clear ([0-9a-f]{40})`)

// isSetAside reports whether an update failed because its file is set aside, and holds
// that to be true: two processes began to parse it. A chance death may be one of them. The lock
// is held.
func (c *checker) isSetAside(u *tracked) bool {
	object := clearCommand.FindStringSubmatch(u.Reason)
	if u.Code != gitops.Rejected || object == nil {
		return false
	}
	met.meet("an update failed because its file is set aside")
	own := slices.ContainsFunc(filesOf(u.Environment, u.App), func(path string) bool { return strings.Contains(u.Reason, path) })
	if !own || len(c.parsing.by[object[1]]) < gitops.SetAsideAfter {
		c.wrong("update %s failed because %s is set aside, which %d processes have parsed", u.ID, object[1], len(c.parsing.by[object[1]]))
	}
	return true
}

// retriedOf checks how an update ended that was retried after its file was cleared.
func (c *checker) retriedOf(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.updates[id]
	if u.State == gitops.Failed && clearCommand.MatchString(u.Reason) {
		c.wrong("update %s was retried after its file was cleared, and failed again: %s", id, u.Reason)
	}
	met.meet("what was set aside was retried and ended otherwise")
}
