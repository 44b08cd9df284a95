package github

import "time"

// SetNow sets the clock by which what was read becomes old.
func SetNow(f *Forge, now func() time.Time) { f.now = now }
