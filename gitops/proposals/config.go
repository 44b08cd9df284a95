package proposals

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Merge is who merges the pull requests of an environment.
type Merge string

// Who merges.
const (
	MergePerson Merge = "person"
	MergeAuto   Merge = "auto" // the forge, as soon as its rules allow it: tallyman asks it to
)

// Environment is how the pull requests of an environment are.
type Environment struct {
	Merge  Merge
	Labels []string
}

// Config is what a [Room] works with. What is a function may answer otherwise after the
// configuration was read again.
type Config struct {
	Repository string // name of the manifest repository
	Branches   Branches
	Forge      Forge

	Environment func(name string) Environment
	// Places are where an app's tag is written, each a file and a key; nil for none.
	Places func(environment, app string) []string
	// CompareURL is the page of the changes between a tag and the update's in the app's own
	// repository; it may be nil, and may answer "".
	CompareURL func(u gitops.Update, from string) string

	// Gate is asked whether anything holds an update, right before a pull request is opened or
	// merged for it, as manifest.Config.Gate is before a push. done is called when that has
	// ended; of what the forge is to merge by itself, when that was merged, closed or taken
	// back. On an error nothing is done. Default: nothing holds.
	Gate func(ctx context.Context, updates []gitops.Update) (held []gitops.Held, done func(), err error)

	Logger *slog.Logger // that names the repository
	Now    func() time.Time
	// Jitter returns a random time from 0 up to d, by which sweeps of several processes are apart.
	// Default rand.N of math/rand/v2.
	Jitter func(d time.Duration) time.Duration
	Pace   *Pace // of all rooms that use one account of a forge; nil for one of its own
}

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	if c.Environment == nil {
		c.Environment = func(string) Environment { return Environment{Merge: MergePerson} }
	}
	if c.Places == nil {
		c.Places = func(string, string) []string { return nil }
	}
	if c.CompareURL == nil {
		c.CompareURL = func(gitops.Update, string) string { return "" }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.N[time.Duration]
	}
	if c.Pace == nil {
		c.Pace = &Pace{}
	}
	return c
}
