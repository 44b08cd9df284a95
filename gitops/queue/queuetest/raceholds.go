package queuetest

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// raceStops is how often a lane is stopped by each view.
const raceStops = 10

// raceStop is a stop, and a channel that is closed when it was lifted.
type raceStop struct {
	id     string
	lifted chan struct{}
}

// stopAndResume stops a lane and resumes it, many times: each time when somebody has judged
// updates by the stop, who may report that only after it was lifted. When all is sent there
// may be nothing left to judge.
func (r *race) stopAndResume(q queue.Queue, environment string) {
	for range raceStops {
		placed, err := q.Place(context.Background(), queue.Placement{Holds: []gitops.Hold{stopOf(environment)}})
		if err != nil {
			r.t.Errorf("Place: %v", err)
			return
		}
		stop := raceStop{placed.Holds[0].ID, make(chan struct{})}
		select {
		case r.stopped[environment] <- stop:
		case <-r.sent:
		}
		lifting := queue.Lifting{IDs: []string{stop.id}, Principal: "token:ops", Actor: "token:ops"}
		_, err = q.Lift(context.Background(), lifting)
		close(stop.lifted)
		if err != nil {
			r.t.Errorf("Lift: %v", err)
			return
		}
	}
}

// judge returns what holds some of the lane's updates, as a lane does, and of that the
// reason that is over by then: now and then a stop was lifted before it returns.
func (r *race) judge(q queue.Queue, environment string, late bool) (by []gitops.Block, over string) {
	held, err := q.HoldsInForce(context.Background())
	if err != nil {
		r.t.Errorf("HoldsInForce: %v", err)
		return nil, ""
	}
	for _, h := range held.Holds {
		if h.Covers(environment, "") {
			by = append(by, gitops.Block{Kind: gitops.BlockStop, Reason: h.ID, Revision: held.Revision})
		}
	}
	if len(by) == 0 || !late {
		return by, ""
	}
	select {
	case stop := <-r.stopped[environment]:
		<-stop.lifted
		return by, stop.id
	default:
		return by, ""
	}
}

// notHeld fails for an update that waits for a stop that was lifted before it was reported.
func (r *race) notHeld(q queue.Queue, updates []gitops.Update, over string) {
	for _, u := range updates {
		u, err := q.Update(context.Background(), u.ID)
		if err != nil {
			r.t.Errorf("Update: %v", err)
			return
		}
		for _, b := range u.BlockedBy {
			if b.Reason == over {
				r.t.Errorf("update %s waits for %s, which was lifted", u.ID, over)
			}
		}
	}
}
