package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A principal has its share, all have no more than there are, and what ends makes room.
func TestStreamsAreShared(t *testing.T) {
	var s streams
	var ends []func()
	for n := range MaxStreams {
		done, err := s.take(fmt.Sprintf("token:%d", n/maxStreamsEach))
		if err != nil {
			t.Fatalf("stream %d: %v", n, err)
		}
		ends = append(ends, done)
	}
	refused := func(principal, want string) {
		t.Helper()
		if _, err := s.take(principal); gitops.CodeOf(err) != gitops.RateLimited || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", principal, err)
		}
	}
	refused("token:0", "token:0 has 20 streams open")
	refused("token:9", "100 streams are open")
	ends[0]()
	refused("token:1", "token:1 has 20 streams open")
	done, err := s.take("token:9")
	if err != nil {
		t.Fatal(err)
	}
	refused("token:0", "100 streams are open")
	for _, end := range append(ends[1:], done) {
		end()
	}
	if s.open != 0 || len(s.of) != 0 {
		t.Errorf("%d are open, %v", s.open, s.of)
	}
}

// The APIs that a process has one after the other have what there may be together, and the
// newest says how much that is.
func TestAdmissionIsOneForAllAPIs(t *testing.T) {
	before := New(Config{Admission: NewAdmission(), Memory: Memory{Answers: 2}})
	now := New(Config{Admission: before.Admission, Memory: Memory{Answers: 4}})
	for range maxStreamsEach {
		if _, err := before.streams.take("token:x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := now.streams.take("token:x"); gitops.CodeOf(err) != gitops.RateLimited {
		t.Errorf("one more stream is taken after a reload: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	for n, api := range []*API{before, before, now} {
		if _, err := api.turns.take(gone, "token:x"); (err == nil) != (n < 2) {
			t.Errorf("answer %d: %v", n, err)
		}
	}
	if _, err := now.turns.take(gone, "token:y"); err != nil {
		t.Errorf("another's answer: %v", err)
	}
}
