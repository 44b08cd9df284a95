package tagset

import (
	"math"
	"strings"
)

// Find looks for a tag that the pattern matches and the constraint takes; either may
// be nil. With decided true and no tag there is none. With decided false it is not
// known: then nothing may be said against the rule.
func Find(p *Pattern, c *Constraint) (tag string, decided bool) {
	if p == nil {
		p = anyTag
	}
	f := finder{p, c, mostSteps}
	if c == nil {
		tag, _, decided = f.find(anything{})
		return tag, decided
	}
	// A pattern that no version matches is settled by two searches.
	if _, found, decided := f.find(anyVersion(false)); decided && !found {
		if _, found, decided := f.find(anyVersion(true)); decided && !found {
			return "", true
		}
	}
	boxes, ok := c.boxes()
	if !ok {
		return "", false
	}
	decided = true
	for _, b := range boxes {
		tag, known := f.findIn(b)
		if tag != "" {
			return tag, true
		}
		decided = decided && known
	}
	return "", decided
}

var anyTag, _ = Compile(".*")

func anyVersion(preRelease bool) versions {
	every := span{0, math.MaxUint64}
	return versionsIn([3]span{every, every, every}, preRelease)
}

// finder is one [Find].
type finder struct {
	*Pattern
	constraint *Constraint
	left       int // steps
}

// find looks for a tag of the language.
func (f *finder) find(in language) (tag string, found, decided bool) {
	return f.Pattern.find(&f.left, longest, tags{}, in)
}

// findIn looks for a version in a box.
func (f *finder) findIn(b box) (tag string, decided bool) {
	decided = true
	if b.release {
		tag, found, known := f.find(versionsIn(b.numbers, false))
		if found {
			return tag, true
		}
		decided = known
	}
	if len(b.preReleases) == 0 {
		return "", decided
	}
	tag, found, known := f.find(versionsIn(b.numbers, true))
	switch {
	case !known:
		return "", false
	case !found:
		return "", decided
	case f.constraint.takes(strings.TrimPrefix(tag, "v")):
		return tag, true
	}
	// The pattern has pre-releases in the box, and the first that was found is not
	// one of those that the constraint takes. One of the others may be.
	for _, pre := range b.preReleases {
		for _, v := range []string{"", "v"} {
			if tag := v + b.version(pre); f.Matches(tag) {
				return tag, true
			}
		}
	}
	return "", false
}

// FindNamed is [Find] among the tags that end in a letter or digit and are more than
// a v. A pattern that has only others was meant for the beginning of a tag.
func (p *Pattern) FindNamed() (tag string, decided bool) {
	left := mostSteps
	tag, _, decided = p.find(&left, longest, tags{}, named{})
	return tag, decided
}

// FindText looks for any text that the pattern matches, of which tags are a few. No
// text means that none was found.
func (p *Pattern) FindText() string {
	left := mostSteps
	text, _, _ := p.find(&left, mostSteps, anything{}, anything{})
	return text
}
