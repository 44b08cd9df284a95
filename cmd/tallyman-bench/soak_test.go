package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

var (
	soakLength = flag.Duration("soak", 0, "how long TestSoak attacks the server; 0 leaves it out")
	soakSize   = flag.String("soak-size", "L", "size of the soak's repository: S, M, L or XL")
	soakTable  = flag.String("soak-table", "", "file for the soak's table, in Markdown")
)

// TestSoak attacks the real program, confined as the chart confines it, in every way that
// the limits leave open, all at once and beside valid deliveries. Nothing may be lost, the
// process must live, and be as it was in the end.
func TestSoak(t *testing.T) {
	if *soakLength == 0 {
		t.Skip("it takes minutes: make soak")
	}
	l := fullLoad
	l.length, l.size = *soakLength, *soakSize
	ctx := t.Context()
	s := newSoak(ctx, t, l)
	s.begin(ctx)
	s.play(ctx)
	if err := s.end(ctx); err != nil {
		s.figures.problem("%v", err)
	}
	s.figures.judge(l)
	s.figures.write(os.Stdout)
	if *soakTable != "" {
		var table strings.Builder
		s.figures.write(&table)
		s.must(os.WriteFile(*soakTable, []byte(table.String()), 0o644))
	}
	for _, problem := range s.figures.problems {
		t.Error(problem)
	}
}

// begin brings everything into use once, and notes what the process holds then.
func (s *soak) begin(ctx context.Context) {
	s.must(s.once(ctx))
	var err error
	s.figures.begin, err = s.resources(ctx)
	s.must(err)
	s.figures.alone, s.answered = s.answered, nil
}

// once has every app send an update, and waits until all of them have ended.
func (s *soak) once(ctx context.Context) error {
	stop, cancel := context.WithTimeout(ctx, s.load.every*3/2)
	defer cancel()
	s.sendAll(ctx, stop.Done())
	return s.quiet(ctx)
}

// play is the soak itself. It ends early when the process does.
func (s *soak) play(ctx context.Context) {
	s.figures.length, s.figures.memory, s.figures.machine = s.load.length, s.memory.how, s.b.report.Machine
	s.from, s.to = time.Now(), time.Now().Add(s.load.length)
	s.b.say("soak: %s in %s", s.load.length, s.memory.how)
	during, end := context.WithTimeout(ctx, s.load.length)
	defer end()
	var all sync.WaitGroup
	all.Go(func() { s.sendAll(ctx, during.Done()) })
	all.Go(func() { s.attackAll(during) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; during.Err() == nil; n++ {
		select {
		case <-tick.C:
		case <-during.Done():
		}
		resident := s.residentMiB()
		if resident == 0 { // it has ended
			end()
			break
		}
		s.note(func() {
			s.figures.resident, s.figures.peak = append(s.figures.resident, resident), max(s.figures.peak, resident)
			if n%30 == 0 {
				s.b.say("soak: %d s, %.0f MiB resident, %d updates accepted, %d problems", n, resident, len(s.entries), len(s.figures.problems))
			}
		})
	}
	all.Wait()
}

// end lets the server finish, takes its figures, starts it again on the branch as the
// attack has left it, and checks everything that was accepted.
func (s *soak) end(ctx context.Context) error {
	if err := errors.Join(s.quiet(ctx), s.settle(ctx)); err != nil {
		return err
	}
	f := &s.figures
	f.peak, f.storeMiB, f.answers, f.processor = s.peakMiB(), s.storeMiB(), s.answered, s.cpu()
	if err := s.countRefusals(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.stop(), s.run(ctx), s.once(ctx)); err != nil {
		return fmt.Errorf("the second start: %w", err)
	}
	f.peak = max(f.peak, s.peakMiB())
	updates, err := s.updates(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.stop(), s.check(updates), s.repository.Fsck())
}

// check holds the branch to what was accepted.
func (s *soak) check(updates map[string]gitops.Update) error {
	log, err := s.repository.Log("main", s.first)
	if err != nil {
		return err
	}
	found := ledger.Found{Updates: updates, Tags: s.tags()}
	for _, c := range log {
		found.Commits = append(found.Commits, c.Updates)
	}
	for _, problem := range ledger.Check(s.entries, found) {
		s.figures.problem("%s", problem)
	}
	for _, e := range s.entries {
		s.figures.states[string(updates[e.Update].State)]++
	}
	s.figures.accepted, s.figures.landings = len(s.entries), s.landings(log)
	return nil
}

// quiet waits until no update is pending.
func (s *soak) quiet(ctx context.Context) error {
	return s.until(ctx, 5*time.Minute, func(metrics map[string]float64) bool { return metrics["tallyman_pending_updates"] == 0 })
}

// settle waits until what the attack held is given back, for as long as connections may
// last, and notes what is held then.
func (s *soak) settle(ctx context.Context) error {
	err := s.until(ctx, time.Minute, func(map[string]float64) bool {
		now, err := s.resources(ctx)
		s.figures.end = now
		return err == nil && now.goroutines <= s.figures.begin.goroutines+leakSlack && now.files <= s.figures.begin.files+leakSlack
	})
	if errors.Is(err, errNotSo) { // the judge says what is left over
		return nil
	}
	return err
}

var errNotSo = errors.New("some updates did not end")

// until asks for the metrics until they are so.
func (s *soak) until(ctx context.Context, limit time.Duration, so func(metrics map[string]float64) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		metrics, err := s.metrics(ctx)
		switch {
		case err == nil && so(metrics):
			return nil
		case s.residentMiB() == 0:
			_ = s.cmd.Wait() // its status is in what follows
			return errors.Join(fmt.Errorf("the process has ended: %v; %d were killed for want of memory", s.cmd.ProcessState, s.memory.killed()), s.complaint())
		}
		select {
		case <-time.After(statusEvery):
		case <-ctx.Done():
			return errNotSo
		}
	}
}

// resources are what the process holds now.
func (s *soak) resources(ctx context.Context) (resources, error) {
	metrics, err := s.metrics(ctx)
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	return resources{int(metrics["go_goroutines"]), len(files)}, err
}

// storeMiB is the size of the store's files.
func (s *soak) storeMiB() (size float64) {
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(s.config), "tallyman.db*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += float64(info.Size()) / (1 << 20)
		}
	}
	return size
}

// countRefusals notes what the server counted of what it refused.
func (s *soak) countRefusals(ctx context.Context) error {
	series, err := s.series(ctx)
	for name, value := range series {
		_, labels, ok := strings.Cut(name, "tallyman_http_request_seconds_count{")
		_, code, _ := strings.Cut(labels, `code="`)
		switch {
		case value == 0:
		case ok && code >= "4":
			s.figures.counted[`tallyman_http_request_seconds_count{code="`+code[:3]+`"}`] += value
		case strings.HasPrefix(name, "tallyman_connections") || strings.HasPrefix(name, "tallyman_deliveries_not_kept_total") || strings.HasPrefix(name, "tallyman_files_set_aside"):
			s.figures.counted[name] = value
		}
	}
	return err
}

// updates are all that the server has.
func (s *soak) updates(ctx context.Context) (map[string]gitops.Update, error) {
	all := make(map[string]gitops.Update)
	for cursor := ""; ; {
		body, err := s.get(ctx, s.public, "/api/v1/updates?limit=200&cursor="+url.QueryEscape(cursor))
		if err != nil {
			return nil, err
		}
		var page api.UpdateList
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Updates {
			all[u.ID] = u
		}
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// problemOf notes an error of the soak's own.
func (s *soak) problemOf(err error) {
	if err != nil {
		s.note(func() { s.figures.problem("%v", err) })
	}
}
