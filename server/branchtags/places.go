package branchtags

import "github.com/tallyman-dev/tallyman/server/api"

// place is where a tag stands.
type place struct {
	File
	app   int          // its index
	other *api.AppFile // what this file has, where it is not the app's first
}

// found is where the tag of a place is kept, and why it cannot be read.
func (c *Cache[V]) found(p place) (tag, problem *string) {
	if p.other != nil {
		return &p.other.Tag, &p.other.Problem
	}
	return &c.apps[p.app].Tag, &c.apps[p.app].Problem
}

// find takes down what is at a place.
func (c *Cache[V]) find(p place, tag, problem string) {
	ofPlace, why := c.found(p)
	*ofPlace, *why = tag, problem
	c.apps[p.app].Differs = c.differing(p.app)
}

// differing are the other files of an app that do not have the tag of its first.
func (c *Cache[V]) differing(app int) (files []api.AppFile) {
	for _, other := range c.others[app] {
		if other.Problem != "" || other.Tag != c.apps[app].Tag {
			files = append(files, *other)
		}
	}
	return files
}

// Keep takes over what another cache has read, so that only what is new is read. It is
// called before anything else, and waits for whoever reads with the other one.
func (c *Cache[V]) Keep(other *Cache[V]) {
	<-other.turn
	defer func() { other.turn <- struct{}{} }()
	if !other.read {
		return
	}
	type key struct{ environment, app, file string }
	had := make(map[key]place, len(other.places))
	for _, p := range other.places {
		had[key{other.environments[p.app], other.apps[p.app].App, p.Path}] = p
	}
	aside := make(map[string]bool, len(other.aside))
	for _, at := range other.aside {
		aside[other.places[at].Path] = true
	}
	for begin := 0; begin < len(c.places); {
		path, stays, end := c.places[begin].Path, true, begin
		for ; end < len(c.places) && c.places[end].Path == path; end++ {
			p := c.places[end]
			was, ok := had[key{c.environments[p.app], c.apps[p.app].App, path}]
			if ok = ok && was.Edit == p.Edit && !aside[path]; ok {
				tag, problem := other.found(was)
				c.find(p, *tag, *problem)
			}
			stays = stays && ok
		}
		if !stays {
			c.aside = append(c.aside, begin)
		}
		begin = end
	}
	c.seen, c.read, c.written = other.seen, true, other.written
	last := *other.last.Load()
	last.Apps = c.byEnvironment()
	c.last.Store(&last)
}
