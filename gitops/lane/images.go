package lane

import "github.com/tallyman-dev/tallyman/gitops"

// Images says whether the images of updates are there, and whether they are the ones that
// were ordered. Safe for concurrent use. All times are by this process's clock, also those
// of the updates that it is asked about.
type Images interface {
	// Inspect says what is known of each update's image, in their order. It does not wait:
	// what it does not know it begins to find out. Updates of environments whose images
	// are not inspected are Present, without a [gitops.Found].
	Inspect(updates []gitops.Update) []Inspection

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

// Inspection is what is known of an update's image. Exactly one of Looking, Present, Waits
// and Fails is set.
type Inspection struct {
	Looking bool          // not known yet; Changed tells when it is
	Present bool          // it may be written
	Found   *gitops.Found // with Present: what is to be written with it; nil where the image was not inspected
	Waits   *gitops.Block // of kind [gitops.BlockImage]; with an end, the deadline after which it fails, or without
	Fails   *gitops.Error // it is the update's own fault
}

// noImages inspects nothing.
type noImages struct{}

func (noImages) Inspect(updates []gitops.Update) []Inspection {
	all := make([]Inspection, len(updates))
	for i := range all {
		all[i].Present = true
	}
	return all
}

func (noImages) Changed(string) <-chan struct{} { return nil }

func (noImages) Freed(string) []string { return nil }

func (noImages) Forget(string, []string) {}

func (noImages) Leave(string) {}
