package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// failover is how long environments stand still when the replica is killed that
// writes them.
type failover struct {
	Size     string  `json:"size"`
	Replicas int     `json:"replicas"`
	Kills    int     `json:"kills"`
	Stood    int     `json:"environmentsStoodStill"` // in all kills together
	MedianMS float64 `json:"medianMS"`               // from the kill to the environment's next commit
	MaxMS    float64 `json:"maxMS"`
}

const replicas = 3

// measureFailover kills (SIGKILL) the replica that writes most environments, sends
// an update of each of these to another one at once, and waits until they are on the
// branch; again and again. The replicas share one PostgreSQL.
func (b *bench) measureFailover(ctx context.Context, size string) (err error) {
	if b.options.kills == 0 {
		return nil
	}
	server, err := postgrestest.New()
	if errors.Is(err, exec.ErrNotFound) {
		b.say("NO FAILOVER IS MEASURED: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	f := &fleet{bench: b, shape: shapes[size]}
	defer func() {
		for _, t := range f.members {
			err = errors.Join(err, t.kill())
		}
	}()
	for range replicas {
		t, err := b.start(ctx, setup{shape: f.shape, repository: repository, store: server.URL("")})
		if err != nil {
			return err
		}
		f.members = append(f.members, t)
	}
	before, err := repository.Git("rev-parse", "main")
	if err != nil {
		return err
	}
	b.say("%d kills of one of %d replicas of %s", b.options.kills, replicas, size)
	if err := f.write(ctx, f.members[0], f.shape.Environments); err != nil {
		return err
	}
	var stood []float64
	for range b.options.kills {
		some, err := f.kill(ctx)
		if err != nil {
			return err
		}
		stood = append(stood, some...)
	}
	b.report.Failover = &failover{
		Size: size, Replicas: replicas, Kills: b.options.kills, Stood: len(stood),
		MedianMS: median(stood), MaxMS: percentile(stood, 100),
	}
	return onceEach(repository, before, f.sent)
}

// fleet is several tallymen with one store.
type fleet struct {
	*bench
	shape   gitserver.Shape
	members []*tallyman
	sent    []event
}

// write sends one update of each environment to a member, and waits until all of
// them are on the branch, whoever brings them there.
func (f *fleet) write(ctx context.Context, to *tallyman, environments []string) error {
	var want []int
	var some []event
	for _, environment := range environments {
		n, _, _ := f.lastCommit(environment)
		want = append(want, n+1)
		some = append(some, f.events.of(gitserver.App(f.events.rand.IntN(f.shape.Apps)), environment).event)
	}
	f.sent = append(f.sent, some...)
	if _, err := volley(ctx, to.public, len(some), some, time.Minute); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(2 * time.Minute)
	for i := 0; i < len(environments); {
		if n, _, _ := f.lastCommit(environments[i]); n >= want[i] {
			i++
			continue
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("an update of %s was not written in two minutes", environments[i]), to.complaint())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lastCommit is how many updates of an environment were committed, by all members'
// logs, and by which of them the last one was, and when.
func (f *fleet) lastCommit(environment string) (n int, by *tallyman, at time.Time) {
	for _, t := range f.members {
		t.mu.Lock()
		n += t.committed[environment]
		if last := t.last[environment]; last.After(at) {
			by, at = t, last
		}
		t.mu.Unlock()
	}
	return n, by, at
}

// kill kills the member that wrote most environments last, and returns how long each
// of these stood still. Then it starts the member again.
func (f *fleet) kill(ctx context.Context) (stood []float64, err error) {
	held := make(map[*tallyman][]string)
	for _, environment := range f.shape.Environments {
		_, by, _ := f.lastCommit(environment)
		held[by] = append(held[by], environment)
	}
	victim := f.members[0]
	for _, t := range f.members {
		if len(held[t]) > len(held[victim]) {
			victim = t
		}
	}
	survivor := f.members[0]
	if survivor == victim {
		survivor = f.members[1]
	}
	killed := time.Now()
	if err := victim.kill(); err != nil {
		return nil, err
	}
	if err := f.write(ctx, survivor, held[victim]); err != nil {
		return nil, err
	}
	for _, environment := range held[victim] {
		_, _, at := f.lastCommit(environment)
		stood = append(stood, milliseconds(at.Sub(killed)))
	}
	return stood, victim.run(ctx)
}
