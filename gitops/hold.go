package gitops

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// HoldKind is one of a closed set. It is a metric's label.
type HoldKind string

const (
	HoldPin    HoldKind = "pin"    // one app in one environment stays at a tag
	HoldFreeze HoldKind = "freeze" // nothing is written, until a time
	HoldStop   HoldKind = "stop"   // nothing is written, until a person resumes
	HoldBad    HoldKind = "bad"    // one tag of one app is not written
)

// HoldKinds lists every [HoldKind].
func HoldKinds() []HoldKind { return []HoldKind{HoldPin, HoldFreeze, HoldStop, HoldBad} }

// Hold is a fact in the store that keeps updates from being written. Its JSON form is
// the API's.
type Hold struct {
	ID           string    `json:"id"` // [HoldID]: rises with each hold of the store
	Kind         HoldKind  `json:"kind"`
	Environments []string  `json:"environments,omitempty"` // empty means all
	Apps         []string  `json:"apps,omitempty"`         // empty means all
	Tag          string    `json:"tag,omitempty"`          // that a pin keeps, or that is bad
	Principal    string    `json:"principal"`              // [Principal.ID] of who placed it
	Actor        string    `json:"actor"`
	Reason       string    `json:"reason,omitempty"`
	Rule         string    `json:"rule,omitempty"` // the access rule that allowed it; empty for a hand edit's pin
	Since        time.Time `json:"since"`          // UTC, by the store's clock
	Until        time.Time `json:"until,omitzero"` // UTC; zero where a person must lift it
	Lifted       *Lift     `json:"lifted,omitempty"`
}

// Lift says who ended a hold before its time, and why. Its JSON form is the API's.
type Lift struct {
	At        time.Time `json:"at"` // UTC
	Principal string    `json:"principal"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason,omitempty"`
}

// HoldID is the id of a store's hold of a number: "h17".
func HoldID(number int64) string { return "h" + strconv.FormatInt(number, 10) }

// ParseHoldID is the number in a hold's id, and false for a text that is no id in the
// form of [HoldID].
func ParseHoldID(id string) (number int64, ok bool) {
	number, err := strconv.ParseInt(strings.TrimPrefix(id, "h"), 10, 64)
	return number, err == nil && number > 0 && HoldID(number) == id
}

// Covers reports whether the hold is about an app in an environment.
func (h Hold) Covers(environment, app string) bool {
	return in(h.Environments, environment) && in(h.Apps, app)
}

// InForce reports whether the hold counts at a time: from when it is in the store, also by
// a clock that was set back since, until it is lifted or its time is over.
func (h Hold) InForce(now time.Time) bool {
	return h.Lifted == nil && (h.Until.IsZero() || now.Before(h.Until))
}

// HandEditPrincipal is who places the pins of edits by hand: commits that are not
// tallyman's own.
const HandEditPrincipal = "git"

// IsHandEdit reports whether the hold is the pin of an edit by hand.
func (h Hold) IsHandEdit() bool { return h.Principal == HandEditPrincipal }

