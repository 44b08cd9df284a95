package group

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// item is what the tests commit.
type item struct {
	name           string
	updates, bytes int
}

func size(i item) (updates, bytes int) { return i.updates, i.bytes }

// store is what the tests commit to.
type store struct {
	took    time.Duration            // by one commit
	fails   func(items []item) error // nil: nothing does
	commits [][]string               // the names of each that was tried
	durable []string
}

func (s *store) commit(items []item) error {
	var names []string
	for _, i := range items {
		names = append(names, i.name)
	}
	s.commits = append(s.commits, names)
	time.Sleep(s.took)
	if s.fails != nil {
		if err := s.fails(items); err != nil {
			return err
		}
	}
	s.durable = append(s.durable, names...)
	return nil
}

// sizes are the numbers of items of the commits that were tried.
func (s *store) sizes() (n []int) {
	for _, names := range s.commits {
		n = append(n, len(names))
	}
	return n
}

var errDivisible = errors.New("not as a whole")

func config(s *store) Config[item] {
	return Config[item]{
		Commit: s.commit, Divisible: func(err error) bool { return errors.Is(err, errDivisible) },
		Items: 8, Updates: 100, Bytes: 1000, Size: size,
	}
}

// busy starts c's first commit, of an item that is called first; it returns while
// that is under way.
func busy(t *testing.T, c *Committer[item]) {
	t.Helper()
	go func() {
		if err := c.Do(t.Context(), item{name: "first"}); err != nil {
			t.Errorf("first: %v", err)
		}
	}()
	synctest.Wait()
}

// callers brings each item by a goroutine of its own, in their order, and returns
// what waits for their answers.
func callers(ctx context.Context, c *Committer[item], items ...item) (answers func() []error) {
	errs := make([]error, len(items))
	var all sync.WaitGroup
	for i, it := range items {
		all.Go(func() { errs[i] = c.Do(ctx, it) })
		synctest.Wait()
	}
	return func() []error {
		all.Wait()
		return errs
	}
}

func TestWhatWaitsSharesACommit(t *testing.T) {
	for _, test := range []struct {
		name  string
		items []item
		sizes []int
	}{
		{"all", []item{{}, {}, {}}, []int{1, 3}},
		{"as many items", []item{{}, {}, {}, {}, {}, {}, {}, {}, {}}, []int{1, 8, 1}},
		{"as many updates", []item{{updates: 60}, {updates: 40}, {updates: 1}, {updates: 99}}, []int{1, 2, 2}},
		{"as many bytes", []item{{bytes: 600}, {bytes: 400}, {bytes: 1}}, []int{1, 2, 1}},
		{"one that is too large goes alone", []item{{}, {updates: 101}, {bytes: 1001}, {}}, []int{1, 1, 1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{took: time.Second}
				c := Start(config(s))
				busy(t, c)
				for i, err := range callers(t.Context(), c, test.items...)() {
					if err != nil {
						t.Errorf("item %d: %v", i, err)
					}
				}
				c.Stop()
				if !slices.Equal(s.sizes(), test.sizes) {
					t.Errorf("commits of %v items; want %v", s.sizes(), test.sizes)
				}
			})
		})
	}
}

// Upkeep between two groups holds up the next group, and not who was answered.
func TestAnsweredBeforeTheUpkeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: time.Second}
		cfg := config(s)
		cfg.Answered = func() { time.Sleep(time.Minute) }
		c := Start(cfg)
		began := time.Now()
		for _, want := range []time.Duration{time.Second, time.Minute + 2*time.Second} {
			if err := c.Do(t.Context(), item{}); err != nil || time.Since(began) != want {
				t.Errorf("answered after %v (%v); want %v", time.Since(began), err, want)
			}
		}
		c.Stop()
	})
}

