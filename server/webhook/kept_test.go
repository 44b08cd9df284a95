package webhook_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// sender brings deliveries into an intake whose clock stands still, and whose store is
// the model of all stores.
type sender struct {
	*fakes
	t      *testing.T
	now    time.Time
	store  *queuetest.Model
	intake *webhook.Intake
}

func newSender(t *testing.T) *sender {
	s := &sender{fakes: newFakes(t), t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	s.store = queuetest.NewModel(clock, queuetest.Hooks{})
	s.intake = &webhook.Intake{
		Planner: s.fakes, Authorizer: s.fakes, Inbox: s.store, Recorder: s.fakes, Logger: slog.New(slog.NewJSONHandler(s.fakes, nil)), Now: clock, Config: "c0ffee",
	}
	return s
}

// send brings in a delivery of a kind: "order", or "wrong order", which is rejected.
func (s *sender) send(id, kind, remote string, digest []byte) (gitops.Delivery, bool, error) {
	s.t.Helper()
	body := []byte(id + " " + kind + strings.Repeat(" ", 60<<10))
	e, err := s.Decode(nil, body)
	if err != nil {
		s.t.Fatal(err)
	}
	e.BodyDigest, e.Principal = digest, gitops.Principal{Token: remote}
	return s.intake.Accept(s.t.Context(), webhook.Inbound{Event: e, Body: body, Remote: remote, Credential: "test secret"})
}

func (s *sender) reject(id, remote string) {
	s.t.Helper()
	if _, accepted, err := s.send(id, "wrong order", remote, nil); accepted || gitops.CodeOf(err) != gitops.Rejected {
		s.t.Fatalf("%s: accepted is %t, %v", id, accepted, err)
	}
}

func (s *sender) kept(id string) (gitops.Delivery, bool) {
	s.t.Helper()
	d, err := s.store.Delivery(s.t.Context(), gitops.DeliveryKey{Source: source, ID: id})
	if err != nil && gitops.CodeOf(err) != gitops.NotFound {
		s.t.Fatal(err)
	}
	return d, err == nil
}

// TestRejectedAreKeptInPart is a large body that is rejected, and one that is not.
func TestRejectedAreKeptInPart(t *testing.T) {
	s := newSender(t)
	s.reject("r1", "192.0.2.1")
	body := []byte("r1 wrong order" + strings.Repeat(" ", 60<<10))
	d, _ := s.kept("r1")
	if digest := sha256.Sum256(body); len(d.Body) != 1<<10 || string(d.Body) != string(body[:1<<10]) || string(d.BodyDigest) != string(digest[:]) {
		t.Errorf("kept are %d bytes and the digest %x", len(d.Body), d.BodyDigest)
	}
	if _, accepted, err := s.send("o1", "order", "192.0.2.1", nil); !accepted || err != nil {
		t.Fatal(accepted, err)
	}
	if d, _ := s.kept("o1"); len(d.Body) < 60<<10 || d.BodyDigest != nil || d.Config != "c0ffee" {
		t.Errorf("of an accepted delivery %d bytes are kept, the digest %x and the configuration %q", len(d.Body), d.BodyDigest, d.Config)
	}
}

// TestRejectedAreKeptUpToABound sends more than are kept: the answers stay the same,
// others are kept, and so is what is accepted; the log says so once a minute.
func TestRejectedAreKeptUpToABound(t *testing.T) {
	s := newSender(t)
	const bound = 100
	for i := range bound + 5 {
		s.reject(fmt.Sprint("r", i), "192.0.2.1")
		if _, kept := s.kept(fmt.Sprint("r", i)); kept != (i < bound) {
			t.Fatalf("delivery %d is kept: %t", i, kept)
		}
	}
	lines := func() int { return strings.Count(s.logged.String(), "deliveries are not kept") }
	if lines() != 1 || strings.Count(strings.Join(s.outcomes, " "), "not kept: sender_limit") != 5 {
		t.Errorf("%d lines in the log, and counted %v", lines(), s.outcomes)
	}
	s.reject("r3", "192.0.2.1") // it is known
	s.reject("other", "192.0.2.2")
	if _, kept := s.kept("other"); !kept {
		t.Error("another sender's is not kept")
	}
	if _, accepted, err := s.send("o1", "order", "192.0.2.1", nil); !accepted || err != nil {
		t.Errorf("an order of the sender: %t, %v", accepted, err)
	}
	for range 3 {
		s.now = s.now.Add(30 * time.Second)
		s.reject("more", "192.0.2.1")
	}
	if lines() != 2 {
		t.Errorf("after 90 s the log has %d lines", lines())
	}
	s.now = s.now.Add(time.Hour)
	s.reject("later", "192.0.2.1")
	if _, kept := s.kept("later"); !kept {
		t.Error("an hour later it is not kept")
	}
}

// TestIgnoredAreKeptUpToABound sends what asks for nothing, which whoever may order
// nothing can send, too: a part is kept of some, and its answer stays the same.
func TestIgnoredAreKeptUpToABound(t *testing.T) {
	s := newSender(t)
	const bound = 300
	ignore := func(id string) (kept bool) {
		t.Helper()
		if d, accepted, err := s.send(id, "nothing", "192.0.2.1", nil); accepted || err != nil || d.Outcome != gitops.OutcomeIgnored || d.ID != id || d.Reason == "" {
			t.Fatalf("%s: %+v, accepted is %t, %v", id, d, accepted, err)
		}
		d, kept := s.kept(id)
		if kept && (len(d.Body) != 1<<10 || len(d.BodyDigest) != sha256.Size) {
			t.Fatalf("of %s %d bytes are kept, and the digest %x", id, len(d.Body), d.BodyDigest)
		}
		return kept
	}
	for i := range bound + 5 {
		if kept := ignore(fmt.Sprint("i", i)); kept != (i < bound) {
			t.Fatalf("delivery %d is kept: %t", i, kept)
		}
	}
	if n := strings.Count(strings.Join(s.outcomes, " "), "not kept: sender_limit"); n != 5 {
		t.Errorf("%d are counted as not kept", n)
	}
	s.reject("r1", "192.0.2.1")
	if _, kept := s.kept("r1"); !kept {
		t.Error("what is ignored counts as rejected")
	}
	s.now = s.now.Add(time.Hour)
	if !ignore("later") {
		t.Error("an hour later it is not kept")
	}
}

// TestTheBoundHoldsForManyAtOnce sends more at once than are kept, all of them before
// the store has answered one.
func TestTheBoundHoldsForManyAtOnce(t *testing.T) {
	s := newSender(t)
	const bound, senders = 100, 150
	release := make(chan struct{})
	inbox := &slowInbox{Inbox: s.store, arrived: make(chan struct{}, senders), release: release}
	s.intake.Inbox = inbox
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() { s.reject(fmt.Sprint("r", i), "192.0.2.1") })
	}
	for range bound {
		<-inbox.arrived
	}
	close(release)
	all.Wait()
	if n := inbox.stored.Load(); n != bound {
		t.Errorf("%d are kept, want %d", n, bound)
	}
}

