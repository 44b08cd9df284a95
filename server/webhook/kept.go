package webhook

import (
	"crypto/sha256"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What is rejected or ignored changed nothing, and its sender may send as much of it as
// he likes, also one who may order nothing: so little of it is kept. A sender has at most
//
//	rejected: 100 an hour x 24 x 7 days, when the store forgets them (queue.UnacceptedFor)
//	ignored:  300 an hour x 24 x 7 days
//	waiting:  100 an hour, and queue.MaxWaiting of all senders
//
// rows of about 1.5 KiB, which is 25 MiB and 75 MiB, and those that wait some 2 KiB, 200 MiB
// at most; the reason of an order with several problems makes 2 KiB more, and 60 MiB.
// Accepted deliveries have no such bound.
const (
	// bodyKept is how much of such a body is kept, beside the digest of all.
	bodyKept = 1 << 10
	// maxRejected and maxIgnored are how many of a sender are kept in keptEvery. A
	// registry has many events that mean nothing here, and each may be asked for.
	maxRejected = 100
	maxIgnored  = 300
	keptEvery   = time.Hour
	// maxSenders is how many senders are counted at a time: some 100 bytes each. Those
	// beyond share one count.
	maxSenders = 10_000
	// toldEvery is how often the log says that a sender is over the bound.
	toldEvery = time.Minute
)

// Why a delivery that became no updates is not kept.
const (
	notKeptSender = "sender_limit"
	notKeptRoom   = "store_nearly_full"
)

// NotKeptReasons is the closed set of what a [Recorder] is told.
func NotKeptReasons() []string { return []string{notKeptSender, notKeptRoom} }

// whyNotKept counts one more delivery of a sender, and returns why it is not kept; ""
// when it is. The store says itself, once, that it has no room.
func (in *Intake) whyNotKept(sender string, d gitops.Delivery) string {
	if in.Spare != nil && !in.Spare() {
		return notKeptRoom
	}
	most := mostKept(d.Outcome)
	kept, tell := in.counts().keep(sender, most, in.Now())
	if tell {
		in.logNotKept(d, most)
	}
	if !kept {
		return notKeptSender
	}
	return ""
}

// shorten is a delivery that became no updates as it is kept.
func shorten(d gitops.Delivery) gitops.Delivery {
	digest := sha256.Sum256(d.Body)
	d.BodyDigest = digest[:]
	d.Body = d.Body[:min(len(d.Body), bodyKept)]
	return d
}

// nameOrder notes what a rejected or waiting order is for, so that whoever reads there finds it.
// What its targets do not have in common is left out: who may read one of them may not
// read of the others.
func nameOrder(d *gitops.Delivery, orders []gitops.Order) {
	if d.Outcome != gitops.OutcomeRejected && d.Outcome != gitops.OutcomeWaiting || len(orders) == 0 || gitops.CheckName("", orders[0].Environment) != nil {
		return
	}
	first := orders[0]
	if slices.ContainsFunc(orders, func(o gitops.Order) bool { return o.Environment != first.Environment }) {
		return
	}
	d.Environment = first.Environment
	if gitops.CheckName("", first.App) == nil && !slices.ContainsFunc(orders, func(o gitops.Order) bool { return o.App != first.App }) {
		d.App = first.App
	}
}

// mostKept is how many deliveries with an outcome are kept of a sender.
func mostKept(outcome gitops.Outcome) int {
	if outcome == gitops.OutcomeIgnored {
		return maxIgnored
	}
	return maxRejected
}

// counts are what the intake counts by.
func (in *Intake) counts() *Kept {
	if in.Kept != nil {
		return in.Kept
	}
	return &in.own
}

// Kept counts the deliveries of each sender that are kept in part. Safe for concurrent
// use; its zero value is ready.
type Kept struct {
	mu      sync.Mutex
	began   time.Time // of the hour that is counted
	senders map[string]*kept
}

type kept struct {
	count int       // in this hour
	told  time.Time // when the log last said that there are more
}

// keep counts one more delivery of a sender before it is stored, so that many at once
// keep to the bound, too. When there are too many in this hour it is not kept, and tell
// says whether it is time to say so.
func (p *Kept) keep(sender string, most int, now time.Time) (ok, tell bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(sender, now)
	if s.count < most {
		s.count++
		return true, false
	}
	if tell = s.told.IsZero() || now.Sub(s.told) >= toldEvery; tell {
		s.told = now
	}
	return false, tell
}

// giveBack takes back the count of a delivery that was not stored. After the hour there
// is nothing to take back.
func (p *Kept) giveBack(sender string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of(sender, p.began); s.count > 0 {
		s.count--
	}
}

func (p *Kept) of(sender string, now time.Time) *kept {
	if since := now.Sub(p.began); p.senders == nil || since >= keptEvery || since < 0 {
		p.began, p.senders = now, make(map[string]*kept)
	}
	if len(p.senders) >= maxSenders && p.senders[sender] == nil {
		sender = ""
	}
	s := p.senders[sender]
	if s == nil {
		s = &kept{}
		p.senders[sender] = s
	}
	return s
}

// senderOf names whoever sent a delivery with its outcome, for the count.
func senderOf(d gitops.Delivery) string {
	if d.Principal != "" {
		return string(d.Outcome) + " " + d.Principal
	}
	return string(d.Outcome) + " " + d.Source + " " + d.Remote
}

// logNotKept says that deliveries of a sender are not kept.
func (in *Intake) logNotKept(d gitops.Delivery, most int) {
	in.Logger.Warn("deliveries are not kept: their sender has too many without updates", slog.String("source", d.Source), slog.String("outcome", string(d.Outcome)),
		slog.String("principal", d.Principal), slog.String("actor", d.Actor), slog.String("remote", d.Remote), slog.Int("kept", most), slog.Float64("seconds", keptEvery.Seconds()))
}
