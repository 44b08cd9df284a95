package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// HistoryQuery says whose past tags are wanted, and how many.
type HistoryQuery struct {
	Environment, App string
	Limit            int // versions, at most
	Commits          int // how many commits are looked at, at most; 0 means the usual number
}

// History is the tags that an app had in an environment, by the commits of the
// manifest repository.
type History struct {
	Environment string    `json:"environment"`
	App         string    `json:"app"`
	File        string    `json:"file"`
	Tip         string    `json:"tip"`            // the commit that the branch is at
	Versions    []Version `json:"versions"`       // newest first; the first is on the branch now
	Commits     int       `json:"commits"`        // how many were looked at
	Since       time.Time `json:"since,omitzero"` // when the oldest of them was made
	Complete    bool      `json:"complete"`       // there is no older version
}

// Version is a tag and the commit that made the file say so. Of the last one of a
// search that was not complete the commit is not known.
type Version struct {
	Tag     string          `json:"tag,omitempty"`
	Missing bool            `json:"missing,omitempty"` // there was no such file
	Problem string          `json:"problem,omitempty"` // why the tag cannot be read
	Commit  string          `json:"commit,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Author  string          `json:"author,omitempty"` // name <address>
	Subject string          `json:"subject,omitempty"`
	Proof   string          `json:"proof,omitempty"`   // the key that proves that tallyman made the commit; none in a person's
	Updates []UpdateTrailer `json:"updates,omitempty"` // the updates in a proved commit, or whose pull request was merged as it
	Claims  []UpdateTrailer `json:"claims,omitempty"`  // what a commit without a proof says: its author may have made it up
}

// UpdateTrailer is what a commit's trailers say of one update.
type UpdateTrailer struct {
	Update   string             `json:"update"`
	Delivery gitops.DeliveryKey `json:"delivery"`
	Actor    string             `json:"actor,omitempty"`
	// Of a person's order or a revert, as far as it said so; see gitops.Terms.
	Reason    string    `json:"reason,omitempty"`
	Override  string    `json:"override,omitempty"`
	RollsBack string    `json:"rollsBack,omitempty"`
	Reverts   string    `json:"reverts,omitempty"` // of a revert by tallyman itself
	PinUntil  time.Time `json:"pinUntil,omitzero"`
}

// Bounds of a history.
const (
	usualVersions = 20
	maxCommits    = 100_000

	// HistoryWithin is how long the git server may take. A caller who asks for more
	// than comes in this time gets an error that says so.
	HistoryWithin = 50 * time.Second
)

func (a *API) history(w http.ResponseWriter, r *http.Request) (int, any, error) {
	q := queryOf(r)
	query := HistoryQuery{
		Environment: q.text("environment"),
		App:         q.text("app"),
		Limit:       q.number("limit", usualVersions, maxPage),
		Commits:     q.number("commits", 0, maxCommits),
	}
	if query.Environment == "" {
		q.fail(gitops.FieldErrorf("environment", "is missing"))
	}
	if query.App == "" {
		q.fail(gitops.FieldErrorf("app", "is missing"))
	}
	if err := q.done(); err != nil {
		return 0, nil, err
	}
	if !a.viewOf(callerOf(r)).scope.Allows(query.App, query.Environment) {
		return 0, nil, notFound("app", query.App+" in "+query.Environment)
	}
	// A search far back takes longer than the server gives an answer.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(HistoryWithin + writeWithin)); err != nil {
		return 0, nil, err
	}
	endTurn(r.Context()) // it is small, and those that search take turns of their own
	h, err := a.Manifests.History(r.Context(), query)
	if err == nil {
		err = a.knowMerges(r.Context(), &h)
	}
	return http.StatusOK, h, err
}

// number is a parameter from 1 to most.
func (q *query) number(name string, usual, most int) int {
	text := q.text(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.fail(gitops.FieldErrorf(name, "must be a number from 1 to %d", most))
	}
	return n
}
