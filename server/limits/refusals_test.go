package limits

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/budget"
)

// counts is a [Recorder].
type counts struct{ valid, invalid atomic.Int64 }

func (c *counts) OverLimit(_, _ string, valid bool) {
	if valid {
		c.valid.Add(1)
	} else {
		c.invalid.Add(1)
	}
}

var errForged = gitops.Errorf(gitops.Unauthorized, "forged")

// guarded is a route that everybody is refused at, of which the client is over the
// limit.
func guarded(t *testing.T, c *Credential, recorder Recorder) func(credential, body string) int {
	t.Helper()
	l, err := New(Config{RefusedPerMinute: 1, Connections: 1, Shares: budget.Split(budget.Default)})
	if err != nil {
		t.Fatal(err)
	}
	writeProblem := func(w http.ResponseWriter, err error) {
		w.WriteHeader(map[gitops.Code]int{gitops.RateLimited: 429, gitops.Unavailable: 503}[gitops.CodeOf(err)])
	}
	handler := l.Guard("/", c, recorder, writeProblem)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	ask := func(credential, body string) int {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Authorization", credential)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	ask("", "")
	return ask
}

func verifyHeader(_ context.Context, header http.Header, _ []byte) error {
	if header.Get("Authorization") != "valid" {
		return errForged
	}
	return nil
}

func TestOverTheLimit(t *testing.T) {
	overBody := &Credential{Body: 5, Verify: func(_ context.Context, _ http.Header, body []byte) error {
		if string(body) != "valid" {
			return errForged
		}
		return nil
	}}
	unavailable := &Credential{Verify: verifyHeader, Prepare: func(context.Context, http.Header, []byte) error {
		return gitops.Errorf(gitops.Unavailable, "not now")
	}}
	for name, c := range map[string]struct {
		credential       *Credential
		header, body     string
		status           int // 401 is the route's own
		valid, forgeries int64
	}{
		"valid":                     {&Credential{Verify: verifyHeader}, "valid", "", 401, 1, 0},
		"forged":                    {&Credential{Verify: verifyHeader}, "forged", "", 429, 0, 1},
		"nobody has one":            {nil, "valid", "", 429, 0, 1},
		"valid over the body":       {overBody, "", "valid", 401, 1, 0},
		"forged over the body":      {overBody, "", "wrong", 429, 0, 1},
		"over too large a body":     {overBody, "", "valid?", 429, 0, 1},
		"what it needs is not here": {unavailable, "valid", "", 503, 0, 1},
	} {
		var counted counts
		if got := guarded(t, c.credential, &counted)(c.header, c.body); got != c.status {
			t.Errorf("%s: answered %d, want %d", name, got, c.status)
		}
		if counted.valid.Load() != c.valid || counted.invalid.Load() != c.forgeries {
			t.Errorf("%s: %d and %d are counted", name, counted.valid.Load(), counted.invalid.Load())
		}
	}
}

// Credentials are verified so many at a time, each in its turn, and who waits for the
// network waits beside them.
func TestVerifyingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		network := make(chan struct{})
		ask := guarded(t, &Credential{
			Prepare: func(ctx context.Context, header http.Header, _ []byte) error {
				if header.Get("Authorization") == "unknown key" {
					<-network
				}
				return nil
			},
			Verify: func(ctx context.Context, header http.Header, body []byte) error {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Millisecond) // of the fake clock
				now.Add(-1)
				return verifyHeader(ctx, header, body)
			},
		}, new(counts))
		var all sync.WaitGroup
		for _, credential := range []string{"unknown key", "forged"} {
			for range 100 {
				all.Go(func() {
					if got := ask(credential, ""); got != 429 {
						t.Errorf("answered %d", got)
					}
				})
			}
		}
		began := time.Now()
		if got := ask("valid", ""); got != 401 {
			t.Errorf("a valid one is answered %d", got)
		}
		if waited := time.Since(began); waited > 101*time.Millisecond {
			t.Errorf("it waited for %s, longer than for all before it", waited)
		}
		close(network)
		all.Wait()
		if most.Load() > int64(verifiers()) {
			t.Errorf("%d at a time", most.Load())
		}
	})
}

// Who has left is not verified.
func TestWhoHasLeftIsNotVerified(t *testing.T) {
	l, err := New(Config{RefusedPerMinute: 1, Connections: 1, Shares: budget.Split(budget.Default)})
	if err != nil {
		t.Fatal(err)
	}
	for range cap(l.verifiers) {
		l.verifiers <- struct{}{}
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	g := &guard{Limits: l, credential: &Credential{Verify: func(context.Context, http.Header, []byte) error { return errors.New("it is") }}}
	if err := g.verify(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)); gitops.CodeOf(err) != gitops.Unavailable {
		t.Error(err)
	}
}
