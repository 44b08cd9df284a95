package github

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// topics is what the names of tallyman's branches begin with.
const topics = "tallyman/"

// openPerPage is how many open pull requests are asked for at once. Whoever may open one may
// give it 65,536 letters, each of which is written with up to six bytes: so many make 20 MB,
// and githubapp reads 32 MB of an answer.
const openPerPage = 50

// mostPages bounds how many pages of a list are read: GitHub says itself whether there is
// another.
const mostPages = 200

// page is one page of the open pull requests as it was last read.
type page struct {
	etag  string // what GitHub calls this content of it; for one token
	sum   [sha256.Size]byte
	pulls []proposals.Pull // those of topic branches
	full  bool
	more  bool
}

// Open returns the open pull requests of topic branches. Pages that are as they were cost
// nothing of the rate limit. What was read counts as given only when all pages were: an
// error half way does not hide a change from the next call.
//
// The oldest come first, so that a new one does not move the others from page to page. A
// page that is full is followed by another even where GitHub said that it was the last: its
// own content does not tell when the next begins.
func (f *Forge) Open(ctx context.Context) (open []proposals.Pull, changed bool, err error) {
	f.opening.Lock()
	defer f.opening.Unlock()
	var pages []page
	for n := 0; ; n++ {
		if n == mostPages {
			return nil, false, gitops.Errorf(gitops.Unavailable, "more than %d pull requests are open, which are not listed: close those that are not needed", mostPages*openPerPage)
		}
		var before page
		if n < len(f.pages) {
			before = f.pages[n]
		}
		now, err := f.openPage(ctx, n+1, before)
		if err != nil {
			return nil, false, failure("listing the open pull requests", err)
		}
		changed = changed || n >= len(f.pages) || now.sum != before.sum
		pages, open = append(pages, now), append(open, now.pulls...)
		if !now.full && !now.more {
			break
		}
	}
	f.pages = pages
	return open, changed, nil
}

// openPage reads one page, or returns what was there before where GitHub says that it is
// the same.
func (f *Forge) openPage(ctx context.Context, number int, before page) (page, error) {
	query := url.Values{
		"state": {"open"}, "base": {f.base}, "sort": {"created"}, "direction": {"asc"},
		"per_page": {strconv.Itoa(openPerPage)}, "page": {strconv.Itoa(number)},
	}
	request, err := f.client.NewRequest(http.MethodGet, "repos/"+f.owner+"/"+f.name+"/pulls?"+query.Encode(), nil)
	if err != nil {
		return page{}, err
	}
	if before.etag != "" {
		request.Header.Set("If-None-Match", before.etag)
	}
	response, err := f.client.BareDo(ctx, request)
	if response != nil && response.Response != nil && response.StatusCode == http.StatusNotModified {
		return before, nil // which go-github calls an error
	}
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	now := page{etag: response.Header.Get("ETag"), more: response.NextPage != 0}
	many := 0
	now.sum, err = eachPull(response.Body, func(p *github.PullRequest) {
		many++
		if f.own(p) && strings.HasPrefix(p.GetHead().GetRef(), topics) {
			now.pulls = append(now.pulls, pullOf(p))
		}
	})
	now.full = many >= openPerPage
	return now, err
}

// eachPull reads a list of pull requests, one after the other: only one of them is in memory.
// The sum is of all that was read.
func eachPull(list io.Reader, do func(*github.PullRequest)) (sum [sha256.Size]byte, err error) {
	read := sha256.New()
	all := io.TeeReader(list, read)
	in := json.NewDecoder(all)
	if start, err := in.Token(); err != nil || start != json.Delim('[') {
		return sum, errors.Join(errNoList, err)
	}
	for in.More() {
		var p *github.PullRequest
		if err := in.Decode(&p); err != nil {
			return sum, err
		}
		do(p)
	}
	if _, err := in.Token(); err != nil {
		return sum, err
	}
	_, err = io.Copy(io.Discard, all)
	return [sha256.Size]byte(read.Sum(nil)), err
}

var errNoList = errors.New("the answer is not a list")
