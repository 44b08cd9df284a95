package git

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Pager reads the history of a commit in pages, the newest first. The server is told
// where the pages so far end, and sends what was before. It belongs to one goroutine.
type Pager struct {
	// Commits are all that were read so far.
	Commits Commits
	// Bytes is how much memory they take.
	Bytes int
	// Unfiltered is what the server said when it did not apply the filter: since then
	// pages have whole commits. It is nil as long as it was not asked in vain.
	Unfiltered error

	remote Remote
	pages  Pages
	size   int  // commits that the next page brings
	depth  int  // commits from the tip that were asked for so far
	ended  bool // the server has no more, although commits name parents: it is shallow itself
}

// Pages says what a [Pager] reads.
type Pages struct {
	Tip          Hash
	Capabilities map[string]string // of upload-pack

	// Base is a commit whose objects are here: the first page does not bring them
	// again. It may be the tip. BaseCommit is what it says. The zero Hash is no commit.
	Base       Hash
	BaseCommit Commit
	// Held finds the objects of Base. With it the first page comes as deltas of them;
	// without it no page needs an object that is not in it.
	Held Source

	// Filter is what the server leaves out of pages. One that does not offer it, or
	// does not allow it, sends whole commits.
	Filter Filter
	// Keep says which of the objects that come are kept beside commits; nil keeps all.
	Keep func(Kind) bool

	First        int   // commits of the first page, counted from the tip; 64 by default
	Most         int   // commits of all pages, counted from the tip
	MaxBytes     int64 // as of [FetchRequest], for each page
	MaxFileBytes int64 // likewise

	Files func(file Hash) bool // likewise
}

// What a further page brings.
const (
	shortestPage = 64      // commits
	longestPage  = 4096    // commits, or as many as were read so far
	pageBytes    = 8 << 20 // of kept objects, as it is aimed at
)

// NewPager makes a pager that has read nothing. It does not use the network.
func NewPager(r Remote, p Pages) *Pager {
	pager := &Pager{Commits: make(Commits), remote: r, pages: p, size: p.First}
	if pager.size == 0 {
		pager.size = shortestPage
	}
	if _, can := p.Capabilities["filter"]; !can {
		pager.pages.Filter = FilterNone
	}
	if !p.Base.IsZero() {
		pager.Commits.Add(p.Base, p.BaseCommit)
	}
	return pager
}

// More reports whether a further page may bring older commits.
func (p *Pager) More() bool {
	return !p.ended && p.depth < p.pages.Most && (p.depth == 0 || len(p.ends()) > 0)
}

// Next reads a page and returns the objects that were kept of it.
func (p *Pager) Next(ctx context.Context) (map[Hash]Object, error) {
	r, held := p.request(min(p.depth+p.size, p.pages.Most)), Nothing
	if len(p.Commits) > 0 {
		r.Have, r.Shallow = p.pages.Tip, p.ends()
	}
	if p.depth == 0 && !p.pages.Base.IsZero() {
		r.Have, r.Shallow = p.pages.Base, []Hash{p.pages.Base} // also one that has no parents
		if p.pages.Held != nil {
			r.NoThin, held = false, p.pages.Held
		}
	}
	fetched, err := p.remote.Fetch(ctx, r, held)
	if said := err; UnknownToServer(err) && r.Filter != FilterNone {
		// It offers filters, and need not allow this one (uploadpackfilter in
		// git-config(1)); or it does not know the tip, and then this fails as well.
		r.Filter = FilterNone
		if fetched, err = p.remote.Fetch(ctx, r, held); err == nil {
			p.pages.Filter, p.Unfiltered = FilterNone, said
		}
	}
	if err != nil {
		return nil, err
	}
	return fetched, p.take(fetched, r.Depth)
}

// Since reads pages until it has every commit of the history since a time, and returns
// those. Where the pages end before that it returns every commit since the later time
// that it reached, or nil when there is no such time.
func (p *Pager) Since(ctx context.Context, since time.Time) (found Commits, reached time.Time, err error) {
	complete := func() bool {
		found = make(Commits)
		return p.Commits.Walk(p.pages.Tip, nil, since, found.Add)
	}
	for !complete() && p.More() {
		if _, err := p.Next(ctx); err != nil {
			return nil, since, err
		}
	}
	var made []time.Time
	for _, c := range p.Commits {
		made = append(made, c.Made)
	}
	slices.SortFunc(made, time.Time.Compare)
	for n := OldRun; !complete(); n *= 2 {
		if n >= len(made) {
			return nil, since, nil
		}
		since = made[n]
	}
	return found, since, nil
}

// Again reads all pages so far as one, of which the server is not told that anything
// is here. It is for when a page lacks an object: servers leave out what they take a
// client to have.
func (p *Pager) Again(ctx context.Context) (map[Hash]Object, error) {
	r := p.request(p.depth)
	fetched, err := p.remote.Fetch(ctx, r, Nothing)
	if err != nil {
		return nil, err
	}
	return fetched, p.take(fetched, p.depth)
}

func (p *Pager) request(depth int) FetchRequest {
	q := p.pages
	return FetchRequest{
		Wants: []Hash{q.Tip}, Depth: depth, Filter: q.Filter, Keep: q.Keep, NoThin: true,
		MaxBytes: q.MaxBytes, MaxFileBytes: q.MaxFileBytes, Files: q.Files, Capabilities: q.Capabilities,
	}
}

// take takes the commits of a page in.
func (p *Pager) take(fetched map[Hash]Object, depth int) error {
	page, err := CommitsOf(fetched)
	if err != nil {
		return err
	}
	if _, ok := page[p.pages.Tip]; !ok {
		if _, ok := p.Commits[p.pages.Tip]; !ok {
			return fmt.Errorf("%w: the commit that was asked for did not come", ErrMissingObject)
		}
	}
	before, bytes := len(p.Commits), 0
	for _, o := range fetched {
		bytes += len(o.Data)
	}
	for name, c := range page {
		if _, known := p.Commits[name]; !known {
			p.Commits.Add(name, c)
			p.Bytes += len(fetched[name].Data)
		}
	}
	p.ended = p.ended || p.depth > 0 && depth > p.depth && len(p.Commits) == before
	p.depth = depth
	p.size = nextPage(len(p.Commits)-before, bytes, len(p.Commits))
	return nil
}

// nextPage is how many commits to read after a page of so many new ones, which took
// so many bytes: a large directory is in each of them again.
func nextPage(commits, bytes, all int) int {
	return min(max(shortestPage, commits*pageBytes/max(bytes, 1)), max(longestPage, all))
}

// ends lists the commits of which a parent is not here.
func (p *Pager) ends() (ends []Hash) {
	for name, c := range p.Commits {
		for _, parent := range c.Parents {
			if _, ok := p.Commits[parent]; !ok {
				ends = append(ends, name)
				break
			}
		}
	}
	return ends
}
