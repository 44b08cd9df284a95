// Command tallyman-bench measures tallyman from end to end, beside what it
// replaces, and says which of the numbers that docs/design.md promises are met.
//
// It builds the real binary and manifest repositories of three sizes, serves
// those with real git over HTTP, and runs every contender in turn, so that what
// disturbs the machine disturbs all of them. docs/performance.md explains the
// figures. A number that is not met is reported and is no failure: the exit status
// is not 0 only when something could not be measured, or came out wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// options are what the flags say.
type options struct {
	sizes       []string
	distances   []distance
	runs        int
	bursts      []int
	accept      []int
	acceptTime  time.Duration
	body        int
	readers     int
	pairs       int
	held        int
	freed       int
	stopped     int
	images      int
	burstImages int
	late        int
	rollouts    int
	kills       int
	oneFile     int
	discover    int
	row         int
	rowWindow   int
	contend     time.Duration
	rounds      int
	repositories, store,
	binary, against, json, profile string
}

// distance is how far away the git server seems.
type distance struct {
	name string
	gitserver.Latency
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tallyman-bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tallyman-bench:", err)
		os.Exit(1)
	}
}

// parse reads the flags. What -quick sets, an explicit flag overrides.
func parse(args []string, errs io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("tallyman-bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	quick := flags.Bool("quick", false, "measure less: about a minute in all")
	sizes := flags.String("sizes", "S,M,L,XL", "`sizes` of repositories, of S, M, L and XL; the last one before XL is also that of all that is measured once")
	latency := flags.String("latency", "0,40ms,40ms+80ms", "`latencies` of the git server: to each request, and after a plus to each new connection")
	flags.IntVar(&o.runs, "runs", 7, "timed runs of each contender, after one that is not timed; 0 leaves single updates out")
	bursts := flags.String("bursts", "10,100,1000", "`deliveries` in each burst; empty leaves bursts out")
	accept := flags.String("accept", "1,64,256", "`connections` to measure accepting with; empty leaves it out")
	flags.DurationVar(&o.acceptTime, "accept-time", 4*time.Second, "how long to measure accepting, each time")
	flags.IntVar(&o.rounds, "rounds", 1, "how `often` to measure accepting in each way; the round of median throughput is shown")
	flags.IntVar(&o.body, "body", 0, "pad each delivery's body to this many `bytes`; what GitHub sends has some 8,000")
	flags.IntVar(&o.readers, "readers", 1000, "`updates` to make at each size while status is asked; 0 leaves readers out")
	flags.IntVar(&o.pairs, "pairs", 10, "how `often` to make an update beside a status, and one alone, at each size, with 3 s before each")
	flags.IntVar(&o.held, "held", 50_000, "held `updates` in one environment, beside which others are made; 0 leaves it out")
	flags.IntVar(&o.freed, "freed", 10_000, "`updates` that a freeze holds whose end is measured; 0 leaves it out")
	flags.IntVar(&o.stopped, "stopped", 1000, "`deliveries` in a burst that a stop comes in; 0 leaves it out")
	flags.IntVar(&o.images, "images", 15, "`updates` to make with and without a look at their images, in turn; 0 leaves images out")
	flags.IntVar(&o.burstImages, "burst-images", 250, "of those a burst: `images` that each go to every environment")
	flags.IntVar(&o.late, "late", 3, "of those `images` that are not there for 8 s")
	flags.IntVar(&o.rollouts, "rollouts", 0, "`updates` at once that are followed into a cluster; 0 leaves it out")
	flags.IntVar(&o.kills, "kills", 9, "how `often` to kill one of three replicas on PostgreSQL; 0 leaves it out")
	flags.IntVar(&o.oneFile, "one-file", 500, "`updates` in one batch of apps that stand in one file of 3 MB; 0 leaves it out")
	flags.IntVar(&o.discover, "discover", 5_000, "`apps` in 4 environments that only the branch names; 0 leaves it out")
	flags.IntVar(&o.row, "row", 0, "after all else, `updates` to make in a row while memory is watched")
	flags.IntVar(&o.rowWindow, "row-window", 100, "of those, updates under way together")
	flags.DurationVar(&o.contend, "contend", 0, "how long two processes and a person shall write one branch")
	flags.StringVar(&o.repositories, "dir", "", "`directory` for git repositories (default: /dev/shm if it is there, else the temporary directory)")
	flags.StringVar(&o.store, "store", os.TempDir(), "`directory` on a real disk, for the queue")
	flags.StringVar(&o.binary, "binary", "", "tallyman `binary` to measure (default: built from ./cmd/tallyman)")
	flags.StringVar(&o.against, "against", "", "another tallyman `binary`, to measure accepting with in turn with the first, and to compare")
	flags.StringVar(&o.json, "json", "bench.json", "`file` for all figures; empty writes none")
	flags.StringVar(&o.profile, "profile", "", "`directory` for profiles: CPU and allocations while accepting, in a pass of its own, and the heap at the first and last line")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{
			"sizes": "S,M", "latency": "0,40ms+80ms", "runs": "3", "bursts": "100,1000", "accept": "256", "accept-time": "2s",
			"readers": "100", "pairs": "3", "held": "5000", "freed": "1000", "images": "5", "late": "1", "kills": "3", "one-file": "100", "discover": "200",
		} {
			if !given[name] {
				err = errors.Join(err, flags.Set(name, value))
			}
		}
	}
	if o.rounds < 1 {
		err = errors.Join(err, errors.New("-rounds: at least one is needed"))
	}
	if o.pairs < 1 {
		err = errors.Join(err, errors.New("-pairs: at least one is needed"))
	}
	o.sizes = list(*sizes)
	for _, size := range o.sizes {
		if _, ok := shapes[size]; !ok {
			err = errors.Join(err, fmt.Errorf("-sizes: there is no size %q", size))
		}
	}
	if len(o.sizes) == 0 {
		err = errors.Join(err, errors.New("-sizes: at least one is needed"))
	}
	o.distances, err = distances(list(*latency), err)
	o.bursts, err = counts("-bursts", list(*bursts), err)
	o.accept, err = counts("-accept", list(*accept), err)
	return o, err
}

