package gitops

import (
	"fmt"
	"regexp"
	"strings"
)

// versionGrammar is that of semantic versions (semver.org 2.0.0, "Is there a
// suggested regular expression"), with or without a leading v: the three numbers and
// the pre-release. Build metadata says nothing about precedence.
var versionGrammar = regexp.MustCompile(`^v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)` +
	`(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?` +
	`(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`)

// longestVersion is the length of the longest text that is taken for a version. It is
// that of a tag, and keeps every length within two hexadecimal digits.
const longestVersion = 128

// VersionKey returns a text that orders versions as semver.org 2.0.0, item 11, does:
// of two versions the lower one has the lesser key, byte by byte. That is how Go
// compares strings, SQLite compares texts (BINARY), and PostgreSQL where the collation
// is "C". A tag that is not a full version, with or without a leading v, has the key "".
func VersionKey(tag string) string {
	if len(tag) > longestVersion {
		return ""
	}
	m := versionGrammar.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	key := numberKey(m[1]) + numberKey(m[2]) + numberKey(m[3])
	if m[4] == "" {
		return key + "~" // a release is higher than its pre-releases, whose keys go on with "!"
	}
	for identifier := range strings.SplitSeq(m[4], ".") {
		// "!" is lower than all that an identifier may contain, so one that another
		// begins with is the lower one, as is a pre-release that another begins with.
		if strings.Trim(identifier, "0123456789") == "" {
			key += "!n" + numberKey(identifier)
		} else {
			key += "!x" + identifier
		}
	}
	return key
}

// numberKey orders numbers without leading zeros: by their length, and then by their
// digits.
func numberKey(digits string) string { return fmt.Sprintf("%02x%s", len(digits), digits) }

// LowerVersion reports whether a tag is a lower version than another. A tag that is
// not a version is neither lower nor higher than any.
func LowerVersion(tag, than string) bool {
	key := VersionKey(tag)
	return key != "" && key < VersionKey(than)
}

// LowerThan is why an update that only goes up is not written: the tag that is higher
// and where it is, as in "is pending" or "is on the branch".
func LowerThan(u Update, tag, where string) string {
	return fmt.Sprintf("%[1]s is lower than %[2]s, which %[3]s: an image that is pushed does not lower the version of %[4]s in %[5]s. "+
		"To go down, order it by name: tallyman update %[4]s %[1]s --env %[5]s", u.Tag, tag, where, u.App, u.Environment)
}
