package queue_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

func hinted(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWakes(t *testing.T) {
	var w queue.Notifier
	dev := w.Channel("dev")
	if hinted(dev) {
		t.Error("there is a hint before anything happened")
	}
	w.Wake("dev")
	w.Wake("dev")
	w.Wake("prod")
	if !hinted(dev) || hinted(dev) {
		t.Error("two hints are not one")
	}
	if !hinted(w.Channel("prod")) {
		t.Error("a hint is lost when nobody had asked for its channel")
	}
}

// Hints that were missed may have been anybody's: who asks later gets one, too.
func TestWakeAllReachesWhoAsksLater(t *testing.T) {
	var w queue.Notifier
	dev := w.Channel("dev")
	w.WakeAll()
	if !hinted(dev) || hinted(dev) {
		t.Error("an environment with a channel was not told, or twice")
	}
	if prod := w.Channel("prod"); !hinted(prod) || hinted(prod) {
		t.Error("an environment without a channel was not told, or twice")
	}
}
