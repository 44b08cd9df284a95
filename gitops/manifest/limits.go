package manifest

// Bounds on what one push of ours may take.
const (
	maxFileBytes = 5 << 20 // of a values file

	maxPushUpdates = 500      // commits in one push
	maxPushBytes   = 16 << 20 // of new objects in one push, before compression

	maxHistory = 100_000 // commits that are searched for an update's trailer
)
