package lane

import "github.com/tallyman-dev/tallyman/gitops"

// Images says whether the images of updates are there, and whether they are the ones that
// were ordered. Safe for concurrent use. All times are by this process's clock, also those
// of the updates that it is asked about.
type Images interface {
	// Inspect says what is known of each update's image, in their order. It does not wait:
	// what it does not know it begins to find out. Updates of environments whose images
	// are not inspected are Present, without a [gitops.Found].
	Inspect(updates []gitops.Update) []gitops.Inspection

	// Changed returns a channel that receives after something became known of an update of
	// the environment that Inspect was asked about, and whenever Freed has one.
	Changed(environment string) <-chan struct{}

	// Freed returns the ids of the environment's updates that Inspect has told to wait and
	// of which it would say something else now, each once. Where the caller does not manage to
	// have them taken again, the next term judges all of them.
	Freed(environment string) []string

	// Forget forgets updates of the environment that have ended, or that something else
	// blocks now: nothing waits for their images.
	Forget(environment string, ids []string)

	// Leave forgets all of the environment's updates: another process looks after them.
	Leave(environment string)
}

// noImages inspects nothing.
type noImages struct{}

func (noImages) Inspect(updates []gitops.Update) []gitops.Inspection {
	all := make([]gitops.Inspection, len(updates))
	for i := range all {
		all[i].Present = true
	}
	return all
}

func (noImages) Changed(string) <-chan struct{} { return nil }

func (noImages) Freed(string) []string { return nil }

func (noImages) Forget(string, []string) {}

func (noImages) Leave(string) {}
