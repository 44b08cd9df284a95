package gitops

import (
	"strings"
	"time"
)

// Found is what a registry said of an update's image when it was inspected. Its JSON form
// is the API's.
type Found struct {
	Digest string    `json:"digest"` // of what the tag names: of an index the index's own
	At     time.Time `json:"at"`     // UTC; when it was asked for
	// Named: the tag named another image before, and a person ordered it by this digest.
	Named bool `json:"named,omitempty"`
}

// SeenImage is an image of which something is kept for ever: that a tag was there, and
// with which digest.
type SeenImage struct {
	Repository string      // without tag, as it is configured
	Tag        string      //
	Digest     string      // "" while only the tag is known
	At         time.Time   // UTC, by the store's clock
	By         DeliveryKey // the delivery that brought it; zero when a poll's first scan did
	// Named: a person ordered the tag by this digest although it had another before. Both
	// count from then on.
	Named bool
}

// TellsOfImages reports whether a principal, by its [Principal.ID], tells what is in a
// registry: of kind push or poll. All others name what they want.
func TellsOfImages(principal string) bool {
	return strings.HasPrefix(principal, string(KindPush)+":") || strings.HasPrefix(principal, string(KindPoll)+":")
}
