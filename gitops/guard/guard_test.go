package guard_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

const (
	budget = 64 << 20
	large  = 16 << 20 // the cost of a file that is noted
)

func fileAt(path, object string) gitops.ParsedObject {
	return gitops.ParsedObject{Object: object, Kind: gitops.ParsedFile, Path: path}
}

// process is a guard on a store that outlives it.
func process(t *testing.T, s guard.Store, holder string) *guard.Guard {
	t.Helper()
	g := guard.New(budget, slog.New(slog.DiscardHandler))
	if err := g.Use(t.Context(), s, holder); err != nil {
		t.Fatal(err)
	}
	return g
}

func enter(t *testing.T, g *guard.Guard, o gitops.ParsedObject, cost int64) func() {
	t.Helper()
	leave, err := g.Enter(t.Context(), o, cost, true)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func deaths(t *testing.T, m *queuetest.Model) map[string]int {
	t.Helper()
	suspects, err := m.Suspects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, s := range suspects {
		found[s.Object] = s.Deaths
	}
	return found
}

// The process dies twice while it parses a file: it is not parsed any more, until the
// branch has another file there.
func TestSetAsideAfterTwoDeaths(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	bad := fileAt("a.yaml", "1111")
	enter(t, process(t, m, "one"), bad, large)
	m.KillHolder("one")
	enter(t, process(t, m, "two"), bad, large)
	m.KillHolder("two")

	g := process(t, m, "three")
	_, err := g.Enter(t.Context(), bad, large, true)
	if gitops.CodeOf(err) != gitops.Rejected {
		t.Fatalf("it is parsed a third time: %v", err)
	}
	for _, part := range []string{"a.yaml", "1111", "tallyman clear 1111", "2 times"} {
		if !strings.Contains(gitops.PublicOf(err), part) {
			t.Errorf("%q does not say %q", gitops.PublicOf(err), part)
		}
	}
	enter(t, g, fileAt("b.yaml", "2222"), large)()
	enter(t, g, fileAt("a.yaml", "3333"), 100)()
	g.Close()
	if left := deaths(t, m); len(left) > 0 {
		t.Errorf("the branch has another file, and suspect are %v", left)
	}
}

// What a process ends in order is no death, and neither is what another replica parses.
func TestACleanStopIsNoDeath(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	g, other := process(t, m, "one"), process(t, m, "two")
	leave := enter(t, g, fileAt("a.yaml", "1111"), large)
	enter(t, other, fileAt("a.yaml", "1111"), large)()
	leave()
	enter(t, g, fileAt("b.yaml", "2222"), 100) // small: not noted, and so never suspect
	g.Close()
	other.Close()
	m.KillHolder("one")
	m.KillHolder("two")
	if left := deaths(t, m); len(left) > 0 {
		t.Errorf("suspect are %v", left)
	}
}

// What this process made of what it parsed needs no note; what it did not see does.
func TestOwnEditsAreKnown(t *testing.T) {
	m := queuetest.NewModel(time.Now, queuetest.Hooks{})
	g := process(t, m, "one")
	enter(t, g, fileAt("a.yaml", "1111"), large)()
	g.Know("2222", "1111")
	g.Know("4444", "3333")
	enter(t, g, fileAt("a.yaml", "2222"), large)
	enter(t, g, fileAt("c.yaml", "4444"), large)
	m.KillHolder("one")
	if left := deaths(t, m); left["2222"] != 0 || left["4444"] != 1 {
		t.Errorf("suspect are %v, want 4444 alone", left)
	}
}

// Several are parsed when the process dies. Each is parsed with nothing beside it, and
// cleared before the next begins; the one that kills again is set aside.
func TestSeveralSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queuetest.NewModel(time.Now, queuetest.Hooks{})
		good, bad := fileAt("good.yaml", "1111"), fileAt("bad.yaml", "2222")
		first := process(t, m, "one")
		enter(t, first, good, large)
		enter(t, first, bad, large)
		m.KillHolder("one")

		g := process(t, m, "two")
		small := enter(t, g, fileAt("small.yaml", "3333"), 100)
		if leave, err := g.Enter(t.Context(), good, large, false); leave != nil || err != nil {
			t.Fatalf("a suspect is parsed beside another file: %v", err)
		}
		alone := make(chan func())
		go func() { alone <- enter(t, g, good, large) }()
		synctest.Wait()
		select {
		case <-alone:
			t.Fatal("a suspect is parsed beside another file")
		default:
		}
		small()
		leave := <-alone
		if leave, err := g.Enter(t.Context(), fileAt("small.yaml", "3333"), 100, false); leave != nil || err != nil {
			t.Fatal("a file is parsed beside a suspect")
		}
		leave()
		if left := deaths(t, m); left["1111"] != 0 || left["2222"] != 1 {
			t.Fatalf("suspect are %v", left)
		}
		enter(t, g, bad, large)
		m.KillHolder("two")
		if left := deaths(t, m); left["2222"] != 2 || len(left) != 1 {
			t.Errorf("suspect are %v", left)
		}
	})
}

