package queue

// Fences reports whether the lane refuses the lease: it stands at another token,
// or nobody holds it. A store asks this before it lets a lease change something;
// one whose database does the comparing says the same in its own words.
func Fences(held bool, token int64, l Lease) bool {
	return checksFence && (!held || token != l.Token)
}
