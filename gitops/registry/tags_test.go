package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

func tagNames(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("v1.0.%d", i)
	}
	return tags
}

// list reads acme/api's tags, and how many pages they came in.
func list(t testing.TB, c *registry.Client, host string) (tags []string, pages int) {
	t.Helper()
	err := c.Tags(t.Context(), host+"/acme/api", func(page []string) error {
		if len(page) == 0 {
			t.Error("a page has no tag")
		}
		tags = append(tags, page...)
		pages++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tags, pages
}

// However a registry lists its tags, each comes once, and there are no more requests than
// pages and one that finds the end.
func TestEveryKindOfList(t *testing.T) {
	s := registrytest.New(t)
	some := tagNames(1000)
	for name, test := range map[string]struct {
		list     registrytest.List
		requests int
	}{
		"none":                           {registrytest.List{Tags: []string{}}, 1},
		"null":                           {registrytest.List{}, 1},
		"all at once":                    {registrytest.List{Tags: some}, 2},
		"all at once, last is not known": {registrytest.List{Tags: some, IgnoresLast: true}, 2},
		"pages with Links":               {registrytest.List{Tags: tagNames(10_000), Page: 1000, Link: true}, 10},
		"Links that must be followed as they are": {registrytest.List{Tags: some, Page: 100, Link: true, Opaque: true}, 10},
		"one page, and no list begins elsewhere":  {registrytest.List{Tags: some[:7], Page: 100, Link: true, Opaque: true}, 2},
		"full pages without Link":                 {registrytest.List{Tags: some, Page: 100}, 11},
		"full pages without Link, small ones":     {registrytest.List{Tags: some[:10], Page: 3}, 5},
		"one full page, last is not known":        {registrytest.List{Tags: some[:100], Page: 100, IgnoresLast: true}, 2},
		"n has a maximum":                         {registrytest.List{Tags: some, Page: 10, Most: 10, Link: true}, 100},
		"Links in a circle":                       {registrytest.List{Tags: some, Page: 500, Link: true, Circle: true}, 3},
		"not in the order of names":               {registrytest.List{Tags: []string{"v2", "v10", "a", "v1"}, Page: 1, Link: true}, 4},
		"not in the order of names, without Link": {registrytest.List{Tags: []string{"v2", "v10", "a", "v1"}, Page: 1}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s.List("acme/api", test.list)
			s.Forget()
			got, _ := list(t, client(t, registry.Config{}), s.Host())
			if !slices.Equal(got, test.list.Tags) {
				t.Errorf("%d tags, want %d", len(got), len(test.list.Tags))
			}
			if n := len(s.Requests()); n != test.requests || n != s.Count(http.MethodGet, "tags") {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			for _, r := range s.Requests() {
				if strings.Contains(r.Query, "n=") {
					t.Errorf("n was sent: %s", r.Query)
				}
			}
		})
	}
}

// A shortened list and one that alternates are passed on as they are: no tag is told
// that is not listed. What is listed and gone is absent.
func TestListsThatChange(t *testing.T) {
	s := registrytest.New(t)
	s.Push("acme/api", "v1", registrytest.Image{})
	s.Tag("acme/api", "v1", "v2", "v3")
	c := client(t, registry.Config{})
	for _, want := range [][]string{{"v1", "v2", "v3"}, {"v1"}, {}, {"v3"}, {"v1", "v2", "v3", "gone"}} {
		s.List("acme/api", registrytest.List{Tags: want})
		if got, _ := list(t, c, s.Host()); !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	wantAbsent(t, look(t, c, s.Host(), "gone"))
}

// A list without end is read for 1,000 pages, and the log says so.
func TestAListWithoutEnd(t *testing.T) {
	s := registrytest.New(t)
	var log bytes.Buffer
	c := client(t, registry.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, link := range []bool{true, false} {
		log.Reset()
		s.List("acme/api", registrytest.List{Tags: tagNames(2005), Page: 2, Link: link})
		if got, pages := list(t, c, s.Host()); len(got) != 2000 || pages != 1000 {
			t.Errorf("%d tags on %d pages, with Links: %v", len(got), pages, link)
		}
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "repository=acme/api") {
			t.Errorf("the log says %q", log.String())
		}
	}
}

// So is one of large pages that has more tags than are remembered.
func TestAListOfTooManyTags(t *testing.T) {
	s := registrytest.New(t)
	var log bytes.Buffer
	c := client(t, registry.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c.ListAtMost(500)
	for _, link := range []bool{true, false} {
		log.Reset()
		s.List("acme/api", registrytest.List{Tags: tagNames(2000), Page: 300, Link: link})
		if got, pages := list(t, c, s.Host()); len(got) != 600 || pages != 2 {
			t.Errorf("%d tags on %d pages, with Links: %v", len(got), pages, link)
		}
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "tags=600") {
			t.Errorf("the log says %q", log.String())
		}
	}
}

// What is not a tag is not passed on: it would come into an order.
func TestWhatIsNotATagIsNotListed(t *testing.T) {
	s := registrytest.New(t)
	s.List("acme/api", registrytest.List{Tags: []string{"", "v1", "../v2", "v 3", strings.Repeat("v", 129), "v4"}})
	got, _ := list(t, client(t, registry.Config{}), s.Host())
	if diff := cmp.Diff([]string{"v1", "v4"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestListsThatFail(t *testing.T) {
	s := registrytest.New(t)
	c := client(t, registry.Config{})
	fails := func(code gitops.Code, words string) {
		t.Helper()
		for range 2 {
			err := c.Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return nil })
			if gitops.CodeOf(err) != code || !strings.Contains(gitops.PublicOf(err), words) || !strings.Contains(gitops.PublicOf(err), s.Host()) {
				t.Errorf("got %v, want %s that says %q", err, code, words)
			}
		}
	}
	remove := s.Inject(registrytest.Fault{Kind: "tags", Answer: registrytest.Status(http.StatusNotFound)})
	fails(gitops.NotFound, "has no repository acme/api")
	remove()
	s.List("acme/api", registrytest.List{Tags: tagNames(10), Page: 5, Link: true})
	for status, code := range map[int]gitops.Code{401: gitops.Unauthorized, 403: gitops.Forbidden, 429: gitops.RateLimited, 500: gitops.Unavailable} {
		remove := s.Inject(registrytest.Fault{Kind: "tags", Answer: registrytest.Status(status)})
		fails(code, fmt.Sprintf("answered %d", status))
		remove()
	}
	remove = s.Inject(registrytest.Fault{Kind: "tags", Answer: registrytest.Cut()})
	fails(gitops.Unavailable, "closed the connection")
	remove()
	remove = s.Inject(registrytest.Fault{Kind: "tags", Answer: registrytest.Body([]byte("<html>"))})
	fails(gitops.Unavailable, "cannot be read")
	remove()
	s.Inject(registrytest.Fault{Kind: "tags", Times: 1, Answer: registrytest.Body(append([]byte(`{"tags":["`), bytes.Repeat([]byte("v"), 4<<20)...))})
	err := c.Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return nil })
	if !strings.Contains(gitops.PublicOf(err), "more than 4 MiB") {
		t.Errorf("a page without end: %v", err)
	}

	stop := errors.New("stop")
	if err := c.Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return stop }); err != stop {
		t.Errorf("an error of whoever reads became %v", err)
	}
	if err := c.Tags(t.Context(), s.Host()+"/Acme", nil); gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("a name that no registry has: %v", err)
	}
}

// A failure after the first page is a failure: half a list is not one.
func TestAListThatFailsInTheMiddle(t *testing.T) {
	s := registrytest.New(t)
	for _, link := range []bool{true, false} {
		s.List("acme/api", registrytest.List{Tags: tagNames(10), Page: 5, Link: link})
		s.Inject(registrytest.Fault{Kind: "tags", Times: 1, Answer: registrytest.Status(http.StatusServiceUnavailable)})
		s.Inject(registrytest.Fault{Kind: "tags", Times: 1, Answer: func(w http.ResponseWriter, r *http.Request, next http.Handler, _ <-chan struct{}) {
			next.ServeHTTP(w, r)
		}})
		err := client(t, registry.Config{}).Tags(t.Context(), s.Host()+"/acme/api", func([]string) error { return nil })
		if gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("the second page failed, with Links: %v: %v", link, err)
		}
	}
}
