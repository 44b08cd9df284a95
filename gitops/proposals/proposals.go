// Package proposals opens pull requests with updates, keeps them up to date, and follows
// them until they are merged or closed.
//
// It is a reconciler: lanes say what is wanted of each app in each environment
// ([gitops.ProposalWish]), and it compares that with what is there, the topic branch, the
// pull requests and the base branch, and makes one step at a time until they agree. Each step
// may be made again. It keeps nothing on disk.
//
// # What a crash leaves
//
// Between any two steps: a topic branch without a pull request, which the next process finds
// and opens one for; a pull request that was not recorded, which it adopts; a merge that
// was not recorded, which it finds by the pull request, by the trailers of the commit on the
// base branch, or by the tag of the file there.
package proposals

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// Branches is the git side of proposals in one manifest repository: its base branch, which
// tallyman's other writers write, and the topic branches below it. It belongs to one
// goroutine. Errors are [*gitops.Error], as those of [git.PublicError].
type Branches interface {
	// Look asks the server where the branches are, in one request. All that the other
	// methods say of the base branch is of it as it was at the last Look.
	Look(ctx context.Context) (Heads, error)

	// Base says what the base branch has of an app. NotFound: the app has no files in this
	// repository, as far as is known now.
	Base(ctx context.Context, environment, app string) (Base, error)

	// Origin finds the commit of the base branch that put an app's tag there.
	Origin(ctx context.Context, environment, app string) (Origin, error)

	// Contains reports whether the base branch reaches a commit.
	Contains(ctx context.Context, commit git.Hash) (bool, error)

	// Topic says what the head of an app's topic branch is. Of an app that has no files in this
	// repository it does not say what its files have.
	Topic(ctx context.Context, environment, app string, head git.Hash) (Topic, error)

	// Build makes the commit of an update on the base branch's tip, and pushes nothing.
	// expected is as of [gitops.WriteTask].
	Build(ctx context.Context, u gitops.Update, expected string) (Built, error)

	// Push moves a topic branch from a commit, the zero hash where it does not exist, to one that
	// was built last. It is a compare-and-swap. An error is a [*MovedError] when the
	// branch is somewhere else, and a [*git.Refusal] within it says why the server refuses.
	Push(ctx context.Context, branch string, from git.Hash, b Built) error

	// Delete deletes a topic branch if it is still at the commit; one that is elsewhere or not
	// there is a [*MovedError].
	Delete(ctx context.Context, branch string, at git.Hash) error
}

// MovedError says that a topic branch is not where it was last seen.
type MovedError struct{ Branch string }

func (e *MovedError) Error() string { return "the branch " + e.Branch + " has moved" }

// Heads are where branches are.
type Heads struct {
	Base   git.Hash
	Topics map[string]git.Hash // those whose name begins with tallyman/
}

// Base is what the base branch has of an app.
type Base struct {
	Tag string // that its first file has; "" where none can be read
}

// Origin is the commit that put a tag where it is.
type Origin struct {
	Commit  git.Hash // zero when it was not found
	Updates []string // ids that its trailers name; a claim unless it is proved
	Proved  bool     // a tallyman made it
	Author  string   // one line
	At      time.Time
}

// Topic is the head of a topic branch.
type Topic struct {
	Ours     bool     // a tallyman made it, by its proof
	Updates  []string // ids that its trailers name
	Author   string   // one line
	Tag      string   // that the app's first file has in it, as of [Base]
	Subject  string   // as of [Built], as are the next two; of a commit that is ours
	Trailers string
	Files    []string
	// Of a commit that is ours: Behind is that the base branch has moved on since, and Conflict
	// that a file of the app is another there by now than it was in the commit's parent, or
	// that the base branch has lost the parent.
	Conflict, Behind bool
}

// Built is a commit that was built, or why none could be. Exactly one of Commit, Ends and
// HandEdit is set.
type Built struct {
	Commit   git.Hash
	Subject  string             // first line of its message
	Trailers string             // its trailers as they stand at the message's end, for the body of a pull request
	Files    []string           // that it changes
	Ends     *gitops.Transition // confirm where the base branch has the tag, supersede, fail
	HandEdit *gitops.HandEdit
}

// Forge is a host of git repositories that has pull requests, as one repository sees it.
// Errors are [*gitops.Error] (RateLimited with RetryAfter; Forbidden names the
// permission that is missing), or wrap one of the errors below. Safe for concurrent use.
type Forge interface {
	// Pulls returns the pull requests from a branch of the repository itself into the base
	// branch, whatever their state, newest first.
	Pulls(ctx context.Context, branch string) ([]Pull, error)

	// Open returns the open pull requests from branches whose name begins with tallyman/ into
	// the base branch, and false when nothing has changed since it was asked last.
	Open(ctx context.Context) (open []Pull, changed bool, err error)

	// Get returns a pull request, with what it waits for. NotFound: no pull request has the number,
	// or a person has it go into another branch while it is open.
	Get(ctx context.Context, number int) (Pull, error)

	// Create opens a pull request. ErrExists: there is an open one of the branch.
	// ErrNoCommits: the branch has nothing that the base branch has not.
	Create(ctx context.Context, branch string, t Text) (Pull, error)

	// Edit gives a pull request its text, and the labels that it lacks; others stay.
	Edit(ctx context.Context, number int, t Text) error

	// Close closes a pull request without merging it.
	Close(ctx context.Context, number int) error

	// Comment adds a comment to a pull request, unless tallyman has said the same there.
	Comment(ctx context.Context, number int, text string) error

	// Arm has the forge merge a pull request as soon as its rules allow it, at this head
	// alone; it merges at once, or enqueues, where that is what they allow. ErrHeadMoved: the
	// head is another. ErrNotNow: the base moved, or it is computed whether it can be merged.
	Arm(ctx context.Context, p Pull, t Text) error

	// Disarm takes that back, also from a queue.
	Disarm(ctx context.Context, p Pull) error

	// Rules returns what the forge demands of the base branch and of topic branches.
	Rules(ctx context.Context, topic string) (Rules, error)
}