// Replaces reports whether the hold, once it is placed, ends another: of an app in an
// environment one pin counts, and of a bad mark's names and tag one mark.
func (h Hold) Replaces(other Hold) bool {
	same := h.Kind == other.Kind && (h.Kind == HoldPin || h.Kind == HoldBad && h.Tag == other.Tag)
	return same && sameNames(h.Apps, other.Apps) && sameNames(h.Environments, other.Environments)
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func in(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

const (
	// MaxHoldNames is how many environments, and how many apps, a hold names at most.
	MaxHoldNames = 100
	// MaxReason is how long a person's reason is at most, in bytes. It becomes a trailer.
	MaxReason = 500
)

// CheckHold reports everything that is wrong with a hold that is to be placed, each an
// [Invalid] error on a field of its JSON form. What the store sets is not looked at.
func CheckHold(h Hold, now time.Time) error {
	problems := []error{checkNames("environments", h.Environments), checkNames("apps", h.Apps), CheckReason("reason", h.Reason)}
	if h.Principal == "" {
		problems = append(problems, FieldErrorf("principal", "is missing"))
	}
	if h.Actor == "" {
		problems = append(problems, FieldErrorf("actor", "is missing"))
	}
	problems = append(problems, CheckActor("actor", h.Actor))
	if h.Reason == "" && h.Kind != HoldStop {
		problems = append(problems, FieldErrorf("reason", "is missing: whoever meets the hold reads it"))
	}
	switch h.Kind {
	case HoldPin:
		if len(h.Environments) != 1 {
			problems = append(problems, FieldErrorf("environments", "has %d names: a pin is of one app in one environment", len(h.Environments)))
		}
		problems = append(problems, checkOneApp(h), checkHeldTag(h.Tag), checkEnd(h, now))
	case HoldBad:
		problems = append(problems, checkOneApp(h), checkHeldTag(h.Tag), checkNoEnd(h))
	case HoldFreeze:
		problems = append(problems, checkNoTag(h), checkEnd(h, now))
	case HoldStop:
		problems = append(problems, checkNoTag(h), checkNoEnd(h))
	default:
		problems = append(problems, FieldErrorf("kind", "must be pin, freeze, stop or bad, not %q", Clip(string(h.Kind), 40)))
	}
	return errors.Join(problems...)
}

// CheckReason reports what is wrong with a person's reason, as an [Invalid] error on
// field. No reason is no error.
func CheckReason(field, reason string) error {
	switch {
	case len(reason) > MaxReason:
		return FieldErrorf(field, "has %d bytes: give the reason in at most %d, or a link to more", len(reason), MaxReason)
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return FieldErrorf(field, "must be one line of UTF-8 without control characters")
	case strings.ContainsFunc(reason, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
		return FieldErrorf(field, "must not have characters that turn the direction of text: what is read would be another text than what is stored")
	case strings.TrimSpace(reason) != reason:
		return FieldErrorf(field, "must not begin or end with a space")
	}
	return nil
}

func checkNames(field string, names []string) error {
	if len(names) > MaxHoldNames {
		return FieldErrorf(field, "has %d names; at most %d, and none means all", len(names), MaxHoldNames)
	}
	for i, name := range names {
		if err := CheckName(field, name); err != nil {
			return err
		}
		if slices.Contains(names[:i], name) {
			return FieldErrorf(field, "names %s twice", name)
		}
	}
	return nil
}

func checkOneApp(h Hold) error {
	if len(h.Apps) != 1 {
		return FieldErrorf("apps", "has %d names: a hold of kind %s is of one app", len(h.Apps), h.Kind)
	}
	return nil
}

// checkHeldTag takes every tag that a file can have, also those that [CheckTag] refuses:
// a person may have written one there.
func checkHeldTag(tag string) error {
	switch {
	case tag == "":
		return FieldErrorf("tag", "is missing")
	case !tagGrammar.MatchString(tag):
		return FieldErrorf("tag", "%.40q is not an image tag: 1 to 128 of A-Z a-z 0-9 . _ - not beginning with . or -", tag)
	}
	return nil
}

func checkNoTag(h Hold) error {
	if h.Tag != "" {
		return FieldErrorf("tag", "a %s is of all tags: leave it out, or place a pin or mark the tag as bad", h.Kind)
	}
	return nil
}

func checkEnd(h Hold, now time.Time) error {
	switch {
	case h.Until.IsZero():
		return FieldErrorf("until", "is missing: a %s has an end", h.Kind)
	case !h.Until.After(now):
		return FieldErrorf("until", "%s is not after now", h.Until.UTC().Format(time.RFC3339))
	case h.Until.UTC().Year() > 9999:
		return FieldErrorf("until", "is in the year %d: the last is 9999", h.Until.UTC().Year())
	}
	return nil
}

func checkNoEnd(h Hold) error {
	if !h.Until.IsZero() {
		return FieldErrorf("until", "a hold of kind %s has no end: a person lifts it", h.Kind)
	}
	return nil
}
