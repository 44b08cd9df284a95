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
