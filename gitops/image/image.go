// Package image says what a registry's answer means for an update: whether its image is
// there, is for the platforms that it must be for, and is the one that the tag has named
// before. It is pure.
package image

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rules are what an environment demands of images.
type Rules struct {
	Wait       time.Duration // how long an image is looked for that is not there
	Platforms  []Platform    // that it must be for; none means any
	AllowMoved bool          // a tag may come to name another image
	SignedBy   *Key          // whose signature it must have; nil for none
	ECRSigned  bool          // ECR's managed signing must have signed it
}

// Platform is an operating system and an architecture, as an index names them.
type Platform struct{ OS, Architecture, Variant string }

// Presence is whether a registry has an image.
type Presence string

const (
	Present  Presence = "present"
	Absent   Presence = "absent"   // 404
	Archived Presence = "archived" // ECR has it in its archive: it cannot be pulled
)

// Answer is what a registry said of a tag.
type Answer struct {
	At       time.Time // when it was asked
	Presence Presence
	Digest   string // of a present one: of what the tag names, an index's own
	// Platforms are those that it is for, where they were asked for: of an index those of its
	// entries that are platforms.
	Platforms []Platform
	// Missing are those of an index whose own manifests are not there.
	Missing []Platform
	// Signed says why it has not the signature that was asked for; "" where it has, or none
	// was asked for.
	Unsigned string
	// Pending: the signature is being made, and may come.
	Pending bool
}

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

// Verdict is what an answer means for an update.
type Verdict struct {
	Outcome Outcome
	Found   *gitops.Found // with OutcomePresent
	Fails   *gitops.Error // it is the update's own fault, and final
	Waits   string        // a sentence: it may still come; nothing of it where Fails or Found is set
}
