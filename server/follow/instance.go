package follow

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// listEvery is how often Applications are listed without a need.
	listEvery = 5 * time.Minute
	// listBetween is the least between two lists: whoever misses one waits for it.
	listBetween = 10 * time.Second
	// hungMost is how many refreshes in a row may go unanswered before Argo CD's controller is
	// taken to be down.
	hungMost = 2
	// patience is how long an instance may not answer before that is told: most that fail once
	// answer a second later.
	patience = 3 * time.Second
	// tokenWait is the most until an instance is asked again that refuses the token: there may be
	// a new one, and the one that is refused is not sent ([Argo]).
	tokenWait = 10 * time.Second
)

// instance is what is known of one Argo CD. It is pure; [leader] asks.
type instance struct {
	Instance
	pace pace

	listing  bool
	listed   time.Time // when the last list that was learnt was asked for; zero before
	listDue  time.Time
	listWant bool   // something was not found in the last list
	unlisted string // why the last list is not complete; "" where it is, or the instance failed

	hung   int       // refreshes in a row that Argo CD took and did not carry out
	failed error     // the last failure of the instance; nil when it answers
	since  time.Time // of the first in a row

	answered time.Time // when it last did
}

// nextList is when the Applications are to be listed.
func (i *instance) nextList() (due time.Time, ok bool) {
	if i.listing {
		return due, false
	}
	if soon := i.listed.Add(listBetween); i.listWant && !i.listed.IsZero() && soon.Before(i.listDue) {
		return soon, true
	}
	return i.listDue, true
}

// learnt notes a list that has come, or has not.
func (i *instance) learnt(began, now time.Time, err error) {
	i.listing, i.unlisted = false, ""
	if err != nil {
		var known *gitops.Error
		if !errors.As(err, &known) || known.RetryAfter == 0 { // else it is the instance's trouble
			i.unlisted = "Applications cannot be listed: " + gitops.Clip(gitops.PublicOf(err), 300)
		}
		i.listDue = now.Add(listBetween)
		return
	}
	i.listed, i.listDue, i.listWant = began, now.Add(listEvery), false
}

// ended notes the end of a request. A failure may be known to be of one Application alone.
func (i *instance) ended(what ask, now time.Time, err error, alone bool) {
	i.pace.end(what == askRefresh)
	var known *gitops.Error
	switch {
	case errors.As(err, &known) && known.RetryAfter > 0:
		wait := known.RetryAfter
		if known.Code == gitops.Unauthorized {
			wait = min(wait, tokenWait)
		}
		i.pace.until = now.Add(wait)
		if alone {
			return
		}
		if i.failed == nil {
			i.since = now
		}
		i.failed = err
	case errors.Is(err, ErrNotCompared):
		i.hung++
	case gitops.CodeOf(err) == gitops.NotFound, gitops.CodeOf(err) == gitops.Forbidden, gitops.CodeOf(err) == gitops.Rejected:
		i.failed, i.answered = nil, now // it answers
	case err == nil:
		i.failed, i.answered = nil, now
		if what == askRefresh {
			i.hung = 0
		}
	}
}

// trouble is why the instance cannot be asked; "" when it can.
func (i *instance) trouble(now time.Time) string {
	if i.failed == nil || now.Sub(i.since) < patience && gitops.CodeOf(i.failed) != gitops.Unauthorized {
		return ""
	}
	return fmt.Sprintf("Argo CD cannot be asked: %s", gitops.Clip(gitops.PublicOf(i.failed), 300))
}

// unseen is why it is not known which Applications the instance has; "" when it is, or may be
// in a moment.
func (i *instance) unseen(now time.Time) string {
	if why := i.trouble(now); why != "" {
		return why
	}
	return i.unlisted
}

// pageOf is the page of an Application by its name in records; "" where it is none.
func (i *instance) pageOf(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return ""
	}
	return i.Page(Ref{Project: parts[0], Namespace: parts[1], Name: parts[2]})
}
