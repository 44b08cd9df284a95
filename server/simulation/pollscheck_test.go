package simulation

import (
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// What the checker knows of polls. A poll decides by what it has read: it is held to what was
// true when the store answered it.

// scanned is what a replica's scan of a repository was told.
type scanned struct {
	first  bool // the store knew of no scan before
	began  time.Time
	ended  bool                  // the list had an end
	unseen map[string]bool       // tags that were not seen before
	above  map[release]string    // the highest version that was ever accepted
	read   map[release]time.Time // when that was
}

// unheard is a tag that no event tells of.
type unheard struct {
	app, tag string
	at       time.Time
}

// pollBooks are the checker's of polls. Of those that are by image and by app a restore takes
// back what it does.
type pollBooks struct {
	known    map[string]bool    // images that the store has seen, with a digest or without
	versions map[release]string // the highest that was ever accepted
	scan     map[string]*scanned
	leading  map[string]bool                    // replicas
	leader   string                             // that had the lease last
	decided  map[gitops.DeliveryKey][]time.Time // when what a poll decided by was read
	since    map[string]time.Time               // when the first scan of a repository was over
	complete map[string]time.Time               // when the last scan of a repository began that was complete
	unheard  []unheard
	healed   time.Time
}

func newPollBooks() pollBooks {
	return pollBooks{known: make(map[string]bool), versions: make(map[release]string), scan: make(map[string]*scanned), leading: make(map[string]bool), decided: make(map[gitops.DeliveryKey][]time.Time), since: make(map[string]time.Time), complete: make(map[string]time.Time)}
}

// leads is told whether a replica was given the lease of the poll, or gives it back.
func (c *checker) leads(replica string, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leading[replica] = leads
	if leads && c.leader != "" && c.leader != replica {
		met.meet("another replica went on with the polls")
	}
	if leads {
		c.leader = replica
	}
}

// scanOf is a replica's scan of a repository. The lock is held.
func (c *checker) scanOf(replica, repository string) *scanned {
	s := c.scan[replica+" "+repository]
	if s == nil {
		s = &scanned{unseen: make(map[string]bool), above: make(map[release]string), read: make(map[release]time.Time)}
		c.scan[replica+" "+repository] = s
	}
	return s
}

// scans is told that a replica asked when a repository was scanned before.
func (c *checker) scans(replica, repository string, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.scan, replica+" "+repository)
	c.scanOf(replica, repository).first = first
}

// lists is told that a replica begins to list a repository, which only the holder of the
// lease does.
func (c *checker) lists(replica, repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leading[replica] {
		c.wrong("%s polls %s, and has no lease for that", replica, repository)
	}
	c.scanOf(replica, repository).began = time.Now()
}

func (c *checker) listed(replica, repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scanOf(replica, repository).ended = true
}

// readSeen is told that a poll was told which tags were seen.
func (c *checker) readSeen(replica, repository string, tags []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scanOf(replica, repository)
	for _, tag := range tags {
		s.unseen[tag] = !c.known[repository+":"+tag]
	}
}

// readHead is told that a poll was told what was accepted of an app.
func (c *checker) readHead(replica string, r release) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scanOf(replica, repositoryOf(r.app))
	s.above[r], s.read[r] = c.versions[r], time.Now()
}

// recorded is told of images that a poll recorded.
func (c *checker) recorded(seen []gitops.SeenImage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, image := range seen {
		c.records(image.Repository, image.Tag, image.Digest, image.Named)
	}
}

// completes is told that a scan counts as complete.
func (c *checker) completes(replica, repository string) *scanned {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scanOf(replica, repository)
	if !s.ended {
		c.wrong("a scan of %s counts as complete, and its list did not end", repository)
	}
	return s
}

// completed is told that the store has a scan as complete.
func (c *checker) completed(repository string, s *scanned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.first {
		met.meet("a first poll recorded what was there")
	}
	if c.since[repository].IsZero() {
		c.since[repository] = time.Now()
	}
	if s.began.After(c.complete[repository]) {
		c.complete[repository] = s.began
	}
}

