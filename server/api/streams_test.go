package api

import (
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
