package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// stopped is a stop of everything in the middle of a burst.
type stopped struct {
	Size       string  `json:"size"`
	Deliveries int     `json:"deliveries"`
	Pushes     int     `json:"pushes"`    // that ended before all that was left was held
	AnswerMS   float64 `json:"answerMS"`  // from the request for the stop to its answer
	LastMS     float64 `json:"lastMS"`    // the end of the last push, after the answer; negative where it was before
	ResumedMS  float64 `json:"resumedMS"` // from the request to resume until all the others are on the branch
}

// measureStopped sends a burst, stops everything once the first push has ended, and sees
// when the last one does. Then it resumes, and everything must be there once.
func (b *bench) measureStopped(ctx context.Context, size string) (err error) {
	n := min(b.options.stopped, shapes[size].Apps*len(shapes[size].Environments))
	if n == 0 {
		return nil
	}
	b.say("a stop in a burst of %d deliveries to %s", n, size)
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	t, err := b.start(ctx, setup{shape: shapes[size], repository: repository})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.kill()) }()
	before, err := repository.Git("rev-parse", "main")
	if err != nil {
		return err
	}
	if err := b.origin.reset(ctx); err != nil {
		return err
	}
	events := b.oneOfEach(t.shape, n)
	sent := make(chan error, 1)
	go func() {
		_, err := volley(ctx, t.public, burstConnections, events, time.Minute)
		sent <- err
	}()
	_, err = b.origin.next(ctx)
	found := stopped{Size: size, Deliveries: n}
	if err == nil {
		err = b.stopAndResume(ctx, t, &found, sent)
	}
	if err != nil {
		return errors.Join(err, t.complaint())
	}
	b.report.Stopped = &found
	return errors.Join(onceEach(repository, before, events), t.stop())
}

// oneOfEach makes n deliveries, each of another app or environment: what is held is
// superseded by no other.
func (b *bench) oneOfEach(shape gitserver.Shape, n int) (events []event) {
	for i := range n {
		environment := shape.Environments[i%len(shape.Environments)]
		events = append(events, b.events.of(gitserver.App(i/len(shape.Environments)), environment).event)
	}
	return events
}

func (b *bench) stopAndResume(ctx context.Context, t *tallyman, found *stopped, sent <-chan error) error {
	began := time.Now()
	body, err := t.call(ctx, http.MethodPost, "/api/v1/holds", `{"kind": "stop", "reason": "the bench measures it"}`)
	answered := time.Now()
	var placed struct {
		Hold struct {
			ID string `json:"id"`
		} `json:"hold"`
	}
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if err := json.Unmarshal(body, &placed); err != nil {
		return err
	}
	if err := awaitNothingReady(ctx, t); err != nil {
		return err
	}
	pushes := b.origin.seen()
	found.Pushes, found.AnswerMS = len(pushes), milliseconds(answered.Sub(began))
	found.LastMS = milliseconds(pushes[len(pushes)-1].ended.Sub(answered))
	began = time.Now()
	if _, err := t.call(ctx, http.MethodDelete, "/api/v1/holds/"+placed.Hold.ID, ""); err != nil {
		return err
	}
	if err := t.awaitCommitted(ctx, found.Deliveries); err != nil {
		return err
	}
	pushes = b.origin.seen()
	if len(pushes) == found.Pushes {
		return errors.New("the stop came after the burst: nothing was held")
	}
	found.ResumedMS = milliseconds(pushes[len(pushes)-1].ended.Sub(began))
	return nil
}

// awaitNothingReady waits until each lane has held what it has.
func awaitNothingReady(ctx context.Context, t *tallyman) error {
	return awaitLanes(ctx, t, func(lanes []laneState) bool {
		for _, l := range lanes {
			if l.Ready > 0 {
				return false
			}
		}
		return true
	})
}

// call asks the API to do something.
func (t *tallyman) call(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.public+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+apiToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s answered %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}
