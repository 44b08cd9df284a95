package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// List is how a repository's tags are listed, in place of what the specification says:
// registries differ.
type List struct {
	Tags []string // in the order in which they are given
	Page int      // the most of one page; 0 is all
	Most int      // the most that n may be: 413 beyond it; 0 is any
	// Link: a page that is not the last names the next.
	Link bool
	// Opaque: the next page is only at its Link, and where last is sent the answer is 405.
	Opaque bool
	// IgnoresLast: a list that begins behind the last tag begins at the first, as it does
	// with one that is not known.
	IgnoresLast bool
	// Circle: the last page's Link leads to the first.
	Circle bool
	// LinkTo is put before the path of a Link: it leads to another server.
	LinkTo string
}

// List has a repository's tags listed otherwise.
func (s *Server) List(repository string, l List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[repository] = l
}

func (l List) serve(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size := l.Page
	if n, err := strconv.Atoi(query.Get("n")); err == nil {
		if l.Most > 0 && n > l.Most {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		size = n
	}
	from := 0
	switch last := query.Get("last"); {
	case query.Has("page"):
		from, _ = strconv.Atoi(query.Get("page"))
	case last != "" && l.Opaque:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case last != "" && !l.IgnoresLast:
		from = slices.Index(l.Tags, last) + 1
		if from == len(l.Tags) {
			from = 0 // as ggcr's and distribution 2.8 do
		}
	}
	to := len(l.Tags)
	if size > 0 {
		to = min(to, from+size)
	}
	if next := to % max(len(l.Tags), 1); l.Link && (to < len(l.Tags) || l.Circle) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, l.LinkTo, r.URL.Path, url.Values{"page": {strconv.Itoa(next)}}.Encode()))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "list", "tags": l.Tags[from:to]})
}
