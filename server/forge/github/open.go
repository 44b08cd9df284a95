package github

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// topics is what the names of tallyman's branches begin with.
const topics = "tallyman/"

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
		"per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(number)},
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
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return page{}, err
	}
	var list []*github.PullRequest
	if err := json.Unmarshal(body, &list); err != nil {
		return page{}, err
	}
	now := page{etag: response.Header.Get("ETag"), sum: sha256.Sum256(body), full: len(list) >= perPage, more: response.NextPage != 0}
	for _, p := range list {
		if f.own(p) && strings.HasPrefix(p.GetHead().GetRef(), topics) {
			now.pulls = append(now.pulls, pullOf(p))
		}
	}
	return now, nil
}
