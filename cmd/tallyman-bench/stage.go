package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// shapes are the manifest repositories of a small shop, a company, a company whose
// every service is in one repository, and five times as many services as that.
var shapes = map[string]gitserver.Shape{
	"S":  {Apps: 20, Environments: []string{"dev", "staging", "prod"}, Commits: 200},
	"M":  {Apps: 300, Environments: []string{"dev", "qa", "staging", "prod"}, Commits: 5_000},
	"L":  {Apps: 2_000, Environments: []string{"dev", "qa", "staging", "prod"}, Commits: 20_000},
	huge: {Apps: 10_000, Environments: []string{"dev", "qa", "staging", "prod"}, Commits: 1_000},
}

// huge is the size at which only tallyman and bare pushes are measured, and only
// what depends on the size: its clones alone take minutes.
const huge = "XL"

const token = "the-bench-token"

// bench is the stage on which everything is measured.
type bench struct {
	options  options
	progress io.Writer
	report   *report

	repositories string // directory
	stores       string // directory
	binary       string
	git          *gitserver.Server
	origin       *origin
	events       *events
	base         map[string]*gitserver.Repository // by size; copied, never written
	copies       int                              // made so far, for their names
	started      int                              // tallymen, for their directories
}

func newBench(ctx context.Context, o options, progress io.Writer) (b *bench, err error) {
	b = &bench{options: o, progress: progress, base: make(map[string]*gitserver.Repository), events: newEvents(o.body)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if o.repositories == "" {
		o.repositories = os.TempDir()
		if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
			o.repositories = "/dev/shm"
		}
	}
	if b.repositories, err = os.MkdirTemp(o.repositories, "tallyman-bench-"); err != nil {
		return b, err
	}
	if b.stores, err = os.MkdirTemp(o.store, "tallyman-bench-"); err != nil {
		return b, err
	}
	if b.binary, err = b.build(ctx); err != nil {
		return b, err
	}
	if b.git, err = gitserver.Start(b.repositories); err != nil {
		return b, err
	}
	b.git.RequireToken(token)
	b.origin = newOrigin(b.git)
	b.report = newReport(b)
	return b, nil
}

func (b *bench) close() error {
	var problems []error
	if b.git != nil {
		problems = append(problems, b.git.Close())
	}
	for _, dir := range []string{b.repositories, b.stores} {
		if dir != "" {
			problems = append(problems, removeAll(dir))
		}
	}
	return errors.Join(problems...)
}

// removeAll removes a directory. A git process whose client was killed may still write
// there for a moment; it is another process's child, so only time tells that it has ended.
func removeAll(dir string) error {
	for tries := 0; ; tries++ {
		err := os.RemoveAll(dir)
		if err == nil || tries == 50 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func (b *bench) build(ctx context.Context) (string, error) {
	if b.options.binary != "" {
		return filepath.Abs(b.options.binary)
	}
	b.say("building tallyman")
	binary := filepath.Join(b.stores, "tallyman")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "github.com/tallyman-dev/tallyman/cmd/tallyman")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building tallyman (run this in the module, or give -binary): %w: %s", err, out)
	}
	return binary, nil
}

// repository makes a repository of the size that nobody else writes.
func (b *bench) repository(size string) (*gitserver.Repository, error) {
	base, ok := b.base[size]
	if !ok {
		shape := shapes[size]
		b.say("building repository %s: %d apps in %d environments, %d commits", size, shape.Apps, len(shape.Environments), shape.Commits)
		var err error
		if base, err = b.git.CreateRepository(size + "/base.git"); err != nil {
			return nil, err
		}
		if err := errors.Join(base.Generate(shape), addCharts(base, shape)); err != nil {
			return nil, err
		}
		b.base[size] = base
	}
	b.copies++
	name := fmt.Sprintf("%s/%d.git", size, b.copies)
	own := &gitserver.Repository{Dir: filepath.Join(b.repositories, name), URL: b.git.URL + "/" + name}
	return own, os.CopyFS(own.Dir, os.DirFS(base.Dir))
}

// measureSize measures single updates, bursts and readers at one size. One tallyman
// does all of it, as it would.
func (b *bench) measureSize(ctx context.Context, size string) (err error) {
	if b.options.runs == 0 && len(b.options.bursts) == 0 && b.options.readers == 0 {
		return nil
	}
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	t, err := b.start(ctx, setup{shape: shapes[size], repository: repository})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, t.kill())
	}()
	for _, measure := range []func(context.Context, string, *tallyman) error{
		b.measureStart, b.measureReaders, b.measureSingle, b.measureBursts,
	} {
		if err := measure(ctx, size, t); err != nil {
			return err
		}
	}
	memory := &b.report.Starts[len(b.report.Starts)-1]
	memory.PeakMiB, memory.RestMiB = t.peakMiB(), t.residentMiB()
	if err := t.stop(); err != nil {
		return err
	}
	b.say("git fsck --full --strict of %s", size)
	if err := repository.Fsck(); err != nil {
		return err
	}
	b.report.Sound = append(b.report.Sound, size)
	return nil
}

// measureStart waits for the first commit that t makes. It was sent as soon as t
// took deliveries, and has the whole branch to read first.
func (b *bench) measureStart(ctx context.Context, size string, t *tallyman) error {
	if err := b.origin.reset(ctx); err != nil {
		return err
	}
	one := b.events.next(t.shape, 1)
	if _, err := volley(ctx, t.public, 1, one, time.Minute); err != nil {
		return err
	}
	landed, err := b.origin.next(ctx)
	if err != nil {
		return errors.Join(err, t.complaint())
	}
	b.report.Starts = append(b.report.Starts, start{
		Size: size, ReadyMS: milliseconds(t.ready.Sub(t.began)), FirstCommitMS: milliseconds(landed.ended.Sub(t.began)),
	})
	return t.awaitCommitted(ctx, 1)
}
