package tagset

import "strconv"

// span is the numbers from lo to hi.
type span struct{ lo, hi uint64 }

// versions are the texts of versions, with or without a leading v, whose three
// numbers lie in spans, and that are all releases, or all pre-releases.
type versions struct {
	numbers    [3]boundary
	preRelease bool
}

// boundary is a span, its ends also in digits.
type boundary struct {
	span
	low, high string
}

func versionsIn(numbers [3]span, preRelease bool) versions {
	v := versions{preRelease: preRelease}
	for i, s := range numbers {
		v.numbers[i] = boundary{s, strconv.FormatUint(s.lo, 10), strconv.FormatUint(s.hi, 10)}
	}
	return v
}

// The states of versions are numbered by what was read last: within one of the three
// numbers, how many digits and how they compare with both ends; within a pre-release,
// what kind of identifier it is so far.
const (
	versionStart state = 1
	versionV     state = 2

	preStart  state = 10 // an identifier begins
	preZero   state = 11 // it is 0
	preNumber state = 12 // it is digits, and does not begin with 0
	preFalse  state = 13 // it is digits that begin with 0, which it must not stay
	preText   state = 14

	inNumber state = 1000 // and 1000 more for the second and the third, with digits*9 + low*3 + high
)

func (versions) start() state { return versionStart }

func (v versions) accepts(s state) bool {
	if v.preRelease {
		return s == preZero || s == preNumber || s == preText
	}
	return s >= 3*inNumber && v.numbers[2].has(s-3*inNumber)
}

func (v versions) step(s state, r rune) state {
	switch {
	case s == versionStart && r == 'v':
		return versionV
	case s == versionStart, s == versionV:
		return v.numbers[0].step(inNumber, 0, r)
	case s >= inNumber:
		n := s/inNumber - 1
		b := v.numbers[n]
		switch in := s % inNumber; {
		case r == '.' && n < 2 && b.has(in):
			return inNumber * (n + 2)
		case r == '-' && n == 2 && v.preRelease && b.has(in):
			return preStart
		default:
			return b.step(inNumber*(n+1), in, r)
		}
	case s >= preStart:
		return preReleaseStep(s, r)
	}
	return dead
}

// The order of the digits so far and as many of an end's.
const (
	same state = iota
	less
	more
)

// step reads a digit of a number. Origin is added to the state that it is in.
func (b boundary) step(origin, in state, r rune) state {
	digits, low, high := int(in/9), in/3%3, in%3
	switch {
	case r < '0' || r > '9' || in == zero || digits == len(b.high):
		return dead
	case digits == 0 && r == '0':
		return origin + zero
	}
	low, high = compare(low, digits, b.low, r), compare(high, digits, b.high, r)
	return origin + state(digits+1)*9 + low*3 + high
}

// zero is the state after the digit 0 alone, which no other may follow.
const zero state = 999

// compare orders one more digit and that of an end.
func compare(order state, digits int, end string, r rune) state {
	switch {
	case order != same || digits >= len(end):
		return order
	case r < rune(end[digits]):
		return less
	case r > rune(end[digits]):
		return more
	}
	return same
}

// has reports whether a number that ends here lies in the span.
func (b boundary) has(in state) bool {
	if in == zero {
		return b.lo == 0
	}
	digits, low, high := int(in/9), in/3%3, in%3
	return digits > 0 &&
		(digits > len(b.low) || digits == len(b.low) && low != less) &&
		(digits < len(b.high) || digits == len(b.high) && high != more)
}

// preReleaseStep reads a character of a pre-release (Semantic Versioning 2.0.0,
// section 9).
func preReleaseStep(s state, r rune) state {
	ended := s == preZero || s == preNumber || s == preText
	switch {
	case r == '.' && ended:
		return preStart
	case r == '.' || r == '_' || !isTagRune(r):
		return dead
	case r < '0' || r > '9' || s == preText:
		return preText
	case s == preStart && r == '0':
		return preZero
	case s == preZero, s == preFalse:
		return preFalse
	}
	return preNumber
}
