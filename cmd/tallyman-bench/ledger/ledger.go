// Package ledger holds a server and its branch to what senders were told: every
// accepted update ended as it should, and is on the branch once, in its order.
package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Entry is an update that its sender was told is accepted.
type Entry struct {
	Update, App, Environment, Tag string

	Sent, Answered time.Time
	// File is set where the update's file is one that nobody can be asked to edit: the
	// update may fail, if its reason names the file.
	File string
}

// Place is where an app runs.
type Place struct{ App, Environment string }

func (e Entry) place() Place { return Place{e.App, e.Environment} }

// Found is what there is in the end.
type Found struct {
	Updates map[string]gitops.Update // by id, as the server has them
	Commits [][]string               // the updates that each commit names, parents first
	Tags    map[Place]string         // on the branch
}

// Check returns what is wrong; nothing is when all is well.
func Check(entries []Entry, found Found) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	at := make(map[string]int) // position on the branch, from 1, by update
	told := make(map[string]bool)
	for _, e := range entries {
		told[e.Update] = true
	}
	for n, updates := range found.Commits {
		for _, u := range updates {
			switch {
			case !told[u]:
				say("a commit is of update %s, of which no sender was told", u)
			case at[u] > 0:
				say("update %s is on the branch twice", u)
			}
			at[u] = n + 1
		}
	}
	for _, e := range entries {
		if problem := e.check(found.Updates[e.Update], at[e.Update] > 0); problem != "" {
			say("update %s (%s to %s in %s) %s", e.Update, e.App, e.Tag, e.Environment, problem)
		}
	}
	return append(problems, order(entries, at, found.Tags)...)
}

// check says what is wrong with the end of one update.
func (e Entry) check(u gitops.Update, landed bool) string {
	switch {
	case u.ID == "":
		return "was accepted and is not known any more"
	case !u.State.Final():
		return "has not ended: it is " + string(u.State)
	case u.State == gitops.Committed && !landed:
		return "is committed, and no commit is of it"
	case u.State == gitops.Committed:
		return ""
	case landed:
		return "is " + string(u.State) + ", and a commit is of it"
	case e.File != "" && u.State == gitops.Failed && strings.Contains(u.Reason, e.File):
		return ""
	}
	return fmt.Sprintf("is %s: %s", u.State, u.Reason)
}

// order holds the updates of each place to the order in which they were accepted, and
// the branch to the last of them. Two that were under way together may be in any order.
func order(entries []Entry, at map[string]int, tags map[Place]string) (problems []string) {
	landed := make(map[Place][]Entry)
	for _, e := range entries {
		if at[e.Update] > 0 {
			landed[e.place()] = append(landed[e.place()], e)
		}
	}
	for place, all := range landed {
		last := all[0]
		for _, e := range all {
			if at[e.Update] > at[last.Update] {
				last = e
			}
			for _, other := range all {
				if e.Answered.Before(other.Sent) && at[e.Update] > at[other.Update] {
					problems = append(problems, fmt.Sprintf("%s was accepted before %s was sent, and is behind it on the branch (%s in %s)", e.Tag, other.Tag, place.App, place.Environment))
				}
			}
		}
		if tags[place] != last.Tag {
			problems = append(problems, fmt.Sprintf("the branch has %q for %s in %s, the last update is %s", tags[place], place.App, place.Environment, last.Tag))
		}
	}
	return problems
}
