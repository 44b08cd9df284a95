//go:build race

package simulation

// raced says that the race detector is on, and usual how many schedules are
// played when nobody says: with it each takes ten times as long.
const (
	raced = true
	usual = 60
)
