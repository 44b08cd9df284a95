package inspect

// Kept is how many updates and answers the room remembers.
func (r *Room) Kept() (waiters, looks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.environments {
		waiters += len(e.waiters)
	}
	return waiters, len(r.looks)
}
