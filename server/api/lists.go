package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// How many entries a page has when the request does not say, and at most.
const (
	usualPage = 50
	maxPage   = 200
)

// maxText is the longest value of a parameter, in bytes.
const maxText = 500

// query reads a request's parameters; the first that is wrong is its error.
type query struct {
	values url.Values
	known  []string
	err    error
}

func queryOf(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.err = gitops.Errorf(gitops.Invalid, "the query is not well formed").WithCause(err)
	}
	return q
}

func (q *query) fail(err *gitops.Error) {
	if q.err == nil {
		q.err = err
	}
}

// text is a parameter's value, "" when it is not there.
func (q *query) text(name string) string {
	q.known = append(q.known, name)
	values := q.values[name]
	switch {
	case len(values) > 1:
		q.fail(gitops.FieldErrorf(name, "is in the query twice"))
	case len(values) == 1 && (len(values[0]) > maxText || strings.ContainsRune(values[0], 0)):
		q.fail(gitops.FieldErrorf(name, "must be at most %d bytes, none of them 0", maxText))
	case len(values) == 1:
		return values[0]
	}
	return ""
}

// oneOf is text that must be one of a set, or not there.
func oneOf[T ~string](q *query, name string, allowed []T) T {
	value := T(q.text(name))
	if value != "" && !slices.Contains(allowed, value) {
		q.fail(gitops.FieldErrorf(name, "must be one of %s, not %.40q", strings.Trim(strings.ReplaceAll(fmt.Sprint(allowed), " ", ", "), "[]"), value))
	}
	return value
}

func (q *query) page() queue.Page {
	return queue.Page{Cursor: q.text("cursor"), Limit: q.number("limit", usualPage, maxPage)}
}

// done returns what is wrong with the query. An unknown parameter is a filter that was
// mistyped: without it the answer would be a different one.
func (q *query) done() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			q.fail(gitops.FieldErrorf(name, "is not a parameter; there are %s", cmp.Or(strings.Join(q.known, ", "), "none")))
		}
	}
	return q.err
}

// DeliveryList is a page of deliveries.
type DeliveryList struct {
	Deliveries []gitops.Delivery `json:"deliveries"`
	Next       string            `json:"next,omitempty"` // the cursor of the next page
}

func (a *API) deliveries(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	filter := queue.DeliveryFilter{
		Source:  q.text("source"),
		Outcome: oneOf(q, "outcome", gitops.Outcomes()),
	}
	v := a.viewOf(callerOf(r))
	filter.Within = v.within()
	page := q.page()
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	page.Limit = min(page.Limit, a.memory.Load().Page) // the cursor leads on
	found, next, err := a.Store.Deliveries(r.Context(), filter, page)
	if err != nil {
		return 0, nil, err
	}
	answer := DeliveryList{Deliveries: make([]gitops.Delivery, 0, len(found)), Next: next}
	var updates []*gitops.Update
	for _, d := range found {
		if part, ok := v.delivery(d); ok {
			answer.Deliveries = append(answer.Deliveries, withList(part))
			updates = append(updates, pointers(part.Updates)...)
		}
	}
	return http.StatusOK, answer, a.markOvertaken(r.Context(), updates)
}

// UpdateList is a page of updates.
type UpdateList struct {
	Updates []gitops.Update `json:"updates"`
	Next    string          `json:"next,omitempty"` // the cursor of the next page
}

func (a *API) updates(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	filter := queue.UpdateFilter{
		Environment: q.text("environment"),
		App:         q.text("app"),
		State:       oneOf(q, "state", gitops.States()),
		Within:      a.viewOf(callerOf(r)).within(),
	}
	page := q.page()
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	found, next, err := a.Store.Updates(r.Context(), filter, page)
	if err != nil {
		return 0, nil, err
	}
	if found == nil {
		found = []gitops.Update{}
	}
	return http.StatusOK, UpdateList{found, next}, a.markOvertaken(r.Context(), pointers(found))
}

// withList has "updates": [] where there are none, never null.
func withList(d gitops.Delivery) gitops.Delivery {
	if d.Updates == nil {
		d.Updates = []gitops.Update{}
	}
	return d
}
