package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// child is a tallyman in a process of its own. Its log is read as it is written and
// kept, so that the process never blocks on it, and a line can be waited for.
type child struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []map[string]any // of its log
	other []string         // what it printed that is no log line
	ended bool             // it will print no more
	news  chan struct{}    // closed and replaced when one of the above changes

	seen int // lines that await has looked at; of the goroutine that awaits
}

func startChild(binary string, args ...string) (*child, error) {
	return startCommand(exec.Command(binary, args...))
}

func startCommand(cmd *exec.Cmd) (*child, error) {
	// A pipe of our own: Wait would close exec's before all is read.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	c := &child{cmd: cmd, news: make(chan struct{})}
	go c.read(r)
	return c, nil
}

func (c *child) read(r io.ReadCloser) {
	defer r.Close()
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			c.record(func() { c.other = append(c.other, scanner.Text()) })
			continue
		}
		c.record(func() { c.lines = append(c.lines, line) })
	}
	c.record(func() { c.ended = true })
}

func (c *child) record(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.news)
	c.news = make(chan struct{})
}

// next returns the first line that was not looked at yet, or what to wait for.
func (c *child) next() (line map[string]any, news <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.seen < len(c.lines):
		c.seen++
		return c.lines[c.seen-1], nil, nil
	case c.ended:
		return nil, nil, fmt.Errorf("tallyman ended: %s", strings.Join(c.other, "; "))
	}
	return nil, c.news, nil
}

// await looks at the log, on from where it last stopped, until a line is the one.
func (c *child) await(ctx context.Context, isIt func(line map[string]any) bool) error {
	for {
		line, news, err := c.next()
		switch {
		case err != nil:
			return err
		case line != nil && isIt(line):
			return nil
		case line != nil:
			continue
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitReady waits until it takes deliveries, and returns where, and where its metrics
// are.
func (c *child) awaitReady(ctx context.Context) (public, admin string, err error) {
	err = c.await(ctx, func(line map[string]any) bool {
		public, _ = line["listen"].(string)
		admin, _ = line["admin"].(string)
		return line["msg"] == "ready"
	})
	return "http://" + public, "http://" + admin, err
}

// awaitEnds waits until n more updates are committed or failed.
func (c *child) awaitEnds(ctx context.Context, n int) error {
	return c.await(ctx, func(line map[string]any) bool {
		if line["msg"] == "update committed" || line["msg"] == "update failed" {
			n--
		}
		return n == 0
	})
}

// awaitUpdates waits until n more updates are committed.
func (c *child) awaitUpdates(ctx context.Context, n int) error {
	return c.await(ctx, func(line map[string]any) bool {
		if line["msg"] == "update committed" {
			n--
		}
		return n == 0
	})
}

// stop ends it as an operator would. It must end with exit status 0.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// kill ends it at once, if it still runs.
func (c *child) kill() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = c.cmd.Wait() // it ended by our own kill
	return nil
}
