package gitops

import (
	"slices"
	"time"
)

// BlockKind is one of a closed set: what keeps a pending update from being
// written. It is a metric's label.
type BlockKind string

const (
	// BlockRefused: the git server refused a push of this update alone. It is
	// tried again by itself, at Until.
	BlockRefused BlockKind = "refused"
	// BlockStale: it waited for so long that what it asks for may be wrong by now.
	// It waits for a person's retry or cancel.
	BlockStale BlockKind = "stale"
	// BlockImage: its image is not in the registry yet, or the registry does not say.
	// It is looked for again and again, and lifts when it was found.
	BlockImage BlockKind = "image"
	// BlockProposal: its pull request cannot be opened, or cannot take it up, now. It is
	// tried again by itself, at Until.
	BlockProposal BlockKind = "proposal"
	// The others are of a hold, or of a freeze of the configuration: see [HoldKind].
	BlockPin    = BlockKind(HoldPin)
	BlockFreeze = BlockKind(HoldFreeze)
	BlockStop   = BlockKind(HoldStop)
	BlockBad    = BlockKind(HoldBad)
)

// BlockKinds lists every [BlockKind].
func BlockKinds() []BlockKind {
	return []BlockKind{BlockRefused, BlockStale, BlockImage, BlockProposal, BlockPin, BlockFreeze, BlockStop, BlockBad}
}

// Held reports whether the block is of a hold or a freeze: a person's decision, and not a
// fault.
func (k BlockKind) Held() bool { return slices.Contains(HoldKinds(), HoldKind(k)) }

// Block is one thing that keeps a pending update from being written, without
// holding up any other update. Its JSON form is the API's.
type Block struct {
	Kind   BlockKind `json:"kind"`
	Reason string    `json:"reason"`         // a sentence: what blocks it and what lifts that
	Since  time.Time `json:"since"`          // UTC
	Until  time.Time `json:"until,omitzero"` // UTC; when it lifts by itself; zero when it does not
	// Revision, of a hold's block that is to be reported, is that of the holds by which it
	// was judged; 0 for none. It is kept nowhere.
	Revision int64 `json:"-"`
}

// JudgedBefore reports whether a block is of holds that have changed since, and may be over:
// the revision is the holds' now.
func JudgedBefore(blocks []Block, revision int64) bool {
	return slices.ContainsFunc(blocks, func(b Block) bool { return b.Revision != 0 && b.Revision != revision })
}

// BlockedUntil returns when a list of blocks lifts as a whole: the zero time for
// an empty list, and false for one that does not lift by itself.
func BlockedUntil(blocks []Block) (until time.Time, byItself bool) {
	for _, b := range blocks {
		if b.Until.IsZero() {
			return time.Time{}, false
		}
		if b.Until.After(until) {
			until = b.Until
		}
	}
	return until, true
}

// SinceOr is since when a block counts that is reported now: what it comes with where it is
// a [BlockImage], whose image was missing before it was reported, and else the other time.
func (b Block) SinceOr(otherwise, now time.Time) time.Time {
	if b.Kind != BlockImage || b.Since.IsZero() || b.Since.After(now) {
		return otherwise
	}
	return b.Since
}

// Ended is the block as it is kept when it is ended before its time: until now. That of an
// image which had no end gets one before its beginning, so that its image does not count
// as missing since ([ImageSince]).
func (b Block) Ended(now time.Time) Block {
	if b.Kind == BlockImage && b.Until.IsZero() {
		now = time.Unix(0, 0).UTC()
	}
	b.Until = now
	return b
}

// ImageSince returns since when an update's image is known to be missing, as the blocks
// that were last reported of it say: Since of the [BlockImage] that was reported with an
// end, also when that has lifted; the zero time without such a block.
func ImageSince(reported []Block) time.Time {
	for _, b := range reported {
		if b.Kind == BlockImage && !b.Until.IsZero() && !b.Until.Before(b.Since) {
			return b.Since
		}
	}
	return time.Time{}
}

// HeldUntil returns when what held an update ended, as the blocks that were last reported
// of it say: the zero time while something still does, or where no hold ever did.
func HeldUntil(reported []Block, now time.Time) time.Time {
	if len(reported) == 0 || !reported[0].Kind.Held() {
		return time.Time{}
	}
	until, byItself := BlockedUntil(reported)
	if !byItself || until.After(now) {
		return time.Time{}
	}
	return until
}
