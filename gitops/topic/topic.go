// Package topic is the git side of proposals: it looks where the base branch and the topic
// branches are, makes the commit of an update on the base branch's tip, moves topic branches
// by compare-and-swap, and finds out whether a commit was merged.
//
// It has a connection of its own, so nothing that writes the base branch waits for it. Of
// the base branch it holds no snapshot of its own: it takes the one that the writer and its
// readers have ([Config.View]), which is bounded with theirs.
//
// # What a crash leaves
//
// A topic branch where it was, or at the commit that was pushed: each is one push, which the
// server takes whole or not at all. In the process, nothing: all that is remembered here can
// be asked for again.
package topic

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/handedit"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/message"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Config says which repository is asked, as whom, and what an update changes in it. All of
// it is required but what says otherwise.
type Config struct {
	// Remote is a connection to the repository of its own, behind the breaker that all
	// who reach its server share. It is closed with the branches.
	Remote git.Remote

	// Branch is the base branch, and View the branch as it is at a tip where it was just
	// seen, as [manifest.Writer.ViewAt] gives it.
	Branch string
	View   func(ctx context.Context, tip git.Hash, seen time.Time, paths ...string) (*branch.View, error)

	// Target, Guard, Prover, Author, Identify, Signing and Subject are as of
	// [manifest.Config]: a commit of a topic is the one that the base branch would get.
	Target   func(environment, app string) (edit.Target, error)
	Guard    edit.Guard
	Prover   edit.Prover
	Author   git.Signature
	Identify func(ctx context.Context) (git.Signature, error) // nil when Author is complete
	Signing  git.Signing                                      // zero: nothing is signed
	Subject  string                                           // "" is [message.One]

	Logger *slog.Logger
	Now    func() time.Time // of commits
	Limits Limits
}

// Limits bound what is held at once, and what is made.
type Limits struct {
	FileBytes int // of a file with its edit; default 1 MiB
	PushBytes int // of the files of one update together; default 16 MiB
	// Memory is how many bytes may be read at a time of a history or of a topic branch, and
	// may change. What is kept beside that is small: the names of topic branches, which are
	// bounded by what [git.Remote] keeps of an answer, 20,000 names of commits, and the files
	// of the update that was built last.
	Memory func() int64
}

// Bounds of what is searched, and for how long.
const (
	mostCommits  = 5_000 // that are asked whether the base branch reaches a commit
	searchWithin = 10 * time.Second
	identifyFor  = 30 * time.Second
	fileBytes    = 1 << 20
	pushBytes    = 16 << 20
)

// Branches implements [proposals.Branches]. It belongs to one goroutine.
type Branches struct {
	config    Config
	remote    git.Remote
	edits     edit.Config
	committer *edit.Committer
	finder    *handedit.Finder
	past      *history.Reader

	fetchCaps map[string]string // upload-pack's; nil until it was asked
	pushCaps  map[string]string // receive-pack's, likewise
	noThin    bool              // the server takes no thin packs

	view     *branch.View // of the last Look; nil before
	known    map[app]head // heads of topic branches
	ancestry ancestry
	built    *made // the commit that was built last and is not pushed; nil without one
}

var _ proposals.Branches = (*Branches)(nil)

// app is one in an environment.
type app struct{ environment, name string }

// New makes the branches of a repository. It does not use the network. Its errors are
// [gitops.Invalid] and name the field.
func New(c Config) (*Branches, error) {
	c.Subject = cmp.Or(c.Subject, message.One)
	c.Limits.FileBytes, c.Limits.PushBytes = cmp.Or(c.Limits.FileBytes, fileBytes), cmp.Or(c.Limits.PushBytes, pushBytes)
	if err := cmp.Or(git.ValidateBranch(c.Branch), proposals.CheckBase(c.Branch)); err != nil {
		return nil, err
	}
	signer, err := c.Signing.Signer(c.Now())
	if err != nil {
		return nil, err
	}
	b := &Branches{
		config: c, remote: c.Remote, known: make(map[app]head),
		edits: edit.Config{Target: c.Target, Guard: c.Guard, Logger: c.Logger, FileBytes: c.Limits.FileBytes, Bytes: c.Limits.PushBytes},
		committer: &edit.Committer{
			Subjects: message.Subjects{One: c.Subject, Batch: message.Batch}, Prover: c.Prover, Signer: signer, Author: c.Author, Identify: c.Identify,
		},
	}
	if err := b.committer.Validate(); err != nil {
		return nil, err
	}
	limits := history.Limits{
		Memory: c.Limits.Memory, FileBytes: int64(c.Limits.FileBytes),
		Enter: func(ctx context.Context, o gitops.ParsedObject) (func(), error) {
			return c.Guard.Enter(ctx, o, 0, true)
		},
	}
	b.past = history.New(c.Remote, c.Branch, c.Prover, limits)
	b.finder = handedit.New(c.Remote, c.Branch, c.Prover, limits, searchWithin)
	return b, nil
}