func list(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
}

func counts(flag string, texts []string, err error) ([]int, error) {
	var all []int
	for _, text := range texts {
		n, bad := strconv.Atoi(text)
		if bad != nil || n < 1 {
			err = errors.Join(err, fmt.Errorf("%s: %q is no number above 0", flag, text))
		}
		all = append(all, n)
	}
	return all, err
}

func distances(texts []string, err error) ([]distance, error) {
	var all []distance
	for _, text := range texts {
		d := distance{name: text}
		request, connect, two := strings.Cut(text, "+")
		var bad error
		d.Request, bad = time.ParseDuration(request)
		if two && bad == nil {
			d.Connect, bad = time.ParseDuration(connect)
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("-latency: %w", bad))
		}
		all = append(all, d)
	}
	return all, err
}

// run measures everything that was asked for. What was measured before an error
// is still shown and written.
func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.close())
	}()
	err = b.measure(ctx)
	b.report.judge()
	b.report.print(out)
	if o.json != "" {
		err = errors.Join(err, b.report.write(o.json))
	}
	return err
}

func (b *bench) measure(ctx context.Context) error {
	for _, size := range b.options.sizes {
		if err := b.measureSize(ctx, size); err != nil {
			return fmt.Errorf("size %s: %w", size, err)
		}
	}
	size := b.options.sizes[len(b.options.sizes)-1]
	if n := len(b.options.sizes); size == huge && n > 1 {
		size = b.options.sizes[n-2]
	}
	for _, part := range []struct {
		name string
		run  func(ctx context.Context, size string) error
	}{
		{"held updates", b.measureHeld}, {"the end of a freeze", b.measureFreed}, {"a stop in a burst", b.measureStopped}, {"images", b.measureImages}, {"rollouts", b.measureRollouts}, {"failover", b.measureFailover}, {"one file", b.measureOneFile}, {"discovery", b.measureDiscovery},
		{"accepting", b.measureAccepting}, {"contention", b.measureContention}, {"updates in a row", b.measureRow},
	} {
		if err := part.run(ctx, size); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
