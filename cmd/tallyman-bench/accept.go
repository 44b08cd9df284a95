package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// acceptable is more deliveries than a second can take, on machines as they are.
const acceptable = 20_000

// realBody is about what GitHub sends: it tells everything about the repository,
// the sender and the organisation.
const realBody = 8_000

// measureAccepting finds how many deliveries a second are made durable and
// answered 202. The lanes do not compete for the processors when origin is down;
// at the end it is up, and they do.
func (b *bench) measureAccepting(ctx context.Context, size string) error {
	if len(b.options.accept) == 0 {
		return nil
	}
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	most := b.options.accept[len(b.options.accept)-1]
	var tries []acceptTry
	for _, connections := range b.options.accept {
		tries = append(tries, acceptTry{connections: connections, body: b.options.body})
	}
	tries = append(tries,
		acceptTry{connections: most, body: max(realBody, b.options.body)},
		acceptTry{connections: most, body: b.options.body, up: true})
	if b.options.profile != "" {
		tries = append(tries, acceptTry{connections: most, body: b.options.body, profile: true})
	}
	for _, try := range tries {
		if err := b.acceptRounds(ctx, size, repository, try); err != nil {
			return err
		}
	}
	return nil
}

type acceptTry struct {
	connections, body int
	up                bool // origin is
	profile           bool // it is, and its figures do not count
}

// accept measures a tallyman of the binary with an empty store.
func (b *bench) accept(ctx context.Context, binary, size string, repository *gitserver.Repository, try acceptTry) (found accept, err error) {
	rate, err := fsyncRate(b.stores)
	if err != nil {
		return found, err
	}
	if !try.up {
		b.origin.goDown()
		defer b.origin.comeUp()
	}
	t, err := b.start(ctx, setup{binary: binary, shape: shapes[size], repository: repository})
	if err != nil {
		return found, err
	}
	defer func() {
		err = errors.Join(err, t.kill()) // what is pending stays so; it was never asked to be written
	}()
	source := *b.events
	source.body = try.body
	events := source.next(t.shape, int(acceptable*b.options.acceptTime.Seconds()))
	b.events.made = source.made
	runtime.GC()

	if _, err := volley(ctx, t.public, try.connections, events[:try.connections], time.Minute); err != nil {
		return found, err
	}
	events = events[try.connections:]
	profiled := make(chan error, 1)
	go func() {
		if !try.profile {
			profiled <- nil
			return
		}
		err := b.profile(ctx, t, fmt.Sprintf("profile?seconds=%d", max(1, int(b.options.acceptTime.Seconds()))), "accepting")
		profiled <- errors.Join(err, b.profile(ctx, t, "allocs", "accepting-allocs"))
	}()
	before, err := t.metrics(ctx)
	if err != nil {
		return found, err
	}
	cpu, own, written := t.cpu(), ownCPU(), t.written()
	a, err := volley(ctx, t.public, try.connections, events, b.options.acceptTime)
	if err := errors.Join(err, <-profiled); err != nil {
		return found, err
	}
	cpu, own, written = t.cpu()-cpu, ownCPU()-own, t.written()-written
	after, err := t.metrics(ctx)
	if err != nil {
		return found, err
	}
	commits := after["tallyman_store_commit_seconds_count"] - before["tallyman_store_commit_seconds_count"]
	committing := after["tallyman_store_commit_seconds_sum"] - before["tallyman_store_commit_seconds_sum"]
	rate2, err := fsyncRate(b.stores)
	if err != nil {
		return found, err
	}
	took, n := a.ended.Sub(a.began), float64(len(a.latencies))
	found = accept{
		Connections: try.connections, BodyBytes: bodyOf(events[0]), OriginUp: try.up,
		Deliveries: len(a.latencies), PerSecond: n / took.Seconds(), FsyncsPerSecond: (rate + rate2) / 2,
		P50MS: milliseconds(percentile(a.latencies, 50)), P99MS: milliseconds(percentile(a.latencies, 99)),
		PerCommit: n / commits, CommitMS: 1000 * committing / commits, Committing: committing / took.Seconds(), WrittenKiB: written / 1024 / n,
		CPUPerDeliveryUS: float64(cpu.Microseconds()) / n, GeneratorCPUPerDeliveryUS: float64(own.Microseconds()) / n,
		Processors: (cpu + own).Seconds() / took.Seconds(),
	}
	return found, nil
}

// fsyncRate is how often a second one page can be written to a file in dir and
// made durable, again and again in the same place, as a database does with its
// log.
func fsyncRate(dir string) (float64, error) {
	file, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	const pages = 256
	page := make([]byte, 4096)
	for n := range pages {
		if _, err := file.WriteAt(page, int64(n*len(page))); err != nil {
			return 0, err
		}
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	began, n := time.Now(), 0
	for ; time.Since(began) < 500*time.Millisecond; n++ {
		if _, err := file.WriteAt(page, int64(n%pages*len(page))); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// ownCPU is the processor time that this process has used: generator and git
// server, but not git's own processes.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// bodyOf is the size of a delivery's body.
func bodyOf(e event) int {
	_, body, _ := bytes.Cut(e.request, []byte("\r\n\r\n"))
	return len(body)
}