// Close frees the connection. No other method is called while it runs, or afterwards.
func (b *Branches) Close() { b.past.Close() }

// Look implements [proposals.Branches]. It asks as one who pushes: that proves the right to
// push topics, too, and hosts do not list each of their pull requests then.
func (b *Branches) Look(ctx context.Context) (proposals.Heads, error) {
	for tries := 1; ; tries++ {
		heads, err := b.look(ctx)
		if err == nil || !git.UnknownToServer(err) || tries == branch.MaxTries {
			return heads, git.PublicError(err)
		}
	}
}

func (b *Branches) look(ctx context.Context) (proposals.Heads, error) {
	seen := time.Now()
	refs, err := b.remote.Refs(ctx, git.ReceivePack, b.config.Branch, proposals.Prefix)
	if err == nil {
		err = refs.CanPush(b.config.Branch)
	}
	if err != nil {
		return proposals.Heads{}, err
	}
	b.recordPush(refs)
	view, err := b.config.View(ctx, refs.Tip, seen)
	if err != nil {
		return proposals.Heads{}, err
	}
	b.view = view
	topics, there := make(map[string]git.Hash, len(refs.Below)), make(map[git.Hash]bool, len(refs.Below))
	for name, at := range refs.Below {
		topics[name], there[at] = at, true
	}
	maps.DeleteFunc(b.known, func(_ app, h head) bool { return !there[h.commit] })
	return proposals.Heads{Base: refs.Tip, Topics: topics}, nil
}

// recordPush takes in what receive-pack says of the repository.
func (b *Branches) recordPush(refs git.Advertisement) {
	b.pushCaps = refs.Capabilities
	b.noThin = b.noThin || refs.Can("no-thin")
}

// askFetch makes sure that it is known what upload-pack can do.
func (b *Branches) askFetch(ctx context.Context) error {
	if b.fetchCaps != nil {
		return nil
	}
	a, err := b.remote.Refs(ctx, git.UploadPack, b.config.Branch)
	if err == nil {
		err = a.CanFetch(b.config.Branch)
	}
	if err == nil {
		b.fetchCaps = a.Capabilities
	}
	return err
}

// base is the base branch as it was at the last Look.
func (b *Branches) base() (*branch.Snapshot, error) {
	if b.view == nil {
		return nil, gitops.Errorf(gitops.Unavailable, "the branches have not been looked at yet")
	}
	return b.view.Snapshot(), nil
}

// baseWith is the base branch with the contents of the files at the paths, as far as there
// are such files.
func (b *Branches) baseWith(ctx context.Context, paths []string) (*branch.Snapshot, error) {
	base, err := b.base()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		f, err := base.File(path)
		if err != nil {
			continue
		}
		if _, here, _ := f.Content(); !here {
			view, err := b.config.View(ctx, base.Tip, b.view.AsOf(), paths...)
			if err != nil {
				return nil, git.PublicError(err)
			}
			b.view = view
			break
		}
	}
	return b.view.Snapshot(), nil
}

// errMoved says that a branch is no longer where the last Look saw it.
var errMoved = gitops.Errorf(gitops.Conflict, "a branch changed while it was read")

// read makes an error of reading a branch one that people are told.
func read(err error) error {
	if git.UnknownToServer(err) {
		return errMoved.WithCause(err)
	}
	return git.PublicError(err)
}
