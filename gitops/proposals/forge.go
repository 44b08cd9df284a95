package proposals

import (
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/git"
)

// What a [Forge] says no with, where that is not a fault.
var (
	ErrExists    = errors.New("a pull request of the branch is open")
	ErrNoCommits = errors.New("the branch has no commits that the base branch has not")
	ErrHeadMoved = errors.New("the head of the pull request is another commit")
	ErrNotNow    = errors.New("the pull request cannot be merged at this moment")
)

// PullState is where a pull request stands.
type PullState string

// The states of a pull request.
const (
	PullOpen   PullState = "open"
	PullMerged PullState = "merged"
	PullClosed PullState = "closed" // without being merged
)

// Pull is a pull request.
type Pull struct {
	Number int
	ID     string // that the forge's API wants in some calls
	URL    string
	Branch string
	Head   git.Hash
	State  PullState
	Text   Text
	Armed  bool // the forge merges it as soon as its rules allow it
	Queued bool // it is in a merge queue: its branch is locked; only of Get
	// ArmedByUs is that tallyman armed it; only of Get.
	ArmedByUs bool
	OpenedAt  time.Time

	// Of one that was merged or closed.
	EndedBy string   // login of who did it, only of Get; "" where the forge does not say
	ByUs    bool     // EndedBy is tallyman itself
	Landed  git.Hash // the commit on the base branch, as the forge says: a hint
	EndedAt time.Time

	// WaitsFor says what keeps it from being merged, as far as the forge tells; only of Get.
	WaitsFor []string
}

// Text is what a pull request says.
type Text struct {
	Title, Body string
	Labels      []string
}

// Rules are what a forge demands, as far as it tells tallyman.
type Rules struct {
	Strict        bool     // the topic must have the base branch's tip
	Queue         bool     // merges go through a merge queue
	Methods       []string // of merging that are allowed: merge, squash, rebase
	AutoMerge     bool     // the repository allows it
	Protected     bool     // anything at all must be fulfilled before a merge
	DismissStale  bool     // a push dismisses approvals
	LastPush      bool     // the last push must be approved by another
	LinearHistory bool
	Signatures    bool
	TopicRefuses  []string // names of rules that keep tallyman from pushing topics
	Unknown       []string // what could not be read, as sentences
}
