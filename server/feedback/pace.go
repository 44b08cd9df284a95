package feedback

import "time"

// GitHub lets an App make about 80 pieces of content a minute and 500 an hour, and asks for a
// second between two writes. Pull requests share that: they are written at least a second
// apart, 60 a minute, and at most 350 an hour (gitops/proposals), since a release waits for
// them. So 20 a minute are left, one in 3 seconds; and of the hour's 500 this takes at most
// burst + an hour / each = 60 + 90 = 150, however they fall: 350 + 150 = 500. The two may be
// in different processes, so what one does not use the other does not get.
// Reads are of the 5,000 requests an hour that an installation has: with one in 2 seconds at
// most 1,800 of them.
//
// Facts: GitHub's documentation, "Rate limits for the REST API", "Best practices for using
// the REST API".
const (
	betweenWrites = 3 * time.Second
	betweenCalls  = 2 * time.Second
	burst         = 60
	each          = 40 * time.Second
)

// pace says when GitHub may be called. What was written is remembered as the time at which
// all of it would have been written, one each: it is one time to keep, and the next replica
// goes on from there.
type pace struct {
	paid    time.Time // durable
	written time.Time // the last write, by this replica
	called  time.Time
	until   time.Time // GitHub asks to be left alone until then
	limits  int       // in a row that it has set
}

// at is when the next call may be made.
func (p *pace) at(write bool) time.Time {
	at := latest(p.until, p.called.Add(betweenCalls))
	if write {
		at = latest(at, p.written.Add(betweenWrites), p.paid.Add(-burst*each))
	}
	return at
}

// call notes a call.
func (p *pace) call(now time.Time) { p.called = now }

// write notes a write that will be made.
func (p *pace) write(now time.Time) {
	p.written, p.paid = now, latest(p.paid, now).Add(each)
}

func latest(times ...time.Time) (at time.Time) {
	for _, t := range times {
		if t.After(at) {
			at = t
		}
	}
	return at
}
