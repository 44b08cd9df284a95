package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// The contenders, as they are called in the report.
const (
	shellStep  = "shell step"
	warmClone  = "warm clone"
	barePush   = "git push"
	endToEnd   = "tallyman"
	changeLine = `sed -i.bak 's|^\(  tag: \).*|\1"'"$TAG"'"|' "$FILE"`
)

// contender is one way to get an update to origin, on a repository of its own.
type contender struct {
	name       string
	repository *gitserver.Repository

	prepare func(ctx context.Context, u update) error // what is not timed
	update  func(ctx context.Context, u update) error
	finish  func(ctx context.Context) error // what is not timed, either
	cpu     func() time.Duration            // that it has used since it began
}

// update is what a contender shall do.
type update struct {
	event event // for who takes events; the rest is for who does not
	file  string
	text  string // of the file after the update
	tag   string
}

// client is somebody who works with C git.
type client struct {
	dir, url string
	used     time.Duration // of CPU, by all its processes
}

// environment is one without this machine's configuration. The token goes along
// with each request from the first on, as the usual checkout action has it;
// otherwise every command would pay for one more request that is answered 401.
func (c *client) environment() []string {
	basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic " + basic,
		"GIT_AUTHOR_NAME=bot", "GIT_AUTHOR_EMAIL=bot@example.com", "GIT_COMMITTER_NAME=bot", "GIT_COMMITTER_EMAIL=bot@example.com",
		"URL=" + c.url,
	}
}

// run runs a command in the client's directory.
func (c *client) run(ctx context.Context, u update, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(c.environment(), "TAG="+u.tag, "FILE="+u.file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	c.used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return nil
}

// newShellStep is what a workflow does for each event, once its runner is there.
func newShellStep(dir string, origin *gitserver.Repository) contender {
	c := &client{dir: dir, url: origin.URL}
	const script = `git clone --quiet --depth 1 "$URL" work && cd work && ` + changeLine + ` &&
		git commit --quiet --all --message "chore: bump to $TAG" && git push --quiet`
	return contender{
		name: shellStep, repository: origin,
		prepare: func(context.Context, update) error { return os.RemoveAll(filepath.Join(dir, "work")) },
		update:  func(ctx context.Context, u update) error { return c.run(ctx, u, "sh", "-c", script) },
		cpu:     func() time.Duration { return c.used },
	}
}

// newWarmClone is somebody who has kept a clone.
func newWarmClone(ctx context.Context, dir string, origin *gitserver.Repository) (contender, error) {
	c := &client{dir: dir, url: origin.URL}
	const script = `cd work && git pull --quiet --ff-only && ` + changeLine + ` &&
		git commit --quiet --all --message "chore: bump to $TAG" && git push --quiet`
	err := c.run(ctx, update{}, "sh", "-c", fmt.Sprintf(`git clone --quiet %q work && git -C work remote set-url origin "$URL"`, origin.Dir))
	return contender{
		name: warmClone, repository: origin,
		update: func(ctx context.Context, u update) error { return c.run(ctx, u, "sh", "-c", script) },
		cpu:    func() time.Duration { return c.used },
	}, err
}

// newBarePush is git's own part alone: the commit is there, and only pushed.
func newBarePush(ctx context.Context, dir string, origin *gitserver.Repository) (contender, error) {
	c := &client{dir: dir, url: origin.URL}
	err := c.run(ctx, update{}, "sh", "-c", fmt.Sprintf(`git clone --quiet --bare %q work && git -C work remote set-url origin "$URL"`, origin.Dir))
	local := &gitserver.Repository{Dir: filepath.Join(dir, "work")}
	return contender{
		name: barePush, repository: origin,
		prepare: func(_ context.Context, u update) error {
			_, err := local.Commit(gitserver.Change{Message: "chore: bump to " + u.tag, Files: map[string]string{u.file: u.text}})
			return err
		},
		update: func(ctx context.Context, u update) error {
			return c.run(ctx, u, "git", "-C", "work", "push", "--quiet", "origin", "main")
		},
		cpu: func() time.Duration { return c.used },
	}, err
}

// newEndToEnd is tallyman from the signed event to the commit on origin. Its
// sender's connection is there before; a kept one would be closed while the other
// contenders have their turn.
func newEndToEnd(t *tallyman, answered *time.Time) contender {
	var to *sender
	return contender{
		name: endToEnd, repository: t.repository,
		prepare: func(context.Context, update) (err error) {
			to, err = dial(t.public)
			return err
		},
		update: func(_ context.Context, u update) error {
			err := to.send(u.event)
			*answered = time.Now()
			return err
		},
		finish: func(ctx context.Context) error {
			return errors.Join(to.conn.Close(), t.awaitCommitted(ctx, 1))
		},
		cpu: t.cpu,
	}
}
