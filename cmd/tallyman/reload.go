package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

// watchEvery is how often the configuration file is looked at. A change counts when the
// file stays the same from one look to the next.
const watchEvery = time.Second

// reloads says when the configuration file is to be read again: at SIGHUP, and when it
// changed.
type reloads struct {
	file    string
	hangups chan os.Signal
	watcher *config.Watcher
}

// newReloads begins to listen: what comes from now on is not missed. The file is read
// after this.
func newReloads(file string) *reloads {
	r := &reloads{file: file, hangups: make(chan os.Signal, 1), watcher: config.NewWatcher(file)}
	signal.Notify(r.hangups, syscall.SIGHUP)
	return r
}

// until reloads a server's configuration until ctx ends or the server fails, and returns
// that failure.
func (r *reloads) until(ctx context.Context, s *server.Server) (failure error) {
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	defer watched.Wait()
	defer stop()
	changed := make(chan struct{}, 1)
	watched.Go(func() {
		r.watcher.Run(watching, watchEvery, func() {
			select {
			case changed <- struct{}{}:
			default: // the next reload reads the newest anyway
			}
		})
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case failure = <-s.Failed():
			return failure
		case <-r.hangups:
		case <-changed:
		}
		_ = s.ReloadFile(r.file) // it has logged and counted an error, and goes on as before
	}
}
