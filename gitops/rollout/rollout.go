// Package rollout tells from what Argo CD says of an Application where an update stands in the
// cluster. It is pure: it asks nothing, and what it wants to know more it names.
package rollout

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Subject is the update that is followed.
type Subject struct {
	Commit      string    // hexadecimal name; "" of an update whose tag the branch had already
	Image       string    // without tag; "" where it is not known
	Tag, Digest string    // Digest is "" where it is not known
	Since       time.Time // when it was written
}

// Containment says what a revision has of the update.
type Containment string

const (
	// Contained: it is the update's commit, or comes after it, and its file has the update's tag.
	Contained Containment = "contained"
	// OtherTag: it comes after the update's commit, and its file has another tag or none.
	OtherTag Containment = "other tag"
	// Before: the update's commit comes after it.
	Before Containment = "before"
	// Elsewhere: neither comes after the other: the branch was pushed by force.
	Elsewhere Containment = "elsewhere"
	// NotARevision: it names no commit that the repository has.
	NotARevision Containment = "not a revision"
)

// Look is what was seen at one moment. What is nil was not asked for: of an Application
// without objects, Managed is empty and not nil.
type Look struct {
	Now         time.Time
	Application *Application // nil: it is gone
	// Sources are the positions, among the sources of the Application, of those that read the
	// update's file ([Match]).
	Sources    []int
	Containing map[string]Containment // by revision
	Tree       *Tree
	Managed    []Managed
	Windows    *Windows
	// Newer says that another tag of the app was written after the update.
	Newer bool
}

// Wants is what a look lacked to come to a verdict. Whoever looks gets it, and judges again
// with the memory that came with the verdict.
type Wants struct {
	Containing []string // revisions
	Refresh    bool     // Argo CD must look at git again
	Tree       bool
	Managed    bool
	Windows    bool
}

// Verdict is where the update stands. Its state is never timed_out or unmapped, which are for
// whoever looks.
type Verdict struct {
	State    gitops.RolloutState
	Reason   string
	Revision string // that was last compared with
	// Without says that none of its workloads has an image of the update's repository: it may
	// read the same files for something else.
	Without bool
	Wants   Wants
}

// Memory is what is kept of earlier looks at the same Application. The zero value is that of
// the first. A process that starts again begins with it, and takes a little longer to a verdict.
type Memory struct {
	DegradedSince    time.Time // Degraded in every look since
	IdleSince        time.Time // nothing happens, though something should
	ProgressingSince time.Time // the commit is applied, and was not Healthy when it was first seen so
	OtherSince       time.Time // Healthy in every look since, with another image
}
