package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// check holds the branch to the promise: every accepted update is exactly one
// commit of one line, in acceptance order within its environment, and people's
// commits are as they pushed them.
func (f *traffic) check(persons []string) {
	f.t.Helper()
	f.must(f.repository.Fsck())
	commits, err := f.repository.Log("main", f.first)
	f.must(err)
	byUpdate := make(map[string]*delivery)
	for _, d := range f.deliveries {
		byUpdate[d.update] = d
	}
	if len(byUpdate) != len(f.deliveries) {
		f.t.Errorf("%d deliveries became %d updates", len(f.deliveries), len(byUpdate))
	}
	diffs := f.diffs()
	landed := make(map[string]bool)
	newest := make(map[string]time.Time) // sending time, by environment
	var people []string
	for _, c := range commits {
		if len(c.Updates) == 0 {
			people = append(people, c.Subject)
			continue
		}
		d := byUpdate[c.Updates[0]]
		if d == nil || len(c.Updates) != 1 || landed[d.update] {
			f.t.Fatalf("commit %s is of no update, or of one that had landed: %v", c.Hash, c.Updates)
		}
		landed[d.update] = true
		f.checkCommit(c, d, diffs[c.Hash])
		if d.answered.Before(newest[d.Environment[0]]) {
			f.t.Errorf("%s was answered before another was sent that is before it on the branch", d.id)
		}
		if d.sent.After(newest[d.Environment[0]]) {
			newest[d.Environment[0]] = d.sent
		}
	}
	for _, d := range f.deliveries {
		if !landed[d.update] {
			f.t.Errorf("%s was answered 2xx and is lost", d.id)
		}
	}
	if fmt.Sprint(people) != fmt.Sprint(persons) {
		f.t.Errorf("people's commits are %q, they pushed %q", people, persons)
	}
	f.t.Logf("%d updates, %d commits by a person, %d pushes", len(landed), len(people), f.git.Counts().Requests[gitserver.Push])
}

// diffs are what the commits change, by hash.
func (f *traffic) diffs() map[string]string {
	f.t.Helper()
	out, err := f.repository.Git("log", "--format=%x00%H", "--patch", "--unified=0", "main", "^"+f.first)
	f.must(err)
	diffs := make(map[string]string)
	for _, text := range strings.Split(out, "\x00")[1:] {
		hash, diff, _ := strings.Cut(text, "\n")
		diffs[hash] = diff
	}
	return diffs
}

// checkCommit holds a commit to saying what it does, and to changing one line of
// one file.
func (f *traffic) checkCommit(c gitserver.Commit, d *delivery, diff string) {
	f.t.Helper()
	if want := fmt.Sprintf("chore: bump %s to %s (%s)", d.App[0], d.Tag, d.Environment[0]); c.Subject != want {
		f.t.Errorf("commit %s says %q, not %q", c.Hash, c.Subject, want)
	}
	file := fmt.Sprintf("charts/%s/values-%s.yaml", d.App[0], d.Environment[0])
	expect(f.t, "the diff", diff, "--- a/"+file+"\n+++ b/"+file+"\n", "\n-    tag: main-", "\n+    tag: "+d.Tag+"  # by tallyman")
	if n := strings.Count(diff, "\n"); strings.Count(diff, "diff --git") != 1 || strings.Count(diff, "\n@@ ") != 1 || n > 8 {
		f.t.Errorf("commit %s changes more than a line:\n%s", c.Hash, diff)
	}
}

func TestNothingIsLostAndNothingDoubled(t *testing.T) {
	newTraffic(t, 500).run(func() {})
}

// The server is killed five times: in the middle of traffic, before a push
// reaches the git server, and after git took one but before the answer came back.
func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	f := newTraffic(t, 500)
	f.run(func() {
		for i := range 5 {
			for range 40 + rand.IntN(40) {
				<-f.answers
			}
			f.killAt(i)
			f.begin()
		}
	})
}

// killAt kills the server, each time at another kind of moment.
func (f *traffic) killAt(i int) {
	now, killed := make(chan struct{}), make(chan struct{})
	die := func() { close(now) }
	switch i % 3 {
	case 0:
		die()
	case 1: // before git sees the push, which it never does
		f.git.Inject(gitserver.Fault{On: gitserver.Push, Before: die, Wait: killed, Cut: true})
	case 2: // after git took it; its client is gone when it answers
		f.git.Inject(gitserver.Fault{On: gitserver.Push, Replace: func(answer []byte) []byte { die(); <-killed; return answer }})
	}
	select {
	case <-now:
	case <-f.ctx.Done():
		f.t.Error("nothing was pushed any more")
	}
	f.must(f.down().kill())
	close(killed)
}

// SIGTERM and SIGINT in the middle of traffic: exit status 0, and what was
// answered is on the branch after the next start.
func TestNothingIsLostWhenTheServerIsStopped(t *testing.T) {
	f := newTraffic(t, 200)
	f.run(func() {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			for range 50 {
				<-f.answers
			}
			c := f.down()
			f.must(c.cmd.Process.Signal(signal))
			if err := c.cmd.Wait(); err != nil {
				f.t.Errorf("%s: %v", signal, err)
			}
			f.begin()
		}
	})
}
