package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// delivery is one signed dispatch and what its sender knows of it.
type delivery struct {
	dispatch
	id       string
	update   string    // as answered
	sent     time.Time // first
	answered time.Time // with 2xx
}

// traffic is many deliveries on their way to one site.
type traffic struct {
	*site
	ctx        context.Context
	deliveries []*delivery
	answers    chan struct{} // one for each delivery that was answered
	notes      chan struct{} // one for each commit that a person pushed; nil when there is none
	pace       time.Duration // between two deliveries, when they are not sent as fast as they can be
	where      func() (base string, err error)

	mu    sync.Mutex
	up    chan struct{} // closed while the server can be reached
	base  string
	admin string
	child *child
}

func newTraffic(t *testing.T, n int) *traffic {
	f := &traffic{site: newSite(t, 7), ctx: deadline(t), answers: make(chan struct{}, n), notes: make(chan struct{}), up: make(chan struct{})}
	f.where = f.address
	environments := []string{"dev", "staging", "prod"}
	for i := range n {
		f.deliveries = append(f.deliveries, &delivery{
			id: fmt.Sprintf("delivery-%03d", i),
			dispatch: dispatch{
				App: []string{fmt.Sprintf("app-%02d", rand.IntN(7))}, Environment: environments[i%3 : i%3+1],
				Tag: fmt.Sprintf("main-%07x", i+1), eventType: "update-image", actor: "ann", repositoryID: 1,
			},
		})
	}
	return f
}

// begin starts the server, or starts it again.
func (f *traffic) begin() {
	f.t.Helper()
	c, base, admin := f.start(f.ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.child, f.base, f.admin = c, base, admin
	close(f.up)
}

// down says that the server is about to go; senders wait for the next begin.
func (f *traffic) down() *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = make(chan struct{})
	return f.child
}

// address waits until there is a server to send to.
func (f *traffic) address() (string, error) {
	f.mu.Lock()
	up := f.up
	f.mu.Unlock()
	select {
	case <-up:
	case <-f.ctx.Done():
		return "", f.ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base, nil
}

// sendAll sends every delivery over so many connections, each again and again
// until it is answered: the senders are patient, the server may go. After every
// 25 it waits for a commit by a person, so that the two do meet.
func (f *traffic) sendAll(connections int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	work := make(chan *delivery)
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			for d := range work {
				if err := f.send(client, d); err != nil {
					f.t.Errorf("%s: %v", d.id, err)
				}
				f.answers <- struct{}{}
			}
		})
	}
	for i, d := range f.deliveries {
		if i%25 == 24 && f.notes != nil {
			select {
			case <-f.notes:
			case <-f.ctx.Done():
			}
		}
		if f.pace > 0 {
			time.Sleep(f.pace) // by the clock, as the kills under it: the load must outlast them
		}
		work <- d
	}
	close(work)
	senders.Wait()
}

func (f *traffic) send(client *http.Client, d *delivery) error {
	d.sent = time.Now()
	for {
		base, err := f.where()
		if err != nil {
			return err
		}
		req, err := d.request(base, f.secret, d.id)
		if err != nil {
			return err
		}
		resp, err := client.Do(req.WithContext(f.ctx))
		if err != nil {
			f.elsewhere()
			continue // killed: the same delivery goes to the next one
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode == http.StatusServiceUnavailable {
			f.elsewhere()
			continue
		}
		d.answered = time.Now()
		var answer gitops.Delivery
		if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode/100 != 2 || len(answer.Updates) != 1 {
			return fmt.Errorf("answered %s: %s", resp.Status, body)
		}
		d.update = answer.Updates[0].ID
		return nil
	}
}

// elsewhere pauses a sender before it tries again. It is by the clock: nothing tells when another
// process answers again, and senders without a pause would starve what restarts.
func (f *traffic) elsewhere() {
	if f.pace > 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

// drained waits until nothing is pending any more. Every end of an update makes a
// log line, so after the last one the gauges are at zero.
func (f *traffic) drained() {
	f.t.Helper()
	for f.pending(f.admin) > 0 {
		f.must(f.child.await(f.ctx, func(line map[string]any) bool { _, ended := stateIn(line); return ended }))
	}
}

// pending is how many updates wait, by a server's metrics.
func (f *traffic) pending(admin string) (n float64) {
	f.t.Helper()
	resp, err := http.Get(admin + "/metrics")
	f.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	f.must(err)
	for _, line := range strings.Split(string(body), "\n") {
		var value float64
		if name, text, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "tallyman_pending_updates{") {
			if _, err := fmt.Sscan(text, &value); err != nil {
				f.t.Fatal(err)
			}
			n += value
		}
	}
	return n
}

// person clones the repository as people do and pushes commits until done is
// closed, and returns their subjects.
func (f *traffic) person(done <-chan struct{}) (subjects []string) {
	clone := filepath.Join(f.dir, "clone")
	origin := strings.Replace(f.repository.URL, "http://", "http://ann:s3cret-of-git@", 1)
	git := func(args ...string) error {
		cmd := exec.CommandContext(f.ctx, "git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
		if args[0] != "clone" {
			cmd.Dir = clone
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := git("clone", "--quiet", origin, clone); err != nil {
		f.t.Error(err)
		return nil
	}
	for i := 1; ; i++ {
		select {
		case <-done:
			return subjects
		default:
		}
		subject := fmt.Sprintf("docs: note %d by a person", i)
		err := os.WriteFile(filepath.Join(clone, "NOTES.md"), []byte(subject+"\n"), 0o600)
		if err == nil {
			err = git("add", "NOTES.md")
		}
		if err == nil {
			err = git("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "--quiet", "-m", subject)
		}
		for err == nil && git("push", "--quiet") != nil { // somebody was faster
			err = git("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "pull", "--quiet", "--rebase")
		}
		if err != nil {
			f.t.Error(err)
			return subjects
		}
		subjects = append(subjects, subject)
		select {
		case f.notes <- struct{}{}:
		default:
		}
	}
}

// run sends everything while a person pushes and events happens, and checks the
// branch.
func (f *traffic) run(events func()) {
	f.begin()
	done := make(chan struct{})
	var persons []string
	var others sync.WaitGroup
	others.Go(func() { persons = f.person(done) })
	others.Go(events)
	f.sendAll(32)
	close(done)
	others.Wait()
	f.drained()
	f.must(f.down().stop())
	f.check(persons)
}
