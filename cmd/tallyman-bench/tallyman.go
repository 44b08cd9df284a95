package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tallyman is the real one in a process of its own. Its log goes through a pipe,
// as in a container.
type tallyman struct {
	setup
	config        string // path
	cmd           *exec.Cmd
	public, admin string    // host:port
	began, ready  time.Time // when it was started, and when it took deliveries
	waited        int       // updates whose end was waited for
	reading       sync.WaitGroup

	mu        sync.Mutex
	committed map[string]int       // updates, by environment and by its log
	last      map[string]time.Time // when the last of them was said, by environment
	finished  int                  // updates in any final state, by its log
	apps      int                  // that are discovered
	appsAt    time.Time            // when so many were
	problems  []string             // lines of its log above the level of information, the last few
	addresses *addresses           // once it is ready
	ended     bool                 // its log has
	news      chan struct{}        // has a value when one of the above has changed; one waiter at a time
}

type addresses struct {
	Listen string `json:"listen"`
	Admin  string `json:"admin"`
}

// read reads the log with little effort: it takes from the CPU that is measured.
func (t *tallyman) read(log io.ReadCloser) {
	defer log.Close()
	scanner := bufio.NewScanner(log)
	scanner.Buffer(make([]byte, 64<<10), 1<<20)
	for scanner.Scan() {
		t.note(scanner.Bytes())
	}
	t.tell(func() { t.ended = true })
}

// note takes what is of interest from a line of the log.
func (t *tallyman) note(line []byte) {
	if !bytes.Contains(line, []byte(`"level":"INFO"`)) {
		t.tell(func() { t.problems = append(t.problems[max(0, len(t.problems)-4):], string(line)) })
	}
	_, text, _ := bytes.Cut(line, []byte(`"msg":"`))
	message, _, _ := bytes.Cut(text, []byte(`"`))
	switch string(message) {
	case "update committed":
		at := time.Now()
		_, rest, _ := bytes.Cut(line, []byte(`"environment":"`))
		environment, _, _ := bytes.Cut(rest, []byte(`"`))
		t.tell(func() {
			t.finished++
			t.committed[string(environment)]++
			t.last[string(environment)] = at
		})
	case "update unchanged", "update superseded", "update failed", "update cancelled":
		t.tell(func() { t.finished++ })
	case "apps discovered":
		at := time.Now()
		var found struct {
			Apps int `json:"apps"`
		}
		if json.Unmarshal(line, &found) == nil {
			t.tell(func() { t.apps, t.appsAt = found.Apps, at })
		}
	case "ready":
		at := time.Now()
		var a addresses
		if json.Unmarshal(line, &a) == nil {
			t.tell(func() { t.addresses, t.ready = &a, at })
		}
	}
}

func (t *tallyman) tell(change func()) {
	t.mu.Lock()
	if t.committed == nil {
		t.committed, t.last = make(map[string]int), make(map[string]time.Time)
	}
	change()
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// await waits until it is so, which is asked under the lock.
func (t *tallyman) await(ctx context.Context, so func() bool) error {
	const quiet = 2 * time.Minute
	timeout := time.NewTimer(quiet)
	defer timeout.Stop()
	for {
		t.mu.Lock()
		done, ended := so(), t.ended
		t.mu.Unlock()
		switch {
		case done:
			return nil
		case ended:
			return errors.Join(errors.New("tallyman ended"), t.complaint())
		}
		select {
		case <-t.news:
			timeout.Reset(quiet)
		case <-timeout.C:
			return errors.Join(fmt.Errorf("tallyman logged nothing of interest for %s", quiet), t.complaint())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitCommitted waits until n more updates are on the branch and recorded.
func (t *tallyman) awaitCommitted(ctx context.Context, n int) error {
	t.waited += n
	if err := t.await(ctx, func() bool { return t.finished >= t.waited }); err != nil {
		return err
	}
	t.mu.Lock()
	committed, finished := 0, t.finished
	for _, n := range t.committed {
		committed += n
	}
	t.mu.Unlock()
	if committed != finished {
		return errors.Join(errors.New("some updates ended without a commit"), t.complaint())
	}
	return nil
}

// complaint is what its log says above the level of information, or nil.
func (t *tallyman) complaint() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.problems) == 0 {
		return nil
	}
	return fmt.Errorf("tallyman says: %s", strings.Join(t.problems, "\n"))
}

// stop ends it as an operator would; it must end with status 0.
func (t *tallyman) stop() error {
	if err := t.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := t.cmd.Wait()
	t.reading.Wait()
	return err
}

// kill ends it at once, if it still runs, and returns when its log is read.
func (t *tallyman) kill() error {
	if t.cmd == nil || t.cmd.Process == nil || t.cmd.ProcessState != nil {
		return nil
	}
	if err := t.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = t.cmd.Wait() // it ended by our own kill
	t.reading.Wait()
	return nil
}

// metrics returns its metrics; the series of one name are added up.
func (t *tallyman) metrics(ctx context.Context) (map[string]float64, error) {
	series, err := t.series(ctx)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]float64)
	for name, value := range series {
		name, _, _ = strings.Cut(name, "{")
		sums[name] += value
	}
	return sums, nil
}

// series returns each series of its metrics, by name and labels as they stand there.
func (t *tallyman) series(ctx context.Context) (map[string]float64, error) {
	body, err := t.get(ctx, t.admin, "/metrics")
	if err != nil {
		return nil, err
	}
	series := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil && at > 0 {
			series[line[:at]] = value
		}
	}
	return series, nil
}

// readStatus asks the API how every environment stands, as `tallyman status` does,
// and says how long the whole answer took.
func (t *tallyman) readStatus(ctx context.Context) (body []byte, took time.Duration, err error) {
	began := time.Now()
	body, err = t.get(ctx, t.public, "/api/v1/environments")
	return body, time.Since(began), err
}

// get asks one of its listeners over a connection that is not kept.
func (t *tallyman) get(ctx context.Context, address, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+apiToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return body, err
}

// profile writes one of t's profiles into the directory for them, if there is
// one.
func (b *bench) profile(ctx context.Context, t *tallyman, kind, name string) error {
	if b.options.profile == "" {
		return nil
	}
	profile, err := t.get(ctx, t.admin, "/debug/pprof/"+kind)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.options.profile, name+".pprof"), profile, 0o644)
}
