package branchtags

// tagOf is what a place's tag is of.
type tagOf struct {
	environment, app, path string
	first                  bool
}

func (c *Cache[V]) tagOf(p place) tagOf {
	return tagOf{c.environments[p.app], c.apps[p.app].App, p.Path, p.other == nil}
}

// Keep takes over what another cache has read, so that only what is new is read. It is
// called before anything else, and waits for whoever reads with the other one.
func (c *Cache[V]) Keep(other *Cache[V]) {
	<-other.turn
	defer func() { other.turn <- struct{}{} }()
	if !other.read {
		return
	}
	had := make(map[tagOf]place, len(other.places))
	for _, p := range other.places {
		had[other.tagOf(p)] = p
	}
	for _, at := range other.aside { // which is read again
		delete(had, other.tagOf(other.places[at]))
	}
	for begin, end := 0, 0; begin < len(c.places); begin = end {
		stays := true
		for end = begin; end < len(c.places) && c.places[end].Path == c.places[begin].Path; end++ {
			was, ok := had[c.tagOf(c.places[end])]
			if ok = ok && was.Edit == c.places[end].Edit; ok {
				c.keep(c.places[end], other, was)
			}
			stays = stays && ok
		}
		if !stays {
			c.aside = append(c.aside, begin)
		}
	}
	for i := range c.apps {
		c.apps[i].Differs = c.differing(i)
	}
	c.seen, c.read, c.written = other.seen, true, other.written
	last := *other.last.Load()
	last.Apps = c.byEnvironment()
	c.last.Store(&last)
}

// keep copies what was read at a place.
func (c *Cache[V]) keep(p place, other *Cache[V], was place) {
	if p.other != nil {
		p.other.Tag, p.other.Problem = was.other.Tag, was.other.Problem
		return
	}
	from := other.apps[was.app]
	c.apps[p.app].Tag, c.apps[p.app].Problem = from.Tag, from.Problem
}