// An item that spoils its group fails alone, after a number of transactions that
// rises with the logarithm of the group's size.
func TestOneBadItemFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: time.Second}
		s.fails = func(items []item) error {
			if slices.ContainsFunc(items, func(i item) bool { return i.name == "bad" }) {
				return errDivisible
			}
			return nil
		}
		c := Start(config(s))
		busy(t, c)
		errs := callers(t.Context(), c, item{name: "a"}, item{name: "b"}, item{name: "c"}, item{name: "d"},
			item{name: "e"}, item{name: "bad"}, item{name: "f"}, item{name: "g"})()
		c.Stop()
		for i, err := range errs {
			if bad := i == 5; bad != errors.Is(err, errDivisible) || !bad && err != nil {
				t.Errorf("item %d: %v", i, err)
			}
		}
		if want := []string{"first", "a", "b", "c", "d", "e", "f", "g"}; !slices.Equal(s.durable, want) {
			t.Errorf("durable are %v; want %v", s.durable, want)
		}
		if want := []int{1, 8, 4, 4, 2, 1, 1, 2}; !slices.Equal(s.sizes(), want) {
			t.Errorf("commits of %v items; want %v", s.sizes(), want)
		}
	})
}

// A group that is too large for the store's time becomes durable in parts.
func TestGroupThatTimesOutIsDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{took: time.Second}
		s.fails = func(items []item) error {
			if len(items) > 3 {
				return errDivisible
			}
			return nil
		}
		c := Start(config(s))
		busy(t, c)
		for i, err := range callers(t.Context(), c, make([]item, 8)...)() {
			if err != nil {
				t.Errorf("item %d: %v", i, err)
			}
		}
		c.Stop()
		if want := []int{1, 8, 4, 2, 2, 4, 2, 2}; !slices.Equal(s.sizes(), want) {
			t.Errorf("commits of %v items; want %v", s.sizes(), want)
		}
	})
}

// An outage answers all of the group at once.
func TestOutageIsNotDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := gitops.Errorf(gitops.Unavailable, "the store's disk is full")
		s := &store{took: time.Second}
		s.fails = func(items []item) error {
			if len(items) > 1 {
				return outage
			}
			return nil
		}
		c := Start(config(s))
		busy(t, c)
		for i, err := range callers(t.Context(), c, make([]item, 3)...)() {
			if !errors.Is(err, outage) {
				t.Errorf("item %d: %v", i, err)
			}
		}
		c.Stop()
		if want := []int{1, 3}; !slices.Equal(s.sizes(), want) {
			t.Errorf("commits of %v items; want %v", s.sizes(), want)
		}
	})
}

// What is on its way when the committer looks belongs to the same group: with one
// processor, goroutines that can run but have not yet. The scheduler does not let
// them go first every time, for fairness, but nearly.
func TestGathersWhatIsOnItsWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const tries, senders = 100, 8
	whole := 0
	for range tries {
		c := newCommitter(config(&store{}))
		c.enqueue(&request[item]{})
		var all sync.WaitGroup
		for range senders - 1 {
			all.Go(func() { c.enqueue(&request[item]{}) })
		}
		if c.await() && len(c.next(nil)) == senders {
			whole++
		}
		all.Wait()
	}
	if whole < tries/2 {
		t.Errorf("only %d of %d groups had all requests", whole, tries)
	}
}

// Callers that come, give up and stop the committer all at once leave each of them
// with an answer: what Do said is durable is, once.
func TestManyCallersAtOnce(t *testing.T) {
	for _, answerAll := range []bool{false, true} {
		s := &store{}
		s.fails = func(items []item) error {
			if len(items) > 2 && len(s.commits)%3 == 0 {
				return errDivisible
			}
			return nil
		}
		cfg := config(s)
		cfg.AnswerAll = answerAll
		c := Start(cfg)
		var mu sync.Mutex
		said := map[string]int{}
		var all sync.WaitGroup
		for i := range 200 {
			name := string(rune('a'+i%26)) + string(rune('a'+i/26))
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				if i%3 == 0 {
					go cancel()
				}
				defer cancel()
				if c.Do(ctx, item{name: name}) == nil {
					mu.Lock()
					said[name]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		c.Stop()
		durable := map[string]int{}
		for _, name := range s.durable {
			durable[name]++
		}
		for name, n := range durable {
			if n != 1 {
				t.Errorf("%s is durable %d times", name, n)
			}
		}
		for name := range said {
			if durable[name] != 1 {
				t.Errorf("%s was said to be durable and is not", name)
			}
		}
	}
}
