// Package listing makes pages of lists that several ranges of indexes hold together,
// for both stores.
package listing

import (
	"cmp"
	"slices"
	"strconv"
)

// Part is what was found of a list from its newest number down to a floor. Below the
// floor nothing was looked for; 0 is the list's end.
type Part struct {
	Numbers []int64 // in any order, some perhaps more than once
	Floor   int64
}

// Range is the part that a range is which was read for its newest numbers, highest
// first, up to a limit.
func Range(numbers []int64, limit int) Part {
	p := Part{Numbers: numbers}
	if len(numbers) >= limit {
		p.Floor = numbers[len(numbers)-1]
	}
	return p
}

// And is both parts, down to where both were looked at.
func (p Part) And(other Part) Part {
	return Part{append(p.Numbers, other.Numbers...), max(p.Floor, other.Floor)}
}

// Cut makes a page of at most limit numbers, highest first, and the cursor of the next
// one; "" when there is none. A page is shorter than its limit where the floor is above
// more numbers.
func (p Part) Cut(limit int) (page []int64, next string) {
	slices.SortFunc(p.Numbers, func(a, b int64) int { return cmp.Compare(b, a) })
	page = slices.Compact(p.Numbers)
	if end := slices.IndexFunc(page, func(n int64) bool { return n < p.Floor }); end >= 0 {
		page = page[:end]
	}
	switch {
	case len(page) > limit:
		return page[:limit], Cursor(page[limit-1])
	case p.Floor > 0:
		return page, Cursor(p.Floor)
	}
	return page, ""
}

// Cursor is the cursor of a page that ends with a number.
func Cursor(number int64) string { return strconv.FormatInt(number, 10) }
