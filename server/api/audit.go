package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	// auditLooks is how often a page is asked of the store until it is full. Where a
	// filter means few of many entries a page may stay short, or empty.
	auditLooks = 10
	// exportPage is how many entries an export reads at a time.
	exportPage = 500
	// linesType is the media type of an export: one JSON object on each line.
	linesType = "application/jsonl"
)

// AuditList is a page of the audit.
type AuditList struct {
	Entries []gitops.AuditEntry `json:"entries"`
	Next    string              `json:"next,omitempty"` // the cursor of the next page; there may be one after an empty page
}

// audit answers with a page, or with all entries as lines.
func (a *API) audit(w http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	filter := queue.AuditFilter{
		Environment: q.text("environment"), App: q.text("app"), Principal: q.text("principal"), Actor: q.text("actor"),
		Act: oneOf(q, "act", gitops.Acts()), Since: q.moment("since"), Until: q.moment("until"),
		Within: a.viewOf(callerOf(r)).within(),
	}
	page, format := q.page(), oneOf(q, "format", []string{"json", "jsonl"})
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	if format == "jsonl" || format == "" && strings.HasPrefix(r.Header.Get("Accept"), linesType) {
		return a.exportAudit(w, r, filter, page.Cursor)
	}
	list := AuditList{Entries: []gitops.AuditEntry{}, Next: page.Cursor}
	for range auditLooks {
		more, next, err := a.Store.AuditEntries(r.Context(), filter, queue.Page{Cursor: list.Next, Limit: page.Limit - len(list.Entries)})
		if err != nil {
			return 0, nil, err
		}
		list.Entries, list.Next = append(list.Entries, more...), next
		if next == "" || len(list.Entries) == page.Limit {
			break
		}
	}
	return http.StatusOK, list, nil
}

// exportAudit writes all entries, newest first, page by page. When the store fails in
// the middle, or the credential is not accepted any more, the last line is a problem in
// the place of an entry.
func (a *API) exportAudit(w http.ResponseWriter, r *http.Request, f queue.AuditFilter, cursor string) (int, any, error) {
	found, next, err := a.Store.AuditEntries(r.Context(), f, queue.Page{Cursor: cursor, Limit: exportPage})
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Content-Type", linesType)
	control := http.NewResponseController(w)
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	lines, asked := json.NewEncoder(w), time.Now()
	for {
		if err := control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return 0, nil, err
		}
		for _, e := range found {
			if lines.Encode(e) != nil {
				return 0, nil, nil // the reader is gone
			}
		}
		if next == "" || control.Flush() != nil {
			return 0, nil, nil
		}
		select {
		case <-a.Drain:
			err = gitops.Errorf(gitops.Unavailable, "the server is stopping: go on with cursor=%s", next)
		default:
			if time.Since(asked) >= askAgain {
				asked = time.Now()
				_, err = a.authenticated(r, gitops.RightRead)
			}
			if err == nil {
				found, next, err = a.Store.AuditEntries(r.Context(), f, queue.Page{Cursor: next, Limit: exportPage})
			}
		}
		if err != nil {
			_ = lines.Encode(map[string]string{"problem": gitops.PublicOf(err)})
			return 0, nil, nil
		}
	}
}

// moment reads a time in RFC 3339, or a day, which begins at midnight in UTC.
func (q *query) moment(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	q.fail(gitops.FieldErrorf(name, "%.40q is not a time: write it as 2026-03-01T12:00:00Z or 2026-03-01", text))
	return time.Time{}
}
