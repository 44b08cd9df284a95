package queue

// Fences reports whether the lane refuses the lease: it stands at another token,
// or nobody holds it. Every store asks this, and nothing else, before it lets a
// lease change something.
func Fences(held bool, token int64, l Lease) bool {
	return checksFence && (!held || token != l.Token)
}
