//go:build unix

package registrytest

import (
	"bufio"
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
	"testing"
)

// Distribution is the registry that Debian packages as docker-registry: distribution 2.8,
// of which much is still in use.
type Distribution struct {
	Pusher
	host string
}

// StartDistribution starts one on the loopback interface, which ends with the test. Where it
// is not installed the test is skipped, and fails in CI.
func StartDistribution(tb testing.TB) *Distribution {
	tb.Helper()
	binary, err := exec.LookPath("docker-registry")
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		tb.Skipf("DEBIAN'S REGISTRY IS NOT TESTED: %v; `make test-deps` installs it", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	config := filepath.Join(tb.TempDir(), "config.yml")
	text := "version: 0.1\nlog: {accesslog: {disabled: true}}\nstorage: {inmemory: {}}\nhttp: {addr: '127.0.0.1:0'}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, binary, "serve", config)
	stderr, err := command.StderrPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		tb.Fatal(err)
	}
	host, said := awaitHost(stderr)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, stderr) // it must never wait for a reader
	}()
	tb.Cleanup(func() {
		cancel()
		<-drained
		_ = command.Wait() // it is killed
	})
	if host == "" {
		tb.Fatalf("the registry did not start: %s", said)
	}
	d := &Distribution{host: host}
	d.Pusher = Pusher{send: d.roundTrip}
	return d
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// awaitHost reads until the registry says where it listens.
func awaitHost(stderr io.Reader) (host, said string) {
	var all []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		all = append(all, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			return m[1], ""
		}
	}
	return "", strings.Join(all, "\n")
}

// Host is the registry's as image names have it.
func (d *Distribution) Host() string { return d.host }

func (d *Distribution) roundTrip(r *http.Request) *http.Response {
	r.RequestURI, r.URL.Host, r.Host = "", d.host, d.host
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(fmt.Sprintf("registrytest: %v", err))
	}
	return response
}
