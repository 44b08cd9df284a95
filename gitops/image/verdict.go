package image

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Outcome is one of a closed set: what an inspection found. It is a metric's label.
type Outcome string

const (
	OutcomePresent  Outcome = "present"
	OutcomeAbsent   Outcome = "absent"
	OutcomeArchived Outcome = "archived"
	OutcomePlatform Outcome = "platform" // not for a platform, or the platform's manifest is missing
	OutcomeMoved    Outcome = "moved"    // the tag names another image than before
	OutcomeDigest   Outcome = "digest"   // another than was ordered by its digest
	OutcomeUnsigned Outcome = "unsigned"
)

// Outcomes lists every [Outcome].
func Outcomes() []Outcome {
	return []Outcome{OutcomePresent, OutcomeAbsent, OutcomeArchived, OutcomePlatform, OutcomeMoved, OutcomeDigest, OutcomeUnsigned}
}

// Verdict is what an answer means for an update. Exactly one of Found, Waits and Fails is
// set.
type Verdict struct {
	Outcome Outcome
	Found   *gitops.Found // with OutcomePresent
	Waits   *gitops.Block // it may still come, until the block's end
	Fails   *gitops.Error // it is the update's own fault, and final
}

// Judge says what an answer means for an update. What is absent, or not signed yet, is
// waited for since the time given; since the answer where that is zero. The wait ends only
// by an answer that was asked for thoroughly after its end. Now is for the words: times of
// another day are told with their date.
//
// The images seen are those of the answer's repository and tag, as they were recorded.
func Judge(r Rules, u gitops.Update, a Answer, seen []gitops.SeenImage, since, now time.Time) Verdict {
	if since.IsZero() {
		since = a.At
	}
	i := inspection{Rules: r, update: u, answer: a, since: since, now: now}
	switch a.Presence {
	case Absent:
		return i.absent()
	case Archived:
		return rejected(OutcomeArchived, archived(u))
	}
	if u.Digest != "" && u.Digest != a.Digest {
		return rejected(OutcomeDigest, anotherDigest(u, a.Digest))
	}
	found := &gitops.Found{Digest: a.Digest, At: a.At.UTC()}
	if first, moved := movedFrom(u, a.Digest, seen); moved && !r.AllowMoved {
		if u.Digest == "" || gitops.TellsOfImages(u.Principal) {
			return rejected(OutcomeMoved, movedWords(u, a.Digest, first))
		}
		found.Named = true
	}
	if why := i.platforms(); why != "" {
		return rejected(OutcomePlatform, why)
	}
	if a.Unsigned != "" {
		return i.unsigned()
	}
	return Verdict{Outcome: OutcomePresent, Found: found}
}

// Moved says why an event is refused that brings an update's image: its tag names another
// image than before. An order that names the image by its digest is how a tag may come to
// name another.
func Moved(u gitops.Update, seen []gitops.SeenImage) (why string, moved bool) {
	first, moved := movedFrom(u, u.Digest, seen)
	if !moved || !gitops.TellsOfImages(u.Principal) {
		return "", false
	}
	return movedWords(u, u.Digest, first), true
}

// movedFrom returns the image that an update's tag named first, where the tag has moved.
func movedFrom(u gitops.Update, digest string, seen []gitops.SeenImage) (first gitops.SeenImage, moved bool) {
	if digest == "" {
		return gitops.SeenImage{}, false
	}
	known := func(s gitops.SeenImage) bool { return s.Repository == u.Repository && s.Tag == u.Tag && s.Digest != "" }
	i := slices.IndexFunc(seen, known)
	if i < 0 || slices.ContainsFunc(seen, func(s gitops.SeenImage) bool { return known(s) && s.Digest == digest }) {
		return gitops.SeenImage{}, false
	}
	return seen[i], true
}

// inspection is one judgement under way.
type inspection struct {
	Rules
	update gitops.Update
	answer Answer
	since  time.Time
	now    time.Time
}

func (i inspection) until() time.Time { return i.since.Add(i.Wait) }

// isOver reports whether the wait has ended by the answer.
func (i inspection) isOver() bool { return i.answer.Thorough && !i.answer.At.Before(i.until()) }

func (i inspection) absent() Verdict {
	if i.isOver() {
		return Verdict{Outcome: OutcomeAbsent, Fails: gitops.Errorf(gitops.NotFound, "%s", i.neverCame())}
	}
	return i.waits(OutcomeAbsent, i.notThereYet())
}

func (i inspection) unsigned() Verdict {
	if !i.answer.Pending || i.isOver() {
		return rejected(OutcomeUnsigned, notSigned(i.update, i.answer.Unsigned))
	}
	return i.waits(OutcomeUnsigned, i.notSignedYet())
}

func (i inspection) waits(o Outcome, reason string) Verdict {
	return Verdict{Outcome: o, Waits: &gitops.Block{Kind: gitops.BlockImage, Reason: reason, Since: i.since.UTC(), Until: i.until().UTC()}}
}

func rejected(o Outcome, why string) Verdict {
	return Verdict{Outcome: o, Fails: gitops.Errorf(gitops.Rejected, "%s", why)}
}
