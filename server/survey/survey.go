// Package survey reads a manifest repository once, as far as a proposal needs it: the
// branch's directories, some of its files, and the past of a few. It writes nothing, and
// everything that it takes has a bound.
package survey

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/branch"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/starter"
)

// Config says which repository is read.
type Config struct {
	Remote git.Config
	Branch string // default: the server's, else main
	Logger *slog.Logger

	// Timeouts: of all that is read, and of the part of it that reads the past. Defaults 2
	// minutes and 30 seconds.
	Timeout, PastTimeout time.Duration
}

// What is held of a repository at most.
const (
	heldBytes = 128 << 20 // a quarter for the directories
	pastBytes = 64 << 20
	mostPaths = 500_000
)

// What is read of the past: of some files of each environment the newest versions.
const (
	pastFiles    = 3
	pastVersions = 30
	pastCommits  = 500
)

// Result is what was read.
type Result struct {
	Branch   string
	Commit   string
	Findings *starter.Findings
}

// Read reads the repository. Errors are [*gitops.Error], as those of [git.NewRemote] and
// [git.PublicError]; a past that cannot be read is a note of the findings.
func Read(ctx context.Context, c Config) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 2*time.Minute))
	defer cancel()
	remote, err := git.NewRemote(c.Remote)
	if err != nil {
		return Result{}, err
	}
	defer remote.Close()
	name, err := branchOf(ctx, remote, c.Branch)
	if err != nil {
		return Result{}, git.PublicError(err)
	}
	s := branch.New(branch.Config{
		Branch: name, Files: func() []string { return nil }, Guard: alone{}, Logger: c.Logger, Now: time.Now,
		Limits: branch.Limits{FileBytes: starter.MaxFileBytes, Bytes: func() int64 { return heldBytes }, History: pastCommits},
	}, remote)
	snapshot, err := s.Load(ctx)
	if err != nil {
		return Result{}, git.PublicError(err)
	}
	paths, err := pathsOf(snapshot.Root)
	if err != nil {
		return Result{}, err
	}
	files, _ := starter.Files(paths)
	if err := s.FetchFiles(ctx, snapshot, files); err != nil {
		return Result{}, git.PublicError(err)
	}
	contents, failed := contentsOf(snapshot, files)
	result := Result{Branch: name, Commit: snapshot.Tip.String(), Findings: starter.Find(paths, contents, failed)}
	verify(result.Findings, snapshot.Root)
	return result, c.readPast(ctx, result)
}

// branchOf is the branch to read: the one that is asked for, else the server's default.
func branchOf(ctx context.Context, remote git.Remote, wanted string) (string, error) {
	if wanted != "" {
		return wanted, git.ValidateBranch(wanted)
	}
	const usual = "main"
	a, err := remote.Refs(ctx, git.UploadPack, usual)
	return cmp.Or(a.Default, usual), err
}

// pathsOf lists the paths of the files below a directory, in their order. Symbolic links
// and submodules are left out: no update changes them.
func pathsOf(root *git.Directory) (paths []string, err error) {
	var walk func(d *git.Directory, at string) error
	walk = func(d *git.Directory, at string) error {
		for e, below := range d.Entries() {
			name := path.Join(at, string(e.Name))
			switch {
			case len(paths) == mostPaths:
				return gitops.Errorf(gitops.TooLarge, "the branch has more than %d files: name the layout by hand, see docs/configuration.md", mostPaths)
			case below.File != nil:
				paths = append(paths, name)
			case below.Directory != nil:
				if err := walk(below.Directory, name); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err = walk(root, "")
	slices.Sort(paths)
	return paths, err
}

func contentsOf(snapshot *branch.Snapshot, files []string) (contents map[string][]byte, failed map[string]error) {
	contents, failed = make(map[string][]byte), make(map[string]error)
	for _, name := range files {
		f, err := snapshot.File(name)
		if err != nil {
			failed[name] = err
			continue
		}
		switch data, here, err := f.Content(); {
		case err != nil:
			failed[name] = err
		case !here:
			failed[name] = gitops.Errorf(gitops.Unavailable, "the git server did not send it")
		default:
			contents[name] = data
		}
	}
	return contents, failed
}

// readPast adds the tags that some files had. What cannot be read is noted: a proposal
// without it is as good as the files of today are. The error is that of a command that was
// interrupted.
func (c Config) readPast(ctx context.Context, r Result) error {
	past, cancel := context.WithTimeout(ctx, cmp.Or(c.PastTimeout, 30*time.Second))
	defer cancel()
	remote, err := git.NewRemote(c.Remote)
	if err != nil {
		return err
	}
	reader := history.New(remote, r.Branch, nobody{}, history.Limits{Memory: func() int64 { return pastBytes }, FileBytes: starter.MaxFileBytes})
	defer reader.Close()
	for _, sample := range r.Findings.Samples(pastFiles) {
		_, err := reader.File(past, history.Query{
			Path: sample.Path, Limit: pastVersions, Commits: pastCommits,
			Read: func(_ context.Context, _ string, file []byte) (string, error) {
				tags, err := sample.Tags(file)
				r.Findings.See(sample.Environment, tags...)
				return strings.Join(tags, " "), err
			},
		})
		if err != nil {
			r.Findings.Note("the past of %s was not read (%s): the rules for tags are made of what the files have now and of what was read before", sample.Path, gitops.PublicOf(err))
			break
		}
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return git.PublicError(context.Cause(ctx))
	}
	return nil
}

// alone is the guard of a process that reads one repository, once, and ends: a file that
// ends it harms nobody else.
type alone struct{}

// Enter implements [branch.Guard].
func (alone) Enter(context.Context, gitops.ParsedObject, int64, bool) (func(), error) {
	return func() {}, nil
}

// nobody proves no commit.
type nobody struct{}

// Verify implements [history.Verifier].
func (nobody) Verify(git.Commit) (string, bool) { return "", false }
