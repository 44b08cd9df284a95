package webhook

import (
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What is rejected changed nothing, and its sender may send as much of it as he
// likes: so little of it is kept, and not for long. A sender fills at most
// 100 an hour x 24 x 7 days = 16,800 rows of about 1.5 KiB, which is 25 MiB; the store
// forgets them after queue.RejectedFor. Accepted deliveries have no such bound.
const (
	// rejectedBody is how much of a rejected body is kept, beside the digest of all.
	rejectedBody = 1 << 10
	// maxRejected is how many rejected deliveries of a sender are kept in rejectedEvery.
	maxRejected   = 100
	rejectedEvery = time.Hour
	// maxSenders is how many senders are counted at a time: some 100 bytes each. Those
	// beyond share one count.
	maxSenders = 10_000
	// toldEvery is how often the log says that a sender is over the bound.
	toldEvery = time.Minute
)

// shorten is a rejected delivery as it is kept.
func shorten(d gitops.Delivery) gitops.Delivery {
	digest := sha256.Sum256(d.Body)
	d.BodyDigest = digest[:]
	d.Body = d.Body[:min(len(d.Body), rejectedBody)]
	return d
}

// refusals counts what is kept of each sender's rejected deliveries. Safe for
// concurrent use; its zero value is ready.
type refusals struct {
	mu      sync.Mutex
	began   time.Time // of the hour that is counted
	senders map[string]*refused
}

type refused struct {
	kept int       // in this hour
	told time.Time // when the log last said that there are more
}

// full reports whether no more of the sender's rejected deliveries are to be kept this
// hour, and whether it is time to say so.
func (r *refusals) full(sender string, now time.Time) (full, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of(sender, now)
	if s.kept < maxRejected {
		return false, false
	}
	if tell = s.told.IsZero() || now.Sub(s.told) >= toldEvery; tell {
		s.told = now
	}
	return true, tell
}

// keep counts a rejected delivery that was kept.
func (r *refusals) keep(sender string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(sender, now).kept++
}

func (r *refusals) of(sender string, now time.Time) *refused {
	if since := now.Sub(r.began); r.senders == nil || since >= rejectedEvery || since < 0 {
		r.began, r.senders = now, make(map[string]*refused)
	}
	if len(r.senders) >= maxSenders && r.senders[sender] == nil {
		sender = ""
	}
	s := r.senders[sender]
	if s == nil {
		s = &refused{}
		r.senders[sender] = s
	}
	return s
}

// senderOf names whoever sent a delivery, for the count.
func senderOf(d gitops.Delivery) string {
	if d.Principal != "" {
		return d.Principal
	}
	return d.Source + " " + d.Remote
}

// logFull says that rejected deliveries of a sender are not kept.
func (in *Intake) logFull(d gitops.Delivery) {
	in.Logger.Warn("rejected deliveries are not kept: their sender has too many", slog.String("source", d.Source), slog.String("principal", d.Principal),
		slog.String("actor", d.Actor), slog.String("remote", d.Remote), slog.Int("kept", maxRejected), slog.Duration("in", rejectedEvery))
}
