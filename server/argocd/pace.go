package argocd

import (
	"context"
	"time"
)

// How many requests begin within any while of the length of window. The first so many of them
// as burst says may begin at once; then they come evenly, because of many that begin together
// some arrive late, with those of the next second.
const (
	maxRequests = 10
	window      = time.Second
	burst       = 5
)

// pace has requests begin in the order in which they came, none too soon.
type pace struct {
	turn chan struct{} // has an element while somebody has the turn

	// Both belong to whoever has the turn.
	begun [maxRequests]time.Time // of the latest requests
	next  int                    // index in begun of the oldest
}

func newPace() *pace { return &pace{turn: make(chan struct{}, 1)} }

// wait returns when a request may begin. When its turn comes it asks whether it is still
// wanted: an error of that is returned at once, and takes nothing of the pace.
func (p *pace) wait(ctx context.Context, wanted func() error) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	if err := wanted(); err != nil {
		return err
	}
	if left := time.Until(p.soonest()); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.begun[p.next] = time.Now()
	p.next = (p.next + 1) % maxRequests
	return nil
}

// soonest is when the next request may begin.
func (p *pace) soonest() time.Time {
	soonest, last := p.ago(maxRequests).Add(window), p.ago(1)
	if even := last.Add(window / maxRequests); p.ago(burst).Add(window).After(last) && even.After(soonest) {
		return even
	}
	return soonest
}

// ago is when the nth last request began; zero where there was none.
func (p *pace) ago(n int) time.Time { return p.begun[(p.next+maxRequests-n)%maxRequests] }
