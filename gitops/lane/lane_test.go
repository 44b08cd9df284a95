package lane_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

var (
	errDown = gitops.Errorf(gitops.Unavailable, "the store does not answer")
	refusal = gitops.Errorf(gitops.Unavailable, "the manifest repository does not answer")
)

func three(t *testing.T) *fakeQueue { return newQueue(t, "1.0.0", "1.0.1", "1.0.2") }

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWritesInOrderAndSettles(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.Start()
		synctest.Wait()
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		r.queue.add(gitops.Update{App: "api", Tag: "1.0.3"})
		synctest.Wait() // woken, not polled: the clock has not moved
		equal(t, "writes", [][]string{{"u1", "u2", "u3"}, {"u4"}}, r.writer.calls())
		r.Stop(t.Context())
		equal(t, "released clean", []any{"", true}, r.queue.held())
		equal(t, "counted", map[gitops.State]int{gitops.Committed: 4}, r.recorder.counts())
	})
}

func TestSeesWhatAnotherReplicaAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T) *fakeQueue { return newQueue(t) }, func(t *testing.T, r rig) {
		r.Start()
		synctest.Wait()
		r.queue.addUnheard(gitops.Update{App: "api", Tag: "1.0.0"})
		elapse(5 * time.Second)
		equal(t, "settled", []string{"u1 committed"}, r.queue.states())
		r.Stop(t.Context())
	})
}

func TestAnUpdatesOwnFaultHoldsNobodyUp(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			s := commit(updates)
			s[1] = gitops.Settlement{Update: "u2", State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file"}
			return s, nil
		})
		r.Start()
		synctest.Wait()
		equal(t, "settled", []string{"u1 committed", "u2 failed", "u3 committed"}, r.queue.states())
		r.Stop(t.Context())
	})
}

func TestSomebodyElsesFaultKeepsTheBatchPending(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		for range 12 {
			r.writer.script = append(r.writer.script, func(context.Context, []gitops.Update) ([]gitops.Settlement, error) { return nil, refusal })
		}
		r.Start()
		synctest.Wait()
		equal(t, "waits for", map[string]string{"u1": refusal.Message, "u2": refusal.Message, "u3": refusal.Message}, r.queue.waiting())
		elapse(15 * time.Minute)
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		equal(t, "calls", 13, len(r.writer.calls()))
		waits := r.recorder.backOffs()
		equal(t, "waits, and the end of them", 13, len(waits))
		equal(t, "the end of them", 0, waits[12])
		for i, wait := range waits[:12] {
			longest := min(time.Second<<i, time.Minute)
			if wait < longest/2 || wait > longest {
				t.Errorf("wait %d is %s", i, wait)
			}
		}
		r.Stop(t.Context())
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		limited := &gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: 90 * time.Second}
		r.writer.script = append(r.writer.script, func(context.Context, []gitops.Update) ([]gitops.Settlement, error) { return nil, limited })
		asked := time.Now().Add(limited.RetryAfter)
		r.Start()
		elapse(89 * time.Second)
		equal(t, "said to try again at", []time.Time{asked}, r.queue.retryTimes())
		equal(t, "calls before", 1, len(r.writer.calls()))
		elapse(2 * time.Second)
		equal(t, "calls after", 2, len(r.writer.calls()))
		r.Stop(t.Context())
	})
}

func TestPartOfABatchIsSettledTheRestWaits(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			return commit(updates[:1]), refusal
		})
		r.Start()
		synctest.Wait()
		equal(t, "settled", []string{"u1 committed"}, r.queue.states())
		elapse(2 * time.Second)
		equal(t, "writes", [][]string{{"u1", "u2", "u3"}, {"u2", "u3"}}, r.writer.calls())
		r.Stop(t.Context())
	})
}

// A writer that takes for ever is given up, and the batch tried again.
func TestAWriteIsBounded(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(ctx context.Context, _ []gitops.Update) ([]gitops.Settlement, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		r.Start()
		elapse(5*time.Minute + 2*time.Second)
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		r.Stop(t.Context())
	})
}

