// Package message says what the commits of updates say (pure).
package message

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The default subjects.
const (
	One   = "chore: bump {app} to {tag} ({env})"
	Batch = "chore: {count} updates ({env})"
)

// Subjects are the first lines of commits: each is one line.
type Subjects struct {
	// One update: {app}, {tag}, {env}, {digest} and {repository} stand for the update's.
	// That of a rollback is always "revert: APP back to TAG (ENV)".
	One string
	// Batch is for several: {count} and {env} stand for how many and where.
	Batch string
}

var placeholders = []string{"{app}", "{tag}", "{env}", "{digest}", "{repository}"}
var batchPlaceholders = []string{"{count}", "{env}"}

// Validate reports what is wrong with the subjects, as a [gitops.Invalid] error that names the field.
func (s Subjects) Validate() error {
	if err := checkTemplate("subject", s.One, placeholders); err != nil {
		return err
	}
	return checkTemplate("batchSubject", s.Batch, batchPlaceholders)
}

// checkTemplate checks a subject that may name some things in braces.
func checkTemplate(field, template string, names []string) error {
	left := template
	for _, name := range names {
		left = strings.ReplaceAll(left, name, "")
	}
	switch {
	case strings.TrimSpace(template) == "" || strings.ContainsAny(template, "\r\n\x00"):
		return gitops.FieldErrorf(field, "must be one line of text")
	case strings.ContainsAny(left, "{}"):
		return gitops.FieldErrorf(field, "may name only %s in braces", strings.Join(names, ", "))
	}
	return nil
}

// Of is the message of a commit of one or several updates, each of which [Check] passes.
func (s Subjects) Of(updates []gitops.Update) string {
	var b strings.Builder
	if len(updates) == 1 {
		fmt.Fprintf(&b, "%s\n", s.one(updates[0]))
	} else {
		fmt.Fprintf(&b, "%s\n\n", strings.NewReplacer("{count}", strconv.Itoa(len(updates)), "{env}", updates[0].Environment).Replace(s.Batch))
		for _, u := range updates {
			fmt.Fprintf(&b, "- %s to %s\n", u.App, u.Tag)
		}
	}
	for _, u := range updates {
		if u.Terms != nil && u.Terms.Reverts != "" {
			fmt.Fprintf(&b, "\ntallyman reverts %s in %s to %s, because what it had written before did not run.\n", u.App, u.Environment, u.Tag)
		}
	}
	b.WriteByte('\n')
	for _, u := range updates {
		b.WriteString(u.Trailers())
	}
	return b.String()
}

func (s Subjects) one(u gitops.Update) string {
	if u.Terms != nil && u.Terms.RollsBack != "" {
		return fmt.Sprintf("revert: %s back to %s (%s)", u.App, u.Tag, u.Environment)
	}
	return strings.NewReplacer(
		"{app}", u.App, "{tag}", u.Tag, "{env}", u.Environment, "{digest}", u.ImageDigest(), "{repository}", u.Repository,
	).Replace(s.One)
}

// Check refuses an update that would write lines of its own into the message: one of them
// could look like the trailer of another update. The names are checked where they come
// in; this is the last place before they are written. A person's words need no refusal:
// [gitops.Update.Trailers] makes one line of them.
func Check(u gitops.Update) error {
	for _, text := range []string{u.ID, u.Delivery.Source, u.Delivery.ID, u.Actor, u.App, u.Environment, u.Tag, u.ImageDigest(), u.Repository} {
		if strings.ContainsAny(text, "\r\n\x00") {
			return gitops.Errorf(gitops.Invalid, "a name in the update is more than one line")
		}
	}
	if said := gitops.ParseTrailers([]byte(u.Trailers())); len(said) != 1 || said[0].Update != u.ID {
		return gitops.Errorf(gitops.Invalid, "the update's trailers do not name it alone")
	}
	return nil
}