// TestWhatIsNotStoredDoesNotCount has the store away for as many as are kept in an hour.
func TestWhatIsNotStoredDoesNotCount(t *testing.T) {
	s := newSender(t)
	s.intake.Inbox = away{s.store}
	for i := range 100 {
		if _, _, err := s.send(fmt.Sprint("r", i), "wrong order", "192.0.2.1", nil); gitops.CodeOf(err) != gitops.Unavailable {
			t.Fatal(err)
		}
	}
	s.intake.Inbox = s.store
	s.reject("after", "192.0.2.1")
	if _, kept := s.kept("after"); !kept {
		t.Error("after an outage nothing is kept")
	}
}

// slowInbox stores nothing before release is closed.
type slowInbox struct {
	webhook.Inbox
	arrived chan struct{}
	release chan struct{}
	stored  atomic.Int64
}

func (i *slowInbox) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	i.arrived <- struct{}{}
	<-i.release
	i.stored.Add(1)
	return i.Inbox.Accept(ctx, d)
}

// away is a store that does not answer.
type away struct{ webhook.Inbox }

func (away) Accept(context.Context, gitops.Delivery) (gitops.Delivery, bool, error) {
	return gitops.Delivery{}, false, gitops.Errorf(gitops.Unavailable, "the store is away")
}

// TestKnownDeliveryStaysKnownOverTheBound is an accepted delivery that its sender sends
// again when it would be rejected, and has had too much rejected.
func TestKnownDeliveryStaysKnownOverTheBound(t *testing.T) {
	s := newSender(t)
	if _, accepted, err := s.send("o1", "order", "192.0.2.1", nil); !accepted || err != nil {
		t.Fatal(accepted, err)
	}
	for i := range 100 {
		s.reject(fmt.Sprint("r", i), "192.0.2.1")
	}
	d, accepted, err := s.send("o1", "wrong order", "192.0.2.1", nil)
	if accepted || err != nil || len(d.Updates) != 2 {
		t.Errorf("a known delivery: %+v, %t, %v", d, accepted, err)
	}
}

// TestSameBodyCountsOnce sends the body of an order under another id, before and after
// the first delivery is forgotten.
func TestSameBodyCountsOnce(t *testing.T) {
	s := newSender(t)
	digest := []byte("digest")
	if _, accepted, err := s.send("o1", "order", "192.0.2.1", digest); !accepted || err != nil {
		t.Fatal(accepted, err)
	}
	d, accepted, err := s.send("o2", "order", "192.0.2.1", digest)
	if accepted || err != nil || d.ID != "o1" || !strings.Contains(d.Reason, "received before as "+source+"/o1") || !strings.Contains(d.Reason, "nonce") {
		t.Errorf("the same body is answered with %+v, %t, %v", d, accepted, err)
	}
	if _, accepted, err := s.send("o3", "order", "192.0.2.1", []byte("another")); !accepted || err != nil {
		t.Error(accepted, err)
	}
	if d, accepted, err := s.send("o1", "order", "192.0.2.1", digest); accepted || err != nil || strings.Contains(d.Reason, "nonce") {
		t.Errorf("the first delivery, sent again, is answered with %+v, %t, %v", d, accepted, err)
	}
	if s.outcomes[len(s.outcomes)-1] != "duplicate" {
		t.Errorf("counted are %v", s.outcomes)
	}
}

// TestUnacceptedGoAfterAWeek holds the life of what was rejected or ignored against its
// bound.
func TestUnacceptedGoAfterAWeek(t *testing.T) {
	s := newSender(t)
	for hour := range 2 {
		for i := range 110 {
			s.reject(fmt.Sprintf("r%d-%d", hour, i), "192.0.2.1")
		}
		for i := range 310 {
			if _, _, err := s.send(fmt.Sprintf("i%d-%d", hour, i), "nothing", "192.0.2.1", nil); err != nil {
				t.Fatal(err)
			}
		}
		s.now = s.now.Add(time.Hour)
	}
	s.now = s.now.Add(queue.UnacceptedFor - time.Hour)
	if n, err := s.store.Prune(t.Context(), s.now.Add(-90*24*time.Hour), 1000); n != 100+300 || err != nil {
		t.Errorf("forgotten are %d, %v", n, err)
	}
}