// What is on origin must not be written again because the store was away.
func TestSettleIsTriedAgainNotTheWrite(t *testing.T) {
	for name, applied := range map[string]bool{"not applied": false, "applied but reported as failed": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, three, func(t *testing.T, r rig) {
				r.queue.fail("Settle", fault{errDown, applied}, fault{errDown, applied}, fault{errDown, false})
				r.Start()
				elapse(10 * time.Second)
				equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
				equal(t, "writes", [][]string{{"u1", "u2", "u3"}}, r.writer.calls())
				equal(t, "counted once", map[gitops.State]int{gitops.Committed: 3}, r.recorder.counts())
				r.Stop(t.Context())
			})
		})
	}
}

func TestTheLeaseIsExtendedDuringALongWrite(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			select {
			case <-time.After(2 * time.Minute):
				return commit(updates), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		r.queue.fail("Extend", fault{errDown, false}, fault{errDown, true})
		r.Start()
		elapse(3 * time.Minute)
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		equal(t, "claims", 1, r.queue.count("Claim"))
		r.Stop(t.Context())
	})
}

func TestALostLaneStopsTheWriteAndSettlesNothing(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		stopped := make(chan struct{})
		r.writer.script = append(r.writer.script, func(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			<-ctx.Done()
			close(stopped)
			return commit(updates), nil // pushed all the same, too late
		})
		r.Start()
		synctest.Wait()
		r.queue.steal(time.Minute)
		elapse(11 * time.Second)
		select {
		case <-stopped:
		default:
			t.Error("the write goes on although another has the lane, and the next extension said so")
		}
		<-stopped
		synctest.Wait()
		equal(t, "settled under an old token", []string(nil), r.queue.states())
		equal(t, "the other holder", "other", r.queue.held()[0].(string))
		equal(t, "attempts to settle", 1, r.queue.count("Settle"))
		elapse(time.Minute) // its lease runs out, and ours comes again
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		r.Stop(t.Context())
	})
}

func TestAStoreThatStaysAwayLosesTheLane(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(ctx context.Context, _ []gitops.Update) ([]gitops.Settlement, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		r.queue.fail("Extend", fault{errDown, false}, fault{errDown, false}, fault{errDown, false}, fault{errDown, false})
		r.Start()
		elapse(time.Minute)
		if r.queue.count("Claim") < 2 {
			t.Error("the lane went on under a lease that had run out")
		}
		r.Stop(t.Context())
	})
}

func TestStopWaitsForTheBatchAtHand(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		goOn := make(chan struct{})
		r.writer.script = append(r.writer.script, func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			<-goOn
			return commit(updates), nil
		})
		r.queue.fail("Settle", fault{errDown, false}) // and the store hiccups just then
		r.Start()
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { r.Stop(context.Background()); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped in the middle of a write")
		default:
		}
		close(goOn)
		<-stopped
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		equal(t, "released clean", []any{"", true}, r.queue.held())
	})
}

func TestStopGivesTheBatchUpAtTheDeadline(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(ctx context.Context, _ []gitops.Update) ([]gitops.Settlement, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		r.Start()
		synctest.Wait()
		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Stop(deadline)
		equal(t, "settled", []string(nil), r.queue.states())
		equal(t, "said not to try again", []time.Time{{}}, r.queue.retryTimes())
		equal(t, "released, but not clean", []any{"", false}, r.queue.held())
	})
}

// What a failed write may have pushed can stand behind more than one batch, when
// updates before it are retried: giving the lane back must not vouch for it.
func TestWhatWasTriedAndIsNotInTheNextBatchIsNotVouchedFor(t *testing.T) {
	batch := func(t *testing.T) *fakeQueue { return newQueue(t, make([]string, 500)...) }
	inBubble(t, batch, func(t *testing.T, r rig) {
		draining := make(chan struct{})
		r.writer.script = append(r.writer.script, refuse, func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			<-draining
			return commit(updates), nil
		})
		r.Start()
		synctest.Wait()
		r.queue.retried(gitops.Update{ID: "u0", Environment: "dev", App: "web"})
		elapse(2 * time.Second)
		go r.Stop(context.Background())
		synctest.Wait()
		close(draining)
		synctest.Wait()
		equal(t, "settled", 500, len(r.queue.states()))
		equal(t, "released, but not clean", []any{"", false}, r.queue.held())
	})
}