// pollOrders checks what a poll has decided to order.
func (c *checker) pollOrders(replica string, e gitops.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.scanOf(replica, e.Push.Image)
	switch {
	case s.first:
		c.wrong("the first poll of %s orders %s", e.Push.Image, e.Push.Tag)
	case !s.unseen[e.Push.Tag]:
		c.wrong("a poll orders %s:%s, which was seen before", e.Push.Image, e.Push.Tag)
	}
	read := time.Now()
	for _, at := range e.Push.For {
		r := release{at.Environment, at.App}
		if above := s.above[r]; above != "" && !lower(above, e.Push.Tag) {
			c.wrong("a poll orders %s of %s in %s, which is not above %s", e.Push.Tag, r.app, r.environment, above)
		}
		if s.read[r].Before(read) {
			read = s.read[r]
		}
	}
	c.decided[e.Delivery] = append(c.decided[e.Delivery], read)
}

// raise takes down the version of what was accepted. The lock is held.
func (c *checker) raise(u gitops.Update) {
	r := release{u.Environment, u.App}
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(u.Tag, "v")); err == nil && (c.versions[r] == "" || lower(c.versions[r], u.Tag)) {
		c.versions[r] = u.Tag
	}
}

// isPolls reports whether a poll ordered an update.
func isPolls(u gitops.Update) bool { return u.Delivery.Source == poll.Source }

// byPoll checks an update that was accepted from a poll: its environment polls, a poll has
// decided it, and no update of the app had written the tag by then. The lock is held.
func (c *checker) byPoll(u gitops.Update) {
	if !isPolls(u) {
		return
	}
	if !c.w.polls() || u.Environment != polled {
		c.wrong("update %s of %s in %s was accepted from a poll, and %s polls nothing", u.ID, u.App, u.Environment, u.Environment)
	}
	decided := c.decided[u.Delivery]
	if len(decided) == 0 {
		c.wrong("update %s was accepted from a poll, and no poll has decided that", u.ID)
		return
	}
	met.meet("a poll ordered what no event told of")
	for _, other := range c.updates {
		if c.restores == 0 && other.ID != u.ID && other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag &&
			other.State.Written() && other.ended.Before(decided[len(decided)-1]) {
			c.wrong("update %s of a poll brings %s back, which update %s had written", u.ID, u.Tag, other.ID)
		}
	}
}

// pushedUnheard is told of a tag that no event tells of.
func (c *checker) pushedUnheard(app, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unheard = append(c.unheard, unheard{app, tag, time.Now()})
}

// heals is told that everything heals.
func (c *checker) heals() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.healed = time.Now()
}

// toPoll lists the repositories that were not scanned since everything healed. The lock is held.
func (c *checker) toPoll() (repositories []string) {
	for _, app := range filed {
		if repository := repositoryOf(app); c.w.polls() && !c.complete[repository].After(c.healed) {
			repositories = append(repositories, repository)
		}
	}
	return repositories
}

// highestIsFound checks that of what no event told of the highest was ordered, or something
// above it. A first scan orders nothing; what was pushed before a person's order is older
// than that, where lists say when it was. The lock is held.
func (c *checker) highestIsFound() {
	for _, repository := range c.toPoll() {
		c.wrong("%s was not polled since everything healed", repository)
	}
	for _, app := range filed {
		r, since, highest := release{polled, app}, c.since[repositoryOf(app)], ""
		if c.restores > 0 || c.w.polling.dated && !c.word[r].IsZero() {
			continue
		}
		for _, u := range c.unheard {
			if u.app == app && u.at.After(since) && (app != "web" || evenTag(u.tag)) && (highest == "" || lower(highest, u.tag)) {
				highest = u.tag
			}
		}
		if highest == "" {
			continue
		}
		if c.versions[r] == "" || lower(c.versions[r], highest) {
			c.wrong("%s of %s is the highest that was pushed, no event told of it, and it was never ordered", highest, app)
		}
		if c.versions[r] == highest {
			met.meet("the highest version is one that no event told of")
		}
	}
}
