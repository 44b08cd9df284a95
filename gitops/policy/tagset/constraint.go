package tagset

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/Masterminds/semver/v3"
)

// Constraint is a version constraint, or several that must hold at once, and what their
// texts say of where their answers can change.
type Constraint struct {
	checks      []*semver.Constraints
	named       [3][]uint64 // the numbers that they name, for each of a version's three
	numbers     [3][]span   // between and at those
	preReleases []string    // one of every kind that it tells apart; none when it takes no pre-release
}

// A constraint compares each number of a version with its own, and a pre-release
// with its own. More than what it names does no harm: the boxes are only smaller.
var (
	versionText    = regexp.MustCompile(`(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?`)
	preReleaseText = regexp.MustCompile(`-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)`)
)

// mostBoxes bounds how many kinds of versions are looked at.
const mostBoxes = 20_000

// NewConstraint parses a constraint.
func NewConstraint(text string) (*Constraint, error) {
	check, err := semver.NewConstraint(text)
	if err != nil {
		return nil, err
	}
	c := &Constraint{checks: []*semver.Constraints{check}}
	for _, version := range versionText.FindAllStringSubmatch(text, -1) {
		for i, number := range version[1:] {
			if n, err := strconv.ParseUint(number, 10, 64); err == nil {
				c.named[i] = append(c.named[i], n)
			}
		}
	}
	c.cut()
	for _, m := range preReleaseText.FindAllStringSubmatch(text, -1) {
		// The smallest pre-release is 0, and the next after p is p.0.
		c.preReleases = append(c.preReleases, "0", m[1], m[1]+".0")
	}
	return c, nil
}

// Both is a constraint that takes what both take; nil takes everything.
func Both(c, d *Constraint) *Constraint {
	if c == nil || d == nil {
		return cmp.Or(c, d)
	}
	both := &Constraint{checks: slices.Concat(c.checks, d.checks), preReleases: slices.Concat(c.preReleases, d.preReleases)}
	for i := range both.named {
		both.named[i] = slices.Concat(c.named[i], d.named[i])
	}
	both.cut()
	return both
}

// cut cuts the numbers of versions at those that the constraints name.
func (c *Constraint) cut() {
	for i, named := range c.named {
		c.numbers[i] = spans(named)
	}
}

// spans cuts the numbers at those that are named, and at 0, which a constraint that
// leaves one out means.
func spans(named []uint64) (cut []span) {
	named = append([]uint64{0}, named...)
	slices.Sort(named)
	for _, n := range slices.Compact(named) {
		if last := len(cut) - 1; last >= 0 && cut[last].hi+1 < n {
			cut = append(cut, span{cut[last].hi + 1, n - 1})
		}
		cut = append(cut, span{n, n})
	}
	if last := cut[len(cut)-1].hi; last < math.MaxUint64 {
		cut = append(cut, span{last + 1, math.MaxUint64})
	}
	return cut
}

// box is versions that the constraint gives one answer for, as far as their three
// numbers go.
type box struct {
	numbers     [3]span
	release     bool     // it takes the releases
	preReleases []string // those of its kinds that it takes
}

// boxes lists those in which there is a version that the constraint takes. It
// reports false when there are too many to look at.
func (c *Constraint) boxes() (taken []box, ok bool) {
	if len(c.numbers[0])*len(c.numbers[1])*len(c.numbers[2])*(1+len(c.preReleases)) > mostBoxes {
		return nil, false
	}
	for _, major := range c.numbers[0] {
		for _, minor := range c.numbers[1] {
			for _, patch := range c.numbers[2] {
				b := box{numbers: [3]span{major, minor, patch}}
				b.release = c.takes(b.version(""))
				for _, pre := range c.preReleases {
					if c.takes(b.version(pre)) {
						b.preReleases = append(b.preReleases, pre)
					}
				}
				if b.release || len(b.preReleases) > 0 {
					taken = append(taken, b)
				}
			}
		}
	}
	return taken, true
}

// version is the lowest version in the box with a pre-release.
func (b box) version(preRelease string) string {
	text := fmt.Sprintf("%d.%d.%d", b.numbers[0].lo, b.numbers[1].lo, b.numbers[2].lo)
	if preRelease != "" {
		text += "-" + preRelease
	}
	return text
}

func (c *Constraint) takes(version string) bool {
	v, err := semver.StrictNewVersion(version)
	return err == nil && !slices.ContainsFunc(c.checks, func(check *semver.Constraints) bool { return !check.Check(v) })
}
