package simulation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Where tags are versions, what is pushed goes up only. The rule of the service is not
// used here: versions are compared by a library.

// inventVersion is mostly a higher one than all before.
func inventVersion(r *rand.Rand, n int) string {
	return fmt.Sprintf("%s1.%d.0", one(r, "", "", "v"), max(0, n-one(r, 0, 0, 0, 1, 3, 10, 30)))
}

// lower reports whether a tag is a lower version than another.
func lower(tag, than string) bool {
	a, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return false
	}
	b, err := semver.StrictNewVersion(strings.TrimPrefix(than, "v"))
	return err == nil && a.LessThan(b)
}

// onlyUp reports whether an update may not lower a version: it is a push's, where tags
// are versions.
func onlyUp(u gitops.Update) bool {
	return u.Delivery.Source == "eventbridge" && u.Environment == "prod"
}

// higherThan is the update whose version one that only goes up would lower: of its app
// one that is open, or the last that was written. The lock is held.
func (c *checker) higherThan(u gitops.Update) (id string) {
	if !onlyUp(u) {
		return ""
	}
	var written *tracked
	for _, other := range c.updates {
		switch {
		case other.ID == u.ID || other.lost || other.Environment != u.Environment || other.App != u.App:
		case !other.State.Final() && lower(u.Tag, other.Tag):
			return other.ID
		case other.raised && other.State.Written() && (written == nil || other.Sequence > written.Sequence):
			written = other
		}
	}
	if written != nil && lower(u.Tag, written.Tag) {
		return written.ID
	}
	return ""
}

// goesUp checks that an update does not lower the version of the file that it edits.
func (c *checker) goesUp(u *tracked, file []byte) {
	if before, err := (lineEditor{}).ReadTag(file); err == nil && onlyUp(u.Update) && lower(u.Tag, before) {
		c.wrong("update %s, of a push, lowers the version of %s in %s from %s to %s", u.ID, u.App, u.Environment, before, u.Tag)
	}
}

// byTheBranch reports whether an update is superseded because the branch said a higher
// version.
func (c *checker) byTheBranch(u *tracked) bool {
	return onlyUp(u.Update) && c.saidSince(u, func(tag string) bool { return lower(u.Tag, tag) })
}

// ReadTag is the tag of a file, for the writer.
func (lineEditor) ReadTag(file []byte) (string, error) {
	_, rest, _ := bytes.Cut(file, []byte(`tag: "`))
	tag, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return "", gitops.Errorf(gitops.NotFound, "the key .image.tag is not in the file")
	}
	return string(tag), nil
}
