package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print prints the report as one table.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s, revision %s, %d processors, %s, %s, %s; repositories on %s, queue on %s; load before: %s\n", r.Date.Format("2006-01-02 15:04 MST"),
		r.Machine.Revision, r.Machine.Processors, r.Machine.System, r.Machine.Go, r.Machine.Git, r.Machine.Repositories, r.Machine.Store, r.Machine.LoadBefore)
	if r.Machine.Store == "tmpfs" {
		fmt.Fprintln(out, "THE QUEUE IS IN MEMORY: nothing here is durable. Give -store a directory on a disk.")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.printSingle(w)
	r.printBursts(w)
	r.printCore(w)
	r.printAccepts(w)
	r.printNumbers(w)
	_ = w.Flush() // nobody is left to tell
}

// head writes a section's first line; all columns are aligned to the right, so
// each line ends with a tab.
func head(w io.Writer, columns ...string) {
	fmt.Fprintf(w, "\n%s\t\n", strings.Join(columns, "\t"))
}

func (r *report) printSingle(w io.Writer) {
	if len(r.Single) == 0 {
		return
	}
	head(w, "one update", "latency", "contender", "median ms", "min", "max", "x tallyman", "git's part", "CPU ms", "requests", "connections", "bytes up", "down")
	for _, s := range r.Single {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", s.Size, s.Latency, s.Contender,
			s.Median, s.Min, s.Max, s.Ratio, s.Server, s.CPU, s.Requests, s.Connections, s.Up, s.Down)
	}
}

func (r *report) printBursts(w io.Writer) {
	if len(r.Starts) > 0 {
		head(w, "start", "ready ms", "first commit ms", "resident MiB", "peak MiB")
	}
	for _, s := range r.Starts {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.1f\t%.1f\t\n", s.Size, s.ReadyMS, s.FirstCommitMS, s.RestMiB, s.PeakMiB)
	}
	if len(r.Bursts) > 0 {
		head(w, "burst", "deliveries", "last 202 ms", "last commit ms", "updates/s", "pushes", "CPU ms each")
	}
	for _, b := range r.Bursts {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%d\t%.2f\t\n", b.Size, b.Deliveries, b.AcceptedMS, b.OnOriginMS, b.PerSecond, b.Pushes, b.CPUPerUpdateMS)
	}
	if c := r.Contention; c != nil {
		head(w, "contention", "seconds", "updates", "pushes", "conflicts", "person's commits", "person's rejected pushes")
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t\n", c.Size, c.Seconds, c.Updates, c.Pushes, c.Conflicts, c.PersonCommits, c.PersonRejected)
	}
	if n := len(r.Row); n > 0 {
		head(w, "in a row", "seconds", "pushes", "resident MiB", "peak MiB", "goroutines", "connections")
		for _, s := range []rowPoint{r.Row[0], r.Row[n/10], r.Row[n/2], r.Row[n-1]} {
			fmt.Fprintf(w, "%d\t%.0f\t%d\t%.1f\t%.1f\t%d\t%d\t\n", s.Updates, s.Seconds, s.Pushes, s.ResidentMiB, s.PeakMiB, s.Goroutines, s.Connections)
		}
	}
}

func (r *report) printCore(w io.Writer) {
	if len(r.Readers) > 0 {
		head(w, "status", "first ms", "KiB", "updates", "asked", "p50 ms", "p99", "most")
	}
	for _, s := range r.Readers {
		fmt.Fprintf(w, "%s\t%.0f\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\t\n", s.Size, s.FirstMS, s.Bytes/1024, s.Updates, s.Asked, s.P50MS, s.P99MS, s.MaxMS)
	}
	if len(r.Readers) > 0 {
		head(w, "pushes beside a status", "of each", "alone p50 ms", "p90", "most", "with it p50 ms", "p90", "most", "later at p50 ms", "p90")
	}
	for _, s := range r.Readers {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Size, s.Pairs, s.Alone.P50MS, s.Alone.P90MS, s.Alone.MaxMS,
			s.With.P50MS, s.With.P90MS, s.With.MaxMS, s.With.P50MS-s.Alone.P50MS, s.With.P90MS-s.Alone.P90MS)
	}
	r.printHolds(w)
	r.printImages(w)
	r.printRollouts(w)
	if f := r.Failover; f != nil {
		head(w, "killed replicas", "of", "kills", "environments that stood still", "median ms", "most")
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.0f\t%.0f\t\n", f.Size, f.Replicas, f.Kills, f.Stood, f.MedianMS, f.MaxMS)
	}
	if d := r.Discovered; d != nil {
		head(w, "discovered apps", "environments", "ready ms", "all known ms", "its CPU ms", "first commit ms", "new apps", "known ms", "its CPU ms", "an update ms", "x configured", "peak MiB")
		fmt.Fprintf(w, "%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%.0f\t%.0f\t%.1f\t%.2f\t%.1f\t\n", d.Apps, d.Environments, d.ReadyMS, d.KnownMS, d.KnownCPUMS, d.FirstMS, d.NewApps, d.NewKnownMS, d.NewCPUMS, d.UpdateMS, d.AsConfigured, d.PeakMiB)
	}
	if o := r.OneFile; o != nil {
		head(w, "one file", "MiB", "updates", "planned ms", "pushes", "CPU ms", "first status ms", "peak MiB")
		fmt.Fprintf(w, "%d apps\t%.1f\t%d\t%.0f\t%d\t%.0f\t%.0f\t%.0f\t\n", o.Apps, o.MiB, o.Updates, o.PlanMS, o.Pushes, o.CPUMS, o.StatusMS, o.PeakMiB)
	}
}

