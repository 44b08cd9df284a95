package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// sample is one update by one contender.
type sample struct {
	wall     float64 // ms, from the start until git has moved the branch
	server   float64 // ms of it, git's work on the push
	answered float64 // ms, until tallyman's 202
	cpu      float64 // ms, of the contender's processes
	requests, connections,
	up, down float64
}

// measureSingle lets every contender make one update after the other, in turn,
// at every distance.
func (b *bench) measureSingle(ctx context.Context, size string, t *tallyman) error {
	if b.options.runs == 0 {
		return nil
	}
	answered := new(time.Time)
	contenders, err := b.contenders(ctx, size, t, answered)
	if err != nil {
		return err
	}
	distances := b.options.distances
	if size == huge {
		distances = distances[:min(1, len(distances))]
	}
	defer b.git.SetLatency(gitserver.Latency{})
	for _, distance := range distances {
		b.say("%s at %s: %d updates by each of %d contenders", size, distance.name, b.options.runs, len(contenders))
		b.git.SetLatency(distance.Latency)
		samples := make(map[string][]sample)
		for run := range b.options.runs + 1 {
			for _, c := range contenders {
				s, err := b.one(ctx, c, t.shape, answered)
				if err != nil {
					return fmt.Errorf("%s at %s: %w", c.name, distance.name, err)
				}
				if run > 0 { // the first warms up
					samples[c.name] = append(samples[c.name], s)
				}
			}
		}
		for _, c := range contenders {
			b.report.addSingle(size, distance.name, c.name, samples[c.name], samples[endToEnd])
		}
	}
	return nil
}

func (b *bench) contenders(ctx context.Context, size string, t *tallyman, answered *time.Time) ([]contender, error) {
	var dirs [3]string
	var origins [3]*gitserver.Repository
	for i := range dirs {
		var err error
		if origins[i], err = b.repository(size); err != nil {
			return nil, err
		}
		dirs[i] = filepath.Join(b.repositories, fmt.Sprintf("client-%s-%d", size, i))
		if err := os.Mkdir(dirs[i], 0o700); err != nil {
			return nil, err
		}
	}
	push, err := newBarePush(ctx, dirs[2], origins[2])
	if err != nil {
		return nil, err
	}
	own := newEndToEnd(t, answered)
	if size == huge {
		return []contender{push, own}, nil
	}
	warm, err := newWarmClone(ctx, dirs[1], origins[1])
	if err != nil {
		return nil, err
	}
	return []contender{newShellStep(dirs[0], origins[0]), warm, push, own}, nil
}

// one makes one update. Its time ends for all alike: when git on the server has
// moved the branch.
func (b *bench) one(ctx context.Context, c contender, shape gitserver.Shape, answered *time.Time) (s sample, err error) {
	u := b.events.update(shape)
	if c.prepare != nil {
		if err := c.prepare(ctx, u); err != nil {
			return s, err
		}
	}
	before, err := c.repository.Git("rev-parse", "main")
	if err != nil {
		return s, err
	}
	if err := b.origin.reset(ctx); err != nil {
		return s, err
	}
	cpu := c.cpu()
	began := time.Now()
	if err := c.update(ctx, u); err != nil {
		return s, err
	}
	pushed, err := b.origin.next(ctx)
	if err != nil {
		return s, err
	}
	if c.finish != nil {
		if err := c.finish(ctx); err != nil {
			return s, err
		}
	}
	counts := b.git.Counts()
	s = sample{
		wall: milliseconds(pushed.ended.Sub(began)), server: milliseconds(pushed.ended.Sub(pushed.began)),
		answered: milliseconds(answered.Sub(began)), cpu: milliseconds(c.cpu() - cpu),
		requests: float64(counts.Total()), connections: float64(counts.Connections),
		up: float64(counts.BytesIn), down: float64(counts.BytesOut),
	}
	return s, landed(c.repository, before, u)
}

// landed checks that the branch has the update and nothing else new.
func landed(r *gitserver.Repository, before string, u update) error {
	parent, err := r.Git("rev-parse", "main^")
	if err != nil {
		return err
	}
	diff, err := r.Git("diff", "--numstat", before, "main")
	if err != nil {
		return err
	}
	text, err := r.Git("show", "main:"+u.file)
	if err != nil {
		return err
	}
	if parent != before || diff != "1\t1\t"+u.file || !strings.Contains(text, u.tag) {
		return errors.New("the update is not on the branch as it should be")
	}
	return nil
}
