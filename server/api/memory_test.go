package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
)

// However much one delivery may mean, what is held at once fits what there is, as far as
// one delivery does.
func TestAnswersFitTheirMemory(t *testing.T) {
	const answers, streams = 18 << 20, 7 << 20
	for _, c := range []struct {
		updates, apps int
		want          Memory
	}{
		{1, 3, Memory{Answers: 46, Page: 200, Changes: 35}},
		{4, 8_000, Memory{Answers: 18, Page: 200, Changes: 14}},
		{4, 40_000, Memory{Answers: 4, Page: 200, Changes: 14}},
		{200, 8_000, Memory{Answers: 2, Page: 45, Changes: 1}},
	} {
		got := MemoryFor(answers, streams, c.updates, c.apps)
		if got != c.want {
			t.Errorf("%d updates, %d apps: %+v, want %+v", c.updates, c.apps, got, c.want)
		}
		if held := int64(got.Answers) * max(int64(got.Page*(1+c.updates))*entryBytes, int64(c.apps)*appBytes); held > answers {
			t.Errorf("%d updates, %d apps: %d bytes are held", c.updates, c.apps, held)
		}
	}
}

func TestAnswersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(4)
		take := func(ctx context.Context, principal string) func() {
			t.Helper()
			done, err := turns.take(ctx, principal)
			if err != nil {
				t.Fatalf("%s has no turn: %v", principal, err)
			}
			return done
		}
		refused := func(ctx context.Context, principal string, within time.Duration) {
			t.Helper()
			began := time.Now()
			if _, err := turns.take(ctx, principal); gitops.CodeOf(err) != gitops.Unavailable || time.Since(began) != within {
				t.Errorf("%s is refused after %s: %v", principal, time.Since(began), err)
			}
		}
		a := []func(){take(t.Context(), "a"), take(t.Context(), "a")}
		refused(t.Context(), "a", patience) // half is one's own
		b := take(t.Context(), "b")
		c := take(t.Context(), "c")
		refused(t.Context(), "d", patience)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		refused(gone, "d", 0)
		time.AfterFunc(time.Second, a[0])
		began := time.Now()
		d := take(t.Context(), "d")
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %s", took)
		}
		for _, done := range []func(){a[1], b, c, d} {
			done()
		}
		if turns.taken != 0 || len(turns.of) != 0 {
			t.Errorf("%d are taken, %v", turns.taken, turns.of)
		}
	})
}

// After a reload the answers and the streams of before count as well, and the newest
// configuration says how many answers there may be.
func TestAPIsShareTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared()
		before := New(Config{Memory: Memory{Answers: 4}, Shared: shared})
		for _, principal := range []string{"a", "b"} {
			done, err := before.Shared.turns.take(t.Context(), principal)
			if err != nil {
				t.Fatal(err)
			}
			defer done()
		}
		for n := range maxStreamsEach {
			done, err := before.Shared.streams.take("a")
			if err != nil {
				t.Fatalf("stream %d: %v", n, err)
			}
			defer done()
		}
		now := New(Config{Memory: Memory{Answers: 2}, Shared: shared})
		if _, err := now.Shared.turns.take(t.Context(), "c"); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("a third answer: %v", err)
		}
		if _, err := now.Shared.streams.take("a"); gitops.CodeOf(err) != gitops.RateLimited {
			t.Errorf("one stream too many: %v", err)
		}
	})
}

// An answer's turn lasts until it is written; what waits for others has none meanwhile.
func TestATurnLastsUntilTheAnswerIsWritten(t *testing.T) {
	w := &world{}
	w.authorized.Store(true)
	list, err := access.New(access.Config{
		Rules: []access.Rule{{Who: access.Who{Token: "reader"}, May: []gitops.Right{gitops.RightRead}}}, Tokens: []string{"reader"},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{Access: list, Authenticators: []Authenticator{w}, Logger: slog.New(slog.DiscardHandler)})
	for name, waits := range map[string]bool{"an answer": false, "a stream": true} {
		made, written := 0, 0
		handle := a.allow(gitops.RightRead, func(_ http.ResponseWriter, r *http.Request) (int, any, error) {
			if waits {
				endTurn(r.Context())
			}
			made = a.Shared.turns.taken
			return http.StatusOK, nil, nil
		})
		serve := a.Logged(Route{Method: http.MethodGet, Pattern: "/"}, func(w http.ResponseWriter, r *http.Request) {
			if _, _, err := handle(w, r); err != nil {
				t.Error(err)
			}
			written = a.Shared.turns.taken
		})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer x")
		serve(statusless{httptest.NewRecorder()}, r)
		want := 1
		if waits {
			want = 0
		}
		if made != want || written != want || a.Shared.turns.taken != 0 {
			t.Errorf("%s has %d turns while it is made, %d while it is written, and leaves %d", name, made, written, a.Shared.turns.taken)
		}
	}
}

// A stop, its end and a rollback are answered while all turns are taken, by whoever reads
// slowly.
func TestActsTakeNoTurn(t *testing.T) {
	w := &world{}
	w.authorized.Store(true)
	list, err := access.New(access.Config{Rules: []access.Rule{{Who: access.Who{Token: "reader"}, May: gitops.Rights()}}, Tokens: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{Access: list, Authenticators: []Authenticator{w}, Logger: slog.New(slog.DiscardHandler), Store: &guard{}, Intake: &guard{}, Memory: Memory{Answers: 2}})
	for _, principal := range []string{"token:reader", "token:other"} {
		if _, err := a.Shared.turns.take(t.Context(), principal); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for _, route := range a.Routes() {
		if route.Pattern != "/api/v1/holds" && route.Pattern != "/api/v1/holds/{id}" && route.Pattern != "/api/v1/rollbacks" || route.Method == http.MethodGet {
			continue
		}
		tried++
		r := httptest.NewRequest(route.Method, "/?x=y", nil) // what is refused when it is looked at
		r.Header.Set("Authorization", "Bearer x")
		if _, _, err := route.Handle(httptest.NewRecorder(), r); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s %s: %v", route.Method, route.Pattern, err)
		}
	}
	if tried != 3 {
		t.Errorf("%d acts were tried", tried)
	}
}

type statusless struct{ http.ResponseWriter }

func (statusless) Status() int { return 0 }