func (r *report) printRollouts(w io.Writer) {
	if o := r.Rollouts; o != nil {
		head(w, "follows rollouts", "Applications", "an update ms", "without ms", "later ms", "at once", "all healthy ms", "most in 10 s", "most refreshes", "requests", "told", "before MiB", "most MiB")
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%d\t%.0f\t%d\t%d\t%d\t%d\t%.0f\t%.0f\t\n", o.Size, o.Applications, o.FollowedMS, o.PlainMS, o.MoreMS, o.AtOnce, o.HealthyMS, o.MostIn10s, o.MostAtOnce, o.Requests, o.Told, o.RestMiB, o.PeakMiB)
	}
}

func (r *report) printImages(w io.Writer) {
	if i := r.Images; i != nil {
		head(w, "looks at images", "an update ms", "without ms", "later ms", "beside one that waits ms", "burst", "images", "looks", "on origin ms", "without looks ms", "late", "until its commit ms")
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\t%.0f\t%.0f\t%d\t%.0f\t\n", i.Size, i.LookedMS, i.PlainMS, i.MoreMS, i.BesideMS, i.Burst, i.Images, i.Looks, i.BurstMS, i.PlainBurstMS, i.Late, i.AppearsMS)
	}
}

func (r *report) printHolds(w io.Writer) {
	if h := r.Held; h != nil {
		head(w, "held updates", "number", "all held after ms", "another app's update ms", "where none is held", "by it")
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f\t%.1f\t%.2fx\t\n", h.Size, h.Held, h.AskMS, h.WithMS, h.NoneMS, h.WithMS/h.NoneMS)
	}
	if f := r.Freed; f != nil {
		head(w, "end of a freeze", "held", "apps", "newest of each written ms", "all ended ms", "pushes")
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f\t%d\t\n", f.Size, f.Held, f.Apps, f.WroteMS, f.EndedMS, f.Pushes)
	}
	if s := r.Stopped; s != nil {
		head(w, "stop in a burst", "deliveries", "pushes before", "answered after ms", "last push after the answer ms", "resumed, all written ms")
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t\n", s.Size, s.Deliveries, s.Pushes, s.AnswerMS, s.LastMS, s.ResumedMS)
	}
}

func (r *report) printAccepts(w io.Writer) {
	if len(r.Accepts) == 0 {
		return
	}
	head(w, "accepting", "body bytes", "origin", "deliveries/s", "disk's fsyncs/s", "p50 ms", "p99 ms", "each commit", "ms", "busy with it", "KiB written each", "CPU us each", "generator's CPU us each", "processors busy")
	for _, a := range r.Accepts {
		fmt.Fprintf(w, "%d connections\t%d\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t%.1f\t%.0f%%\t%.1f\t%.0f\t%.0f\t%.2f\t\n", a.Connections, a.BodyBytes, upOrDown(a.OriginUp),
			a.PerSecond, a.FsyncsPerSecond, a.P50MS, a.P99MS, a.PerCommit, a.CommitMS, 100*a.Committing, a.WrittenKiB, a.CPUPerDeliveryUS, a.GeneratorCPUPerDeliveryUS, a.Processors)
	}
	if len(r.Compared) > 0 {
		head(w, "one binary by the other", "body bytes", "origin", "deliveries/s", "p99", "each commit", "CPU each")
	}
	for _, c := range r.Compared {
		fmt.Fprintf(w, "%d connections\t%d\t%s\t%.2fx\t%.2fx\t%.2fx\t%.2fx\t\n",
			c.Connections, c.BodyBytes, upOrDown(c.OriginUp), c.PerSecond, c.P99, c.PerCommit, c.CPU)
	}
}

func upOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func (r *report) printNumbers(w io.Writer) {
	head(w, "promised", "figure", "limit", "")
	missed := 0
	for _, n := range r.Numbers {
		figure, verdict := "", "not measured"
		if n.Met != nil {
			figure, verdict = fmt.Sprintf("%.2f", n.Figure), "met"
			if !*n.Met {
				verdict = "NOT MET"
				missed++
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", n.Name, figure, n.Limit, verdict)
	}
	if missed > 0 {
		fmt.Fprintf(w, "\n%d OF THE PROMISED NUMBERS NOT MET\t\n", missed)
	}
}
