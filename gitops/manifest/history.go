package manifest

import "time"

// clockSlack is how far the clocks of replicas, the store and other writers may
// be apart before the search for an update's commit goes wrong.
const clockSlack = time.Hour

// oldRun is how many commits in a row must be older than what is looked for
// before a line of history is taken to be older: a rebase, an import or a wrong
// clock may put a few old dates on top of newer commits.
const oldRun = 64

// history is a part of the branch's history: commits by name.
type history map[hash]commit

// historyOf picks the commits out of what was fetched.
func historyOf(fetched map[hash]object) (history, error) {
	h := make(history)
	for name, o := range fetched {
		if o.kind != kindCommit {
			continue
		}
		c, err := parseCommit(o.data)
		if err != nil {
			return nil, err
		}
		h[name] = c
	}
	return h, nil
}

// take adds a commit.
func (h history) take(name hash, c commit) { h[name] = c }

// ancestors returns a commit and those of its ancestors that h has.
func (h history) ancestors(of hash) map[hash]bool {
	seen := map[hash]bool{of: true}
	for queue := []hash{of}; len(queue) > 0; queue = queue[1:] {
		for _, parent := range h[queue[0]].parents {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return seen
}

// walk visits what the tip reaches, along all parents, until each line of
// history ends at a known commit, at a root, or in a run of commits older than
// since. It reports whether h had every commit that was needed for that.
func (h history) walk(tip hash, known map[hash]bool, since time.Time, visit func(hash, commit)) (complete bool) {
	type step struct {
		name hash
		old  int // how many commits in a row were older, up to this one
	}
	complete = true
	best := make(map[hash]int) // the shortest run with which a commit was reached
	for queue := []step{{tip, 0}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		run, visited := best[at.name]
		if known[at.name] || visited && run <= at.old {
			continue
		}
		c, ok := h[at.name]
		if !ok {
			complete = false
			continue
		}
		best[at.name] = at.old
		if !visited {
			visit(at.name, c)
		}
		next := 0
		if c.made.Before(since) {
			if next = at.old + 1; next > oldRun {
				continue
			}
		}
		for _, parent := range c.parents {
			queue = append(queue, step{parent, next})
		}
	}
	return complete
}
