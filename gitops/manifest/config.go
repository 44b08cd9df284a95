package manifest

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/message"
)

// Config says which repository is written, as whom, and what an update changes
// in it.
type Config struct {
	// URL of the repository: https, http, or one of git's two forms for SSH,
	// ssh://git@host:port/path and git@host:path. It carries no password, and over
	// https no user. Plain http with Credentials is refused unless the host is this
	// machine's loopback.
	URL string

	// Branch that is written. It must exist; it is never created and never forced.
	// Default "main".
	Branch string

	// Credentials for every request over https; nil for a server that asks for none.
	Credentials git.Credentials

	// SSH is required with a URL for SSH, and has no place with another.
	SSH git.SSH

	// Author is author and committer of every commit.
	Author git.Signature

	// Identify says who the author is, for what of Author is empty. It is called by
	// one goroutine before the first write and until it succeeds; its errors are as
	// those of Write. Nil when Author is complete.
	Identify func(ctx context.Context) (git.Signature, error)

	// Signing signs every commit. Default: none is signed.
	Signing git.Signing

	// Prover proves every commit, and tells the writer's own commits from those that only
	// say so.
	Prover Prover

	// Subject of a commit, as of [message.Subjects]. Default "chore: bump {app} to {tag} ({env})".
	Subject string

	// Squash says whether the updates of an environment that go out together become
	// one commit, with the trailers of them all, instead of one for each. It is
	// called by one goroutine, often, and must not block. Default: no environment.
	Squash func(environment string) bool

	// BatchSubject is the subject of a commit of more than one update, likewise. Default
	// "chore: {count} updates ({env})".
	BatchSubject string

	// Files lists the files that updates can change, in any order: their contents are
	// held here, and no others. It is called by several goroutines and must not block;
	// its result is not changed, and may be another one later. Default: none, and a
	// file is fetched when an update of it comes.
	Files func() []string

	// Target says which files an update of the app in the environment changes, and
	// how. An error of it fails the update with the error's code and sentence. It
	// is called by one goroutine, often, and must not block.
	Target func(environment, app string) (Target, error)

	// Gate is asked right before each push what has come to hold its updates; those are
	// not pushed, and the others are. done is called once, when the push has ended, however
	// that was, or when there is none; it may be nil. On an error nothing is pushed. It is
	// called by one goroutine. Default: nothing holds.
	Gate func(ctx context.Context, updates []gitops.Update) (held []gitops.Held, done func(), err error)

	// Logger gets what no caller is told. Default: nothing is logged.
	Logger *slog.Logger

	// Recorder counts pushes. Default: nothing is counted.
	Recorder Recorder

	// Now is the clock of commits and searches. Default time.Now.
	Now func() time.Time

	// Jitter draws the random part of a wait: at least 0 and below n. Default
	// rand.N of math/rand/v2.
	Jitter func(n time.Duration) time.Duration

	// Timeouts of the single steps.
	Timeouts git.Timeouts

	// RootCAs are trusted for the server's certificate. Default: the system's.
	RootCAs *x509.CertPool

	// Breaker is shared with whoever else reaches the same server. Default: the
	// writer's own.
	Breaker *git.Breaker

	// Limits bound what is remembered and done at once.
	Limits Limits

	// Guard stands before everything that is parsed. Default: nothing is noted, and
	// what is parsed has no common bound.
	Guard Guard

	// Transport carries the requests over https; it must not follow redirects itself, nor add
	// credentials to them. Default: one of net/http's that uses the environment's
	// proxy settings.
	Transport http.RoundTripper
}

// What edits and commits are made of.
type (
	Target    = edit.Target
	FileEdit  = edit.FileEdit
	Editor    = edit.Editor
	TagReader = edit.TagReader
	Guard     = edit.Guard
	Prover    = edit.Prover
)

// Recorder is told of every push. Its methods are called by one goroutine and
// must not block.
type Recorder interface {
	// Pushed tells how a push ended, how long it took, and how many updates were in it.
	Pushed(outcome PushOutcome, took time.Duration, updates int)
}

// PushOutcome is how one push ended. The set is closed.
type PushOutcome string

const (
	PushLanded   PushOutcome = "landed"   // its commits are on the branch
	PushConflict PushOutcome = "conflict" // the branch had moved; the edits are made again
	PushRejected PushOutcome = "rejected" // the server said no
	PushFailed   PushOutcome = "failed"   // it did not come through, or its result is unknown
)

// PushOutcomes lists every [PushOutcome], so that metrics can start each at zero.
func PushOutcomes() []PushOutcome {
	return []PushOutcome{PushLanded, PushConflict, PushRejected, PushFailed}
}

type noRecorder struct{}

func (noRecorder) Pushed(PushOutcome, time.Duration, int) {}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.Branch = cmp.Or(c.Branch, "main")
	c.Subject = cmp.Or(c.Subject, message.One)
	c.BatchSubject = cmp.Or(c.BatchSubject, message.Batch)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Squash == nil {
		c.Squash = func(string) bool { return false }
	}
	if c.Recorder == nil {
		c.Recorder = noRecorder{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.N[time.Duration]
	}
	if c.Files == nil {
		c.Files = func() []string { return nil }
	}
	if c.Guard == nil {
		c.Guard = edit.Unguarded{}
	}
	c.Breaker = cmp.Or(c.Breaker, git.NewBreaker(c.Now))
	c.Timeouts = c.Timeouts.WithDefaults()
	c.Limits = c.Limits.withDefaults()
	return c
}

// source is what reads the branch, the writer's and the readers' alike.
func (c Config) source() branch.Config {
	return branch.Config{
		Branch: c.Branch, Files: c.Files, Guard: c.Guard, Logger: c.Logger, Now: c.Now,
		Limits: branch.Limits{FileBytes: c.Limits.FileBytes, Bytes: c.Limits.Snapshot, History: c.Limits.History},
	}
}

// validate reports the first thing that cannot be right, as an
// [gitops.Invalid] error that names the field.
func (c Config) validate() error {
	if err := git.ValidateBranch(c.Branch); err != nil {
		return err
	}
	if c.Target == nil {
		return gitops.FieldErrorf("target", "is missing")
	}
	return c.committer(nil).Validate()
}

// edits is how edits are made.
func (c Config) edits() edit.Config {
	return edit.Config{Target: c.Target, Guard: c.Guard, Logger: c.Logger, FileBytes: c.Limits.FileBytes, Bytes: c.Limits.PushBytes}
}

// committer is who makes commits.
func (c Config) committer(signer git.Signer) *edit.Committer {
	return &edit.Committer{
		Subjects: message.Subjects{One: c.Subject, Batch: c.BatchSubject}, Prover: c.Prover, Signer: signer, Author: c.Author, Identify: c.Identify,
	}
}
