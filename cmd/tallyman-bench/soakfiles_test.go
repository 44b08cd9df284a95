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
	fileEnvironment = "staging" // the token's
	filesKept       = 4         // hostile files that are on the branch together
	blobs           = 6
	blobSize        = 128 << 20 // of text that takes 130 KB in git
	levels          = 1_000     // of directories
)

// commitFiles replaces one app's file after the other by a hostile one, and has it
// updated.
func (s *soak) commitFiles(ctx context.Context) {
	files, first := attack.Files(), shapes[s.load.size].Apps-1
	total := len(files) * len(fileSizes)
	pause := max(200*time.Millisecond, s.load.length*8/10/time.Duration(total))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: attack.Dialer(validFrom).DialContext, DisableKeepAlives: true}}
	s.each(ctx, 1, pause, func(_, n int) {
		if n >= total {
			return
		}
		if n == total/2 {
			s.problemOf(s.commitBlobs(ctx))
		}
		app := gitserver.App(first - n)
		file := gitserver.ValuesFile(app, fileEnvironment)
		changes := map[string]string{file: files[n%len(files)].Text(fileSizes[n/len(files)])}
		if healed := gitserver.App(first - n + filesKept); n >= filesKept {
			changes[gitserver.ValuesFile(healed, fileEnvironment)] = gitserver.Values(healed, fileEnvironment, "main-0000000")
		}
		s.problemOf(s.commit(ctx, "Replace "+file, func(string) (map[string]string, error) { return changes, nil }))
		s.update(context.WithoutCancel(ctx), client, ways[3], app, 1<<24+n, file)
		s.note(func() { s.figures.files++ })
	})
}

// otherWriter commits beside tallyman, now and then to a file that tallyman writes, too.
func (s *soak) otherWriter(ctx context.Context) {
	s.each(ctx, 1, notePause, func(_, n int) {
		file := gitserver.ValuesFile(gitserver.App(n%s.load.apps), ways[0].environment)
		s.problemOf(s.commit(ctx, "Scale", func(tip string) (map[string]string, error) {
			if n%5 > 0 {
				return map[string]string{"NOTES.md": fmt.Sprintln("Note", n)}, nil
			}
			text, err := s.repository.Git("show", tip+":"+file)
			return map[string]string{file: regexp.MustCompile(`replicaCount: \d+`).ReplaceAllString(text, fmt.Sprint("replicaCount: ", n)) + "\n"}, err
		}))
		s.note(func() { s.figures.others++ })
	})
}

// commit makes a commit as another writer, who has it lie on the branch's tip or nowhere.
func (s *soak) commit(ctx context.Context, message string, change func(tip string) (map[string]string, error)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for ctx.Err() == nil {
		tip, err := s.repository.Git("rev-parse", "main")
		if err != nil {
			return err
		}
		files, err := change(tip)
		if err != nil {
			return err
		}
		made, err := s.repository.Commit(gitserver.Change{Branch: "somebodys", From: tip, Message: message, Files: files})
		if err != nil {
			return err
		}
		if s.moved(made, tip) {
			return nil
		}
	}
	return nil
}

// moved moves the branch from tip to a commit, unless somebody else was faster.
func (s *soak) moved(to, tip string) bool {
	_, err := s.repository.Git("update-ref", "refs/heads/main", to, tip)
	if err == nil {
		_, err := s.repository.Git("update-ref", "-d", "refs/heads/somebodys", to)
		s.problemOf(err)
	}
	return err == nil
}

// commitBlobs commits files that no app has anything to do with, which are larger together
// than the memory there is, and one below very many directories.
func (s *soak) commitBlobs(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for ctx.Err() == nil {
		tip, err := s.repository.Git("rev-parse", "main")
		if err != nil {
			return err
		}
		stream, w := io.Pipe()
		go func() {
			_, err := fmt.Fprintf(w, "commit refs/heads/somebodys\ncommitter A Person <person@example.com> %d +0000\ndata 5\nBlobs\nfrom %s\n", time.Now().Unix(), tip)
			line := strings.Repeat("x", 1<<20-1) + "\n"
			for n := range blobs {
				_, more := fmt.Fprintf(w, "M 100644 inline blobs/%d.txt\ndata %d\n", n, blobSize)
				err = errors.Join(err, more)
				for range blobSize / len(line) {
					if err == nil {
						_, err = io.WriteString(w, line)
					}
				}
			}
			_, more := fmt.Fprintf(w, "M 100644 inline %sfile\ndata 0\n", strings.Repeat("d/", levels))
			w.CloseWithError(errors.Join(err, more))
		}()
		if err := s.repository.Import(stream); err != nil {
			return err
		}
		made, err := s.repository.Git("rev-parse", "somebodys")
		if err != nil || s.moved(made, tip) {
			return err
		}
	}
	return nil
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
		text, err := s.repository.Git("show", "main:"+gitserver.ValuesFile(e.App, e.Environment))
		s.must(err)
		if found := tagLine.FindStringSubmatch(text); found != nil {
			tags[place] = found[1]
		}
	}
	return tags
}
