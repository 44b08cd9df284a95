package image

import "time"

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
	Thorough bool      // it was asked so: see [Question]
	Presence Presence
	Digest   string // of a present one: of what the tag names, an index's own
	// Platforms are those that it is for, where they were asked for: of an index those of its
	// entries that are platforms ([Platform.IsReal]).
	Platforms []Platform
	// Missing are those of an index whose own manifests are not there. They are among
	// Platforms, too.
	Missing []Platform
	// Unsigned is a sentence that says which signature it does not have that was asked for;
	// "" where it has it, or none was asked for.
	Unsigned string
	// Pending, with Unsigned: the signature may still come, since it is being made, or since
	// the image has no signature yet. It is looked for as an absent image is.
	Pending bool
}
