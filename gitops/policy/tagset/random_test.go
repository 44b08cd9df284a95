package tagset_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// random gives the same numbers in each run.
var random = rand.New(rand.NewPCG(1, 2))

func randomTags(n int) (tags []string) {
	const characters = "abcdefXYZ0123456789._-"
	for len(tags) < n {
		var tag strings.Builder
		for range 1 + random.IntN(128) {
			tag.WriteByte(characters[random.IntN(len(characters))])
		}
		if gitops.CheckTag("tag", tag.String()) == nil {
			tags = append(tags, tag.String())
		}
	}
	return tags
}

// patternsFor are patterns that match the tag.
func patternsFor(tag string) []string {
	at := random.IntN(len(tag))
	before, after := regexp.QuoteMeta(tag[:at]), regexp.QuoteMeta(tag[at:])
	return []string{
		before + after,
		"^" + before + after + "$",
		before + ".*",
		".*" + after,
		before + fmt.Sprintf("[A-Za-z0-9._-]{%d}", len(tag)-at),
		"(?i:" + before + ")" + after,
		"(nothing|" + before + after + ")",
		before + "(" + after + ")*",
	}
}

func randomVersions(n int) (versions []string) {
	for range n {
		version := fmt.Sprintf("%d.%d.%d", random.IntN(3), random.IntN(200), random.IntN(12))
		switch random.IntN(3) {
		case 0:
			version += fmt.Sprintf("-rc.%d", random.IntN(20))
		case 1:
			version = "v" + version
		}
		versions = append(versions, version)
	}
	return versions
}

// constraintsFor are constraints near the version, most of which take it.
func constraintsFor(version string) []string {
	plain := strings.TrimPrefix(version, "v")
	major, _, _ := strings.Cut(plain, ".")
	release, _, _ := strings.Cut(plain, "-")
	return []string{
		plain, "^" + plain, "~" + plain, ">=" + plain, "<=" + plain, ">=" + release + "-0", major, major + ".x",
		">=0.0.0-0 <9.0.0", "*", ">" + major + " || " + plain, "!=" + release, fmt.Sprintf(">=%s <%s.999.0", plain, major),
	}
}

// BenchmarkFind searches for what is nowhere, which takes longest.
func BenchmarkFind(b *testing.B) {
	for b.Loop() {
		find(b, `v3\.[0-9]{1,5}\.[0-9a-z.-]{1,40}`, ">=1.2.3-0 <2.0.0 || ^4.5.6 || ~7.8.9")
	}
}
