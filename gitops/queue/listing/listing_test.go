package listing

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPagesOfParts reads lists of random ranges page by page, with any limit: every
// number comes once, highest first.
func TestPagesOfParts(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		var ranges [3][]int64
		all := map[int64]bool{}
		for i := range ranges {
			for range r.IntN(20) {
				n := 1 + r.Int64N(30)
				ranges[i] = append(ranges[i], n)
				all[n] = true
			}
			slices.Sort(ranges[i])
			ranges[i] = slices.Compact(ranges[i])
			slices.Reverse(ranges[i])
		}
		limit, cursor, before := 1+r.IntN(5), "", int64(100)
		var got []int64
		for {
			var p Part
			for _, numbers := range ranges {
				left := numbers[slices.IndexFunc(append(numbers, 0), func(n int64) bool { return n < before }):]
				p = p.And(Range(slices.Clone(left[:min(limit+1, len(left))]), limit+1))
			}
			var page []int64
			if page, cursor = p.Cut(limit); len(page) > limit {
				t.Fatalf("seed %d: a page of %d", seed, len(page))
			}
			got = append(got, page...)
			if cursor == "" {
				break
			}
			next := before
			for next--; Cursor(next) != cursor; next-- {
			}
			before = next
		}
		if len(got) != len(all) || !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) || len(slices.Compact(got)) != len(all) {
			t.Fatalf("seed %d: %v of %v by %d", seed, got, ranges, limit)
		}
	}
}
