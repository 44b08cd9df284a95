package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// oneFile is a batch of updates of apps that all stand in one large file.
type oneFile struct {
	Apps     int     `json:"apps"`
	MiB      float64 `json:"fileMiB"`
	Updates  int     `json:"updates"`
	PlanMS   float64 `json:"planMS"` // from the end of each push to the beginning of the next, in all
	Pushes   int     `json:"pushes"`
	CPUMS    float64 `json:"cpuMS"`    // tallyman's, for the batch
	StatusMS float64 `json:"statusMS"` // the first status: the tags of all apps
	PeakMiB  float64 `json:"peakMiB"`
}

// oneFileApps are the apps in the file, and oneFileLines how many lines each has.
const (
	oneFileApps  = 1_000
	oneFileLines = 58
)

// measureOneFile has updates wait while a push is under way, so that they go
// together into the next one, and measures how long the git server then waits.
func (b *bench) measureOneFile(ctx context.Context, _ string) (err error) {
	if b.options.oneFile == 0 {
		return nil
	}
	b.say("a batch of %d updates in one file of %d apps", b.options.oneFile, oneFileApps)
	repository, err := b.git.CreateRepository("one-file.git")
	if err != nil {
		return err
	}
	text := oneFileText()
	before, err := repository.Commit(gitserver.Change{Files: map[string]string{"values-dev.yaml": text}})
	if err != nil {
		return err
	}
	t, err := b.start(ctx, setup{
		shape:      gitserver.Shape{Apps: oneFileApps, Environments: []string{"dev"}},
		repository: repository,
		layout:     "limits: {memory: 1536MiB, file: {bytes: 5MiB, nodes: 400000}}\nfile: values-{env}.yaml\nset: [{key: '.apps[{app}].image.tag'}]\n",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.kill()) }()
	_, status, err := t.readStatus(ctx)
	if err != nil {
		return err
	}
	found := oneFile{Apps: oneFileApps, MiB: float64(len(text)) / (1 << 20), Updates: b.options.oneFile, StatusMS: milliseconds(status)}
	cpu := t.cpu()
	sent, pushes, err := b.batchBehindPush(ctx, t, b.options.oneFile)
	if err != nil {
		return err
	}
	for i, p := range pushes[1:] {
		found.PlanMS += milliseconds(p.began.Sub(pushes[i].ended))
	}
	found.Pushes, found.CPUMS, found.PeakMiB = len(pushes)-1, milliseconds(t.cpu()-cpu), t.peakMiB()
	b.report.OneFile = &found
	return errors.Join(t.stop(), onceEach(repository, before, sent), repository.Fsck())
}

// batchBehindPush has so many updates of different apps wait behind the push of
// another one, and returns all events and pushes once everything is on the branch.
func (b *bench) batchBehindPush(ctx context.Context, t *tallyman, n int) (sent []event, pushes []push, err error) {
	if err := b.origin.reset(ctx); err != nil {
		return nil, nil, err
	}
	arrived, release := b.origin.holdNext()
	defer release()
	for app := range n + 1 {
		sent = append(sent, b.events.of(gitserver.App(app), t.shape.Environments[0]).event)
	}
	if _, err := volley(ctx, t.public, 1, sent[:1], time.Minute); err != nil {
		return nil, nil, err
	}
	select {
	case <-arrived:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if _, err := volley(ctx, t.public, burstConnections, sent[1:], time.Minute); err != nil {
		return nil, nil, err
	}
	release()
	err = t.awaitCommitted(ctx, len(sent))
	return sent, b.origin.seen(), err
}

// oneFileText is the file.
func oneFileText() string {
	var text strings.Builder
	text.WriteString("# The values of every app.\napps:\n")
	for n := range oneFileApps {
		app := gitserver.App(n)
		fmt.Fprintf(&text, "  %s:\n    image:\n      repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/%s\n      tag: \"main-0000000\" # written by the release bot\n    env:\n", app, app)
		for line := range oneFileLines {
			fmt.Fprintf(&text, "      - {name: SETTING_%02d, value: some-value-%d}\n", line, n)
		}
	}
	return text.String()
}
