package discover

import (
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// content is what an entry takes from a file's content: it is the same as long as that is.
type content struct {
	err    error          // why nothing can be taken
	names  []values.Named // by the first key of the set, where names come from the file
	image  text           // by repositoryKey
	images map[[2]string]text
}

// text is a text of a file, or why there is none.
type text struct {
	text string
	err  error
}

// reads reports whether the files of the entry must be read.
func (r *rule) reads() bool { return r.inverse != nil || r.RepositoryKey != "" }

// contentOf is what is taken from a file's content. It is nil when that is not here yet.
func (w *walk) contentOf(f *file, path string, from *git.File, was *file) *content {
	if was != nil && was.content != nil && was.hash == f.hash {
		return was.content
	}
	c := &content{}
	parsed := false
	err := w.read(path, from, func(text []byte) error {
		parsed = true
		return w.parse(c, text)
	})
	switch {
	case err == nil:
	case gitops.CodeOf(err) == gitops.Unavailable:
		f.needs = path
		return nil
	default:
		f.again = !parsed
		c.err = err
	}
	if !f.again {
		f.content = c
	}
	return c
}

func (r *rule) parse(c *content, text []byte) error {
	d, err := values.Read(text, r.limits)
	if err != nil {
		return err
	}
	if r.inverse != nil {
		if c.names, err = r.inverse.In(d); err != nil {
			return err
		}
	}
	switch {
	case r.imageKey != nil:
		c.image.text, c.image.err = d.Text(r.imageKey)
	case r.imageInverse != nil:
		return c.readImages(r, d)
	}
	return nil
}

// readImages reads the images of all apps at once: a look for each would take as long as
// the file is large, for as many as it has.
func (c *content) readImages(r *rule, d *values.Document) error {
	found, err := r.imageInverse.In(d)
	c.images = make(map[[2]string]text, len(found))
	for _, n := range found {
		c.images[[2]string{n.App, n.Environment}] = text{n.Value, n.Err}
	}
	return err
}

// imageIn is the image that a file's content gives an app, or what is wrong with it.
func (r *rule) imageIn(c *content, n reading) (string, error) {
	found := c.image
	if r.imageInverse != nil {
		var id [2]string
		hasApp, hasEnv := r.imageInverse.Names()
		if hasApp {
			id[0] = n.app
		}
		if hasEnv {
			id[1] = n.env
		}
		var here bool
		if found, here = c.images[id]; !here {
			found.err = gitops.Errorf(gitops.NotFound, "selects nothing")
		}
	}
	switch {
	case found.err != nil:
		return "", fmt.Errorf("repositoryKey %s %s", clip(r.RepositoryKey), sentence(found.err))
	case found.text == "":
		return "", fmt.Errorf("repositoryKey %s is empty: write the image there, without tag", clip(r.RepositoryKey))
	}
	if err := policy.CheckRepository("", found.text); err != nil {
		return "", fmt.Errorf("repositoryKey %s %s. A tag has a key of its own; where the file has no such image, say it in repository", clip(r.RepositoryKey), sentence(err))
	}
	return found.text, nil
}

// sentence is what is wrong, without the field that it is wrong in.
func sentence(err error) string {
	if e, ok := err.(*gitops.Error); ok {
		return e.Message
	}
	return gitops.PublicOf(err)
}

// target is what a file has whose path names one app, or leaves names to the content.
func (w *walk) target(f *file, path string, names reading, from *git.File, was *file) {
	if names.env == "" {
		names.env = w.only
	}
	var c *content
	if w.reads() {
		if c = w.contentOf(f, path, from, was); c == nil {
			return
		}
		if c.err != nil {
			f.problem(names, path, "%s cannot be read: %s", clip(path), gitops.PublicOf(c.err))
			return
		}
	}
	if w.inverse == nil {
		w.add(f, path, names, c, was)
		return
	}
	for _, n := range c.names {
		if w.steps -= keep; w.steps < 0 {
			f.again = true
			return
		}
		if names, ok := w.namesOf(f, path, names, n); ok {
			w.add(f, path, names, c, was)
		}
	}
}

// namesOf are the names that a place in a file has, with those of the path.
func (w *walk) namesOf(f *file, path string, names reading, n values.Named) (reading, bool) {
	if hasApp, _ := w.inverse.Names(); hasApp {
		if names.app != "" && names.app != n.App {
			return names, false
		}
		names.app = n.App
	}
	if _, hasEnv := w.inverse.Names(); hasEnv {
		if names.env != "" && names.env != n.Environment || w.other[n.Environment] {
			return names, false
		}
		if names.env = n.Environment; !w.known[names.env] {
			if gitops.CheckName("", names.env) == nil && gitops.CheckName("", names.app) == nil {
				f.unknown = append(f.unknown, names.env)
			}
			return names, false
		}
	}
	switch err := gitops.CheckName("", names.app); {
	case err != nil:
		f.addProblem(noApp(problem(reading{env: names.env}, path, "%s, line %d: names the app %q, and an app's name %s: rename it", clip(path), n.Line, clip(names.app), sentence(err))))
		return names, false
	case n.Err != nil:
		f.problem(names, path, "%s, line %d: the key of %s %s", clip(path), n.Line, names, sentence(n.Err))
		return names, false
	}
	return names, true
}

// add adds a target: the same as before when it says the same.
func (w *walk) add(f *file, path string, names reading, c *content, was *file) {
	found := &Found{App: names.app, Environment: names.env, Entry: w.nth, File: path, Origin: w.Field}
	switch {
	case w.own != nil && w.own.repository != "":
		found.Image = imageOf(w.own.repository, names)
	case w.Repository != "":
		found.Image = imageOf(w.Repository, names)
	case w.RepositoryKey != "":
		var err error
		if found.Image, err = w.imageIn(c, names); err != nil {
			f.problem(names, path, "%s: %s", clip(path), err)
			return
		}
	}
	found.Also = w.alsoOf(path, names)
	w.applyOwn(found, names)
	f.add(was, found)
}
