package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/attack"
)

// fileSizes are what a hostile file has: within what is edited by default, and the most
// that git is asked for.
var fileSizes = []int{1<<20 - 4096, 5<<20 - 4096}

const (
	filesKept = 4 // hostile files that are on the branch together
	blobs     = 6
	blobSize  = 128 << 20 // of text that takes 130 KB in git
	levels    = 1_000     // of directories
)

// commitFiles replaces one app's file after the other by a hostile one, and has it
// updated.
func (s *soak) commitFiles(ctx context.Context) {
	files, last := attack.Files(), shapes[s.load.size].Apps-1
	total := len(files) * len(fileSizes)
	pause := max(200*time.Millisecond, s.load.length*8/10/time.Duration(total))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: attack.Dialer(validFrom).DialContext, DisableKeepAlives: true}}
	s.each(ctx, 1, pause, func(_, n int) {
		if n >= total {
			return
		}
		if n == total/2 {
			s.problemOf(s.onTip(ctx, s.commitBlobs))
		}
		app := gitserver.App(last - n)
		file := gitserver.ValuesFile(app, byToken.environment)
		s.problemOf(s.onTip(ctx, func(tip string) (string, error) {
			changes := map[string]string{file: files[n%len(files)].Text(fileSizes[n/len(files)])}
			if n >= filesKept {
				usual := gitserver.App(last - n + filesKept)
				tag, err := s.tag(tip, usual, byToken.environment)
				if err != nil {
					return "", err
				}
				changes[gitserver.ValuesFile(usual, byToken.environment)] = gitserver.Values(usual, byToken.environment, tag)
			}
			return s.repository.Commit(gitserver.Change{Branch: anothers, From: tip, Message: "Replace " + file, Files: changes})
		}))
		s.update(context.WithoutCancel(ctx), client, byToken, app, 1<<24+n, file)
		s.note(func() { s.figures.files++ })
	})
}

var replicaCount = regexp.MustCompile(`replicaCount: \d+`)

// otherWriter commits beside tallyman, now and then to a file that tallyman writes, too.
func (s *soak) otherWriter(ctx context.Context) {
	s.each(ctx, 1, notePause, func(_, n int) {
		file := gitserver.ValuesFile(gitserver.App(n%s.load.apps), ways[0].environment)
		s.problemOf(s.onTip(ctx, func(tip string) (string, error) {
			files := map[string]string{"NOTES.md": fmt.Sprintln("Note", n)}
			if n%5 == 0 {
				text, err := s.repository.Git("show", tip+":"+file)
				if err != nil {
					return "", err
				}
				files[file] = replicaCount.ReplaceAllString(text, fmt.Sprint("replicaCount: ", n)) + "\n"
			}
			return s.repository.Commit(gitserver.Change{Branch: anothers, From: tip, Message: "Scale", Files: files})
		}))
		s.note(func() { s.figures.others++ })
	})
}

// anothers is the branch on which another writer makes a commit before it becomes main's.
const anothers = "somebodys"

// onTip makes a commit on the tip of the branch, again when tallyman was faster: as a
// person's push, it never takes anything away.
func (s *soak) onTip(ctx context.Context, commit func(tip string) (made string, err error)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for ctx.Err() == nil {
		tip, err := s.repository.Git("rev-parse", "main")
		if err != nil {
			return err
		}
		made, err := commit(tip)
		if err != nil {
			return err
		}
		if _, err := s.repository.Git("update-ref", "refs/heads/main", made, tip); err == nil {
			_, err := s.repository.Git("update-ref", "-d", "refs/heads/"+anothers, made)
			return err
		}
	}
	return nil
}

// commitBlobs commits files that no app has anything to do with, which are larger together
// than the memory there is, and one below very many directories.
func (s *soak) commitBlobs(tip string) (made string, err error) {
	stream, w := io.Pipe()
	go func() { w.CloseWithError(writeBlobs(w, tip)) }()
	if err := s.repository.Import(stream); err != nil {
		return "", err
	}
	return s.repository.Git("rev-parse", anothers)
}

// writeBlobs writes what git's fast-import makes them of.
func writeBlobs(w io.Writer, tip string) error {
	line := strings.Repeat("x", 1<<20-1) + "\n"
	if _, err := fmt.Fprintf(w, "commit refs/heads/%s\ncommitter A Person <person@example.com> %d +0000\ndata 5\nBlobs\nfrom %s\n", anothers, time.Now().Unix(), tip); err != nil {
		return err
	}
	for n := range blobs {
		if _, err := fmt.Fprintf(w, "M 100644 inline blobs/%d.txt\ndata %d\n", n, blobSize); err != nil {
			return err
		}
		for range blobSize / len(line) {
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "M 100644 inline %sfile\ndata 0\n", strings.Repeat("d/", levels))
	return err
}

// backup takes one, and throws it away.
func (s *soak) backup(ctx context.Context, n int) {
	file := filepath.Join(s.b.stores, fmt.Sprintf("backup-%d.db", n))
	out, err := exec.CommandContext(ctx, s.binary, "backup", "--config", s.config, file).CombinedOutput()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.problemOf(fmt.Errorf("backup: %w: %s", err, out))
		return
	}
	s.problemOf(os.Remove(file))
	s.note(func() { s.figures.backups++ })
}

var tagLine = regexp.MustCompile(`(?m)^ +tag: "?([^"\s]+)`)

// tags are what the branch has for each place that was updated.
func (s *soak) tags() map[ledger.Place]string {
	tags := make(map[ledger.Place]string)
	for _, e := range s.entries {
		place := ledger.Place{App: e.App, Environment: e.Environment}
		if _, known := tags[place]; known {
			continue
		}
		tag, err := s.tag("main", e.App, e.Environment)
		s.must(err)
		tags[place] = tag
	}
	return tags
}

// tag is what a file says at a revision.
func (s *soak) tag(revision, app, environment string) (string, error) {
	text, err := s.repository.Git("show", revision+":"+gitserver.ValuesFile(app, environment))
	found := tagLine.FindStringSubmatch(text)
	if err != nil || found == nil {
		return "", errors.Join(err, fmt.Errorf("%s in %s has no tag", app, environment))
	}
	return found[1], nil
}
