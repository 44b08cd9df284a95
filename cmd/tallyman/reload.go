package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

const (
	// watchEvery is how often the configuration file is looked at. A change counts when
	// the file stays the same from one look to the next.
	watchEvery = time.Second

	// retryEvery is how often a file that was rejected is tried again: what it names may
	// be there by now. In Kubernetes a Secret can reach the pod a minute after the
	// ConfigMap that names it.
	retryEvery = 5 * time.Second
)

// reloads says when the configuration file is to be read again: at SIGHUP, when it
// changed, and while it is rejected.
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
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	var retry time.Time // zero while the file is in force
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case failure = <-s.Failed():
			return failure
		case <-r.hangups:
			err = s.ReloadFile(r.file)
		case now := <-look.C:
			changed := r.watcher.Look()
			due := !retry.IsZero() && !now.Before(retry) && r.watcher.Settled()
			switch {
			case changed:
				err = s.ReloadFile(r.file)
			case due:
				err = s.RetryFile(r.file)
			default:
				continue
			}
		}
		if retry = (time.Time{}); err != nil { // which the log has, and the previous configuration serves on
			retry = time.Now().Add(retryEvery)
		}
	}
}
