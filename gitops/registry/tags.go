package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"

	"oras.land/oras-go/v2/errdef"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Bounds of a list. A poll asks for one every few minutes, and its tags are remembered while it
// is read.
const (
	maxPages  = 1000
	maxListed = 1_000_000 // tags
)

// ecrPage is the most tags that ECR gives in one page.
const ecrPage = 1000

// Tags calls each with every page of a repository's tags, each tag once, in the registry's
// order. An error of each ends it. After 1,000 pages, or with the page that has the millionth
// tag, it ends with a warning in the log.
// Errors are as of Look, and NotFound where the repository is not there.
//
// A Link to the next page is followed as it is. A registry that sends none may still have
// more, so the list goes on behind the last tag until nothing new comes. Behind the last of all
// some registries send the first page again, and some reject the request.
func (c *Client) Tags(ctx context.Context, repository string, each func(page []string) error) error {
	r, err := c.repository(repository)
	if err != nil {
		return err
	}
	l := &listing{repository: r, each: each, most: c.mostTags, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
	for err == nil && !l.complete && l.pages < maxPages && len(l.seen) < l.most {
		err = l.follow(ctx)
	}
	switch {
	case err != nil:
		return err
	case !l.complete:
		c.config.Logger.WarnContext(ctx, "a repository has more tags than are read", "host", r.host.name, "repository", r.path, "pages", l.pages, "tags", len(l.seen))
	}
	return nil
}

// listing is one reading of a repository's tags.
type listing struct {
	repository *repository
	each       func(page []string) error
	eachErr    error // what each returned
	most       int   // how many tags are read

	seed     maphash.Seed
	seen     map[uint64]struct{} // the tags by hash: there may be a million
	last     string              // of the latest page that had one
	pages    int
	complete bool
}

// follow reads from behind the last tag as far as Links lead.
func (l *listing) follow(ctx context.Context) error {
	exchanging, x := withExchange(ctx, opTags)
	began, from := l.pages, l.last
	list := l.repository.oras(maxPages - l.pages)
	if l.repository.host.ecr {
		list.TagListPageSize = ecrPage
	}
	err := list.Tags(exchanging, from, l.page)
	switch {
	case l.eachErr != nil:
		return l.eachErr
	case errors.Is(err, errNothingNew):
		l.complete = true
		return nil
	case errors.Is(err, errdef.ErrTooManyPages), errors.Is(err, errEnough):
		return nil
	case isStatus(err, http.StatusNotFound) && from == "" && l.pages == began:
		return gitops.Errorf(gitops.NotFound, "registry %s has no repository %s", l.repository.host.name, l.repository.path)
	case from != "" && l.pages == began && isStatus(err, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestedRangeNotSatisfiable):
		l.complete = true // it does not list from a tag on
		return nil
	case err != nil:
		return l.repository.host.problem(ctx, x, err)
	}
	linked := l.pages-began > 1
	l.complete = linked || l.last == from // an empty page is the end, too
	return nil
}

// errNothingNew ends a list that begins again: its Links lead in a circle, or its registry does
// not know where to go on.
var errNothingNew = errors.New("a page has nothing new")

// errEnough ends a list of more tags than are read.
var errEnough = errors.New("there are more tags than are read")

// page passes on what is new of a page.
func (l *listing) page(tags []string) error {
	l.pages++
	before := len(l.seen)
	fresh := make([]string, 0, len(tags))
	for _, tag := range tags {
		hash := maphash.String(l.seed, tag)
		if _, known := l.seen[hash]; known {
			continue
		}
		l.seen[hash] = struct{}{}
		if tagGrammar.MatchString(tag) {
			fresh = append(fresh, tag)
		}
	}
	if len(tags) > 0 {
		l.last = tags[len(tags)-1]
		if len(l.seen) == before {
			return errNothingNew
		}
	}
	if len(fresh) > 0 {
		l.eachErr = l.each(fresh)
	}
	if l.eachErr == nil && len(l.seen) >= l.most {
		return errEnough
	}
	return l.eachErr
}