func TestStopDoesNotWaitForABackOff(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(context.Context, []gitops.Update) ([]gitops.Settlement, error) {
			return nil, &gitops.Error{Code: gitops.RateLimited, Message: "later", RetryAfter: time.Hour}
		})
		r.Start()
		synctest.Wait()
		before := time.Now()
		r.Stop(context.Background())
		equal(t, "stopped after", time.Duration(0), time.Since(before))
		equal(t, "writes", 1, len(r.writer.calls()))
	})
}

func TestWaitsForAnotherHolder(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.queue.steal(12 * time.Second)
		r.queue.fail("Claim", fault{errDown, false})
		r.Start()
		elapse(11 * time.Second)
		equal(t, "writes meanwhile", 0, len(r.writer.calls()))
		elapse(2 * time.Second)
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		r.Stop(t.Context())
	})
}

func TestCoalesceKeepsTheNewestOfEachApp(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.queue.pending[0].MaybePushed = true // never called superseded: it may be on the branch
		r.queue.add(gitops.Update{App: "web", Tag: "2.0.0"})
		coalescing := r.with(lane.Config{Coalesce: true})
		r.writer.script = append(r.writer.script, func(context.Context, []gitops.Update) ([]gitops.Settlement, error) { return nil, refusal })
		coalescing.Start()
		synctest.Wait()
		equal(t, "superseded before anything is written", []string(nil), r.queue.states())
		r.queue.add(gitops.Update{App: "api", Tag: "1.0.3"})
		r.queue.add(gitops.Update{App: "api", Tag: "1.0.4"})
		elapse(2 * time.Second)
		// u3 was in the write that failed: it may be on the branch, so it stays.
		equal(t, "writes", [][]string{{"u1", "u3", "u4"}, {"u1", "u3", "u4", "u6"}}, r.writer.calls())
		equal(t, "settled", []string{"u2 superseded", "u5 superseded", "u1 committed", "u3 committed", "u4 committed", "u6 committed"}, r.queue.states())
		equal(t, "why", "1.0.4 was accepted while this waited (update u6), and dev coalesces to the newest", r.queue.settled[0].Reason)
		coalescing.Stop(t.Context())
	})
}

// A newer update that cannot be written does not take the older one with it.
func TestCoalesceDropsNothingForAnUpdateThatFails(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		coalescing := r.with(lane.Config{Coalesce: true})
		r.writer.script = append(r.writer.script, func(_ context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			return []gitops.Settlement{{Update: updates[0].ID, State: gitops.Failed, Code: gitops.Invalid, Reason: "no digest"}}, nil
		})
		coalescing.Start()
		synctest.Wait()
		equal(t, "settled", []string{"u3 failed", "u1 superseded", "u2 committed"}, r.queue.states())
		coalescing.Stop(t.Context())
	})
}

// What landed while the lane was being given up is settled all the same.
func TestAWriteThatLandsAfterTheDeadlineIsSettled(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		r.writer.script = append(r.writer.script, func(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error) {
			<-ctx.Done()
			return commit(updates), nil
		})
		r.Start()
		synctest.Wait()
		deadline, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Stop(deadline)
		equal(t, "settled", []string{"u1 committed", "u2 committed", "u3 committed"}, r.queue.states())
		equal(t, "released clean", []any{"", true}, r.queue.held())
	})
}

func TestStuckSeesAWriterThatNeverReturns(t *testing.T) {
	inBubble(t, three, func(t *testing.T, r rig) {
		hang := make(chan struct{})
		r.writer.script = append(r.writer.script, func(context.Context, []gitops.Update) ([]gitops.Settlement, error) {
			<-hang // deaf to its context
			return nil, errors.New("hung")
		})
		r.Start()
		elapse(5 * time.Minute)
		equal(t, "stuck while a write may still be going on", false, r.Stuck())
		elapse(2 * time.Minute)
		equal(t, "stuck", true, r.Stuck())
		close(hang)
		synctest.Wait()
		equal(t, "stuck after it went on", false, r.Stuck())
		r.Stop(t.Context())
	})
}

func TestAnIdleLaneIsNotStuck(t *testing.T) {
	inBubble(t, func(t *testing.T) *fakeQueue { return newQueue(t) }, func(t *testing.T, r rig) {
		r.Start()
		elapse(24 * time.Hour)
		equal(t, "stuck", false, r.Stuck())
		r.Stop(t.Context())
	})
}
