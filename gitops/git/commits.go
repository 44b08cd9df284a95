package git

import "time"

// OldRun is how many commits in a row must be older than what is looked for
// before a line of history is taken to be older: a rebase, an import or a wrong
// clock may put a few old dates on top of newer commits.
const OldRun = 64

// Commits is a part of a branch's history: commits by name.
type Commits map[Hash]Commit

// CommitsOf picks the commits out of what was fetched.
func CommitsOf(fetched map[Hash]Object) (Commits, error) {
	h := make(Commits)
	for name, o := range fetched {
		if o.Kind != KindCommit {
			continue
		}
		c, err := ParseCommit(o.Data)
		if err != nil {
			return nil, err
		}
		h[name] = c
	}
	return h, nil
}

// Add adds a commit.
func (h Commits) Add(name Hash, c Commit) { h[name] = c }

// Ancestors returns a commit and those of its ancestors that h has.
func (h Commits) Ancestors(of Hash) map[Hash]bool {
	seen := map[Hash]bool{of: true}
	for queue := []Hash{of}; len(queue) > 0; queue = queue[1:] {
		for _, parent := range h[queue[0]].Parents {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return seen
}

// Walk visits what the tip reaches, along all parents, until each line of
// history ends at a known commit, at a root, or in a run of commits older than
// since. It reports whether h had every commit that was needed for that.
func (h Commits) Walk(tip Hash, known map[Hash]bool, since time.Time, visit func(Hash, Commit)) (complete bool) {
	type step struct {
		name Hash
		old  int // how many commits in a row were older, up to this one
	}
	complete = true
	best := make(map[Hash]int) // the shortest run with which a commit was reached
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
		if c.Made.Before(since) {
			if next = at.old + 1; next > OldRun {
				continue
			}
		}
		for _, parent := range c.Parents {
			queue = append(queue, step{parent, next})
		}
	}
	return complete
}
