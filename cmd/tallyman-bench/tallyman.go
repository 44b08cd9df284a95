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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// tallyman is the real one in a process of its own. Its log goes through a pipe,
// as in a container.
type tallyman struct {
	shape         gitserver.Shape
	repository    *gitserver.Repository
	cmd           *exec.Cmd
	public, admin string    // host:port
	began, ready  time.Time // when it was started, and when it took deliveries
	waited        int       // committed updates that somebody has waited for

	mu        sync.Mutex
	committed int           // updates, by its log
	settled   int           // updates, by its log
	problems  []string      // lines of its log that are no information, the last few
	addresses *addresses    // once it is ready
	ended     bool          // its log has
	news      chan struct{} // has a value when one of the above has changed; one waiter at a time
}

type addresses struct {
	Listen string `json:"listen"`
	Admin  string `json:"admin"`
}

const configuration = `listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
manifests:
  url: %[2]s
  credentials: {tokenFile: %[1]s/token}
sources:
  github: {secretFiles: [%[1]s/webhook-secret]}
`

// start starts a tallyman of the binary with an empty store on the repository,
// and waits until it takes deliveries.
func (b *bench) start(ctx context.Context, binary, size string, repository *gitserver.Repository) (*tallyman, error) {
	b.started++
	dir := filepath.Join(b.stores, fmt.Sprint(b.started))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	t := &tallyman{shape: shapes[size], repository: repository, news: make(chan struct{}, 1)}
	config := fmt.Appendf(nil, configuration, dir, repository.URL)
	config = append(config, "environments:\n"...)
	for _, environment := range t.shape.Environments {
		config = fmt.Appendf(config, "  %s: {tags: {match: 'main-[0-9a-f]{7,40}'}}\n", environment)
	}
	config = append(config, "apps:\n"...)
	for n := range t.shape.Apps {
		config = fmt.Appendf(config, "  %s: {}\n", gitserver.App(n))
	}
	for name, content := range map[string][]byte{"token": []byte(token), "webhook-secret": secret, "tallyman.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	t.cmd = exec.Command(binary, "serve", "--config", filepath.Join(dir, "tallyman.yaml"))
	if err := t.run(ctx); err != nil {
		return nil, errors.Join(err, t.kill())
	}
	return t, nil
}

// run starts the process and waits until it is ready.
func (t *tallyman) run(ctx context.Context) error {
	log, write, err := os.Pipe()
	if err != nil {
		return err
	}
	t.cmd.Stderr = write
	t.began = time.Now()
	err = t.cmd.Start()
	write.Close()
	if err != nil {
		log.Close()
		return err
	}
	go t.read(log)
	err = t.await(ctx, func() bool { return t.addresses != nil })
	if err == nil {
		t.public, t.admin = t.addresses.Listen, t.addresses.Admin
	}
	return err
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

func (t *tallyman) note(line []byte) {
	if !bytes.Contains(line, []byte(`"level":"INFO"`)) {
		t.tell(func() { t.problems = append(t.problems[max(0, len(t.problems)-4):], string(line)) })
	}
	switch {
	case bytes.Contains(line, []byte(`"msg":"update"`)):
		t.tell(func() {
			t.settled++
			if bytes.Contains(line, []byte(`"state":"committed"`)) {
				t.committed++
			}
		})
	case bytes.Contains(line, []byte(`"msg":"ready"`)):
		at := time.Now()
		var a addresses
		if json.Unmarshal(line, &a) == nil {
			t.tell(func() { t.addresses, t.ready = &a, at })
		}
	}
}

func (t *tallyman) tell(change func()) {
	t.mu.Lock()
	change()
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// await waits until it is so, which is asked under the lock.
func (t *tallyman) await(ctx context.Context, so func() bool) error {
	timeout := time.NewTimer(2 * time.Minute)
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
		case <-timeout.C:
			return errors.Join(errors.New("waited two minutes for tallyman"), t.complaint())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitCommitted waits until n more updates are on origin and settled.
func (t *tallyman) awaitCommitted(ctx context.Context, n int) error {
	t.waited += n
	if err := t.await(ctx, func() bool { return t.settled >= t.waited }); err != nil {
		return err
	}
	if t.committed != t.settled {
		return errors.Join(errors.New("some updates ended without a commit"), t.complaint())
	}
	return nil
}

// complaint is what its log says that is no information, or nil.
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
	return t.cmd.Wait()
}

// kill ends it at once, if it still runs.
func (t *tallyman) kill() error {
	if t.cmd.Process == nil || t.cmd.ProcessState != nil {
		return nil
	}
	if err := t.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = t.cmd.Wait() // it ended by our own kill
	return nil
}

// metrics returns its metrics; the series of one name are added up.
func (t *tallyman) metrics(ctx context.Context) (map[string]float64, error) {
	body, err := t.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	sums := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		series, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(series, "{")
		var value float64
		if _, err := fmt.Sscan(text, &value); ok && err == nil {
			sums[name] += value
		}
	}
	return sums, nil
}

// get asks the admin listener over a connection that is not kept.
func (t *tallyman) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.admin+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
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
	profile, err := t.get(ctx, "/debug/pprof/"+kind)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.options.profile, name+".pprof"), profile, 0o644)
}