// No more is parsed at a time than there is memory for; who gives up waiting is let go.
func TestMemoryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(budget, slog.New(slog.DiscardHandler))
		held := enter(t, g, fileAt("a.yaml", "1"), budget/2)
		more := enter(t, g, fileAt("b.yaml", "2"), budget/2)
		if leave, err := g.Enter(t.Context(), fileAt("c.yaml", "3"), 1, false); leave != nil || err != nil {
			t.Fatal("more is parsed than fits")
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := g.Enter(ctx, fileAt("c.yaml", "3"), 1, true)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("who gave up waiting is told %v", err)
		}
		held()
		held() // leaving twice gives nothing back twice
		more()
		enter(t, g, fileAt("d.yaml", "4"), 100*budget)() // more than there is takes all
		enter(t, g, fileAt("d.yaml", "4"), budget)()
	})
}

// What the git server sends of the tip is tried again alone after ten minutes, then after
// twice as long, and is no suspect any more once that goes well.
func TestAFetchIsTriedAgainByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queuetest.NewModel(time.Now, queuetest.Hooks{})
		tip := gitops.ParsedObject{Object: "1111", Kind: gitops.ParsedPack, Path: "main"}
		die := func(holder string) {
			t.Helper()
			enter(t, process(t, m, holder), tip, 0)
			m.KillHolder(holder)
		}
		refused := func(holder, until string) {
			t.Helper()
			_, err := process(t, m, holder).Enter(t.Context(), tip, 0, true)
			if gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(gitops.PublicOf(err), until) {
				t.Fatalf("it is parsed, or is not said to be tried again at %s: %v", until, err)
			}
		}
		began := time.Now().UTC()
		die("one")
		die("two")
		time.Sleep(10*time.Minute - time.Second)
		refused("three", began.Add(10*time.Minute).Format(time.RFC3339))
		time.Sleep(time.Second)
		die("three")
		time.Sleep(20*time.Minute - time.Second)
		refused("four", began.Add(30*time.Minute).Format(time.RFC3339))
		time.Sleep(time.Second)

		g := process(t, m, "four")
		other := enter(t, g, fileAt("a.yaml", "2222"), 100)
		if leave, err := g.Enter(t.Context(), tip, 0, false); leave != nil || err != nil {
			t.Fatalf("it is parsed beside something else: %v", err)
		}
		other()
		enter(t, g, tip, 0)()
		if left := deaths(t, m); len(left) > 0 {
			t.Errorf("suspect are %v", left)
		}
	})
}

// However often a fetch has ended the process, it is tried again once a day; a file never.
func TestWhenWhatIsSetAsideIsTriedAgain(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		kind   gitops.ParsedKind
		deaths int
		want   time.Time
	}{
		{gitops.ParsedPack, 1, time.Time{}},
		{gitops.ParsedPack, 2, at.Add(10 * time.Minute)},
		{gitops.ParsedPack, 4, at.Add(40 * time.Minute)},
		{gitops.ParsedPack, 1_000_000, at.Add(24 * time.Hour)},
		{gitops.ParsedFile, 2, time.Time{}},
		{gitops.ParsedPast, 9, time.Time{}},
	} {
		s := gitops.Suspect{ParsedObject: gitops.ParsedObject{Kind: c.kind}, Deaths: c.deaths, At: at}
		if got := s.RetryAt(); !got.Equal(c.want) {
			t.Errorf("a %s of %d deaths is tried again at %s, want %s", c.kind, c.deaths, got, c.want)
		}
	}
}

// failing is a store that does not answer.
type failing struct {
	*queuetest.Model
	begin, end bool // which of the calls fail
}

var errAway = gitops.Errorf(gitops.Unavailable, "the store is away")

func (f *failing) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) ([]gitops.Suspect, error) {
	if f.begin {
		return nil, errAway
	}
	return f.Model.BeginParsing(ctx, holder, objects, deaths)
}

func (f *failing) EndParsing(ctx context.Context, holder string, objects []string) error {
	if f.end {
		return errAway
	}
	return f.Model.EndParsing(ctx, holder, objects)
}

// Nothing is parsed without its note, and a note that stays goes with the next.
func TestStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Model: queuetest.NewModel(time.Now, queuetest.Hooks{}), begin: true}
		g := process(t, s, "one")
		if _, err := g.Enter(t.Context(), fileAt("a.yaml", "1111"), large, true); !errors.Is(err, errAway) {
			t.Fatalf("it is parsed without a note: %v", err)
		}
		enter(t, g, fileAt("b.yaml", "2222"), 100)() // a small file needs no note
		s.begin, s.end = false, true
		enter(t, g, fileAt("a.yaml", "1111"), large)()
		synctest.Wait()
		s.end = false
		enter(t, g, fileAt("c.yaml", "3333"), large)()
		g.Close()
		s.KillHolder("one")
		if left := deaths(t, s.Model); len(left) > 0 {
			t.Errorf("suspect are %v", left)
		}
	})
}
