package proposals

import (
	"slices"
	"sync"
	"time"
)

// Bounds of what is written to a forge. GitHub bears about 80 creations of content a minute
// and 500 an hour by one account, and asks for at least a second between writes (docs.github.com,
// "Rate limits for the REST API" and "Best practices"). One write a second is at most 60 a
// minute. What takes something back, closing and disarming, is spaced alone: it must not
// wait for an hour to be over.
//
// The account tells app repositories of updates, too (server/feedback), maybe in another
// process, so the limits are divided: 60 a minute and 350 an hour here, 20 and 150 there, 80
// and 500 in all.
const (
	writeEvery  = time.Second
	mostPerHour = 350
)

// Pace spaces the writes of all rooms that use one account of a forge. Safe for concurrent use.
type Pace struct {
	mu      sync.Mutex
	last    time.Time   // of the last write
	created []time.Time // of what counts by the hour, oldest first
}

// next is when a write may be made, at the earliest.
func (p *Pace) next(now time.Time, creates bool) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at(now, creates)
}

// at is when the next write may be made. The caller holds mu.
func (p *Pace) at(now time.Time, creates bool) time.Time {
	for len(p.created) > 0 && now.Sub(p.created[0]) >= time.Hour {
		p.created = p.created[1:]
	}
	at := p.last.Add(writeEvery)
	if creates && len(p.created) >= mostPerHour {
		if full := p.created[0].Add(time.Hour); full.After(at) {
			at = full
		}
	}
	return at
}

// take takes the turn of a write that is made now, and reports whether it may be.
func (p *Pace) take(now time.Time, creates bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at(now, creates).After(now) {
		return false
	}
	if p.last = now; creates {
		p.created = append(p.created, now)
	}
	return true
}

// giveBack gives back the turn of a write that was taken and was not made.
func (p *Pace) giveBack(taken time.Time, creates bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if creates {
		if at := slices.Index(p.created, taken); at >= 0 {
			p.created = slices.Delete(p.created, at, at+1)
		}
	}
}
