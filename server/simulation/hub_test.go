package simulation

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/missed"
)

// hub is what GitHub remembers of what it sent to the App.
type hub struct {
	mu   sync.Mutex
	sent []githubapp.Delivery
	of   []*dispatch // the same, in the same order
}

const hubPage = 10

func (h *hub) remember(d *dispatch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, githubapp.Delivery{ID: int64(len(h.sent)), GUID: d.id, DeliveredAt: time.Now().UTC()})
	h.of = append(h.of, d)
}

// body is what was sent as a delivery.
func (h *hub) body(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[slices.IndexFunc(h.of, func(d *dispatch) bool { return d.id == id })].body
}

// hubLink is one replica's way to GitHub, for the real sweep.
type hubLink struct{ *replica }

// visit makes one call, which takes time and may fail.
func (l hubLink) visit(ctx context.Context) error {
	turn := l.chance.turn(l.name+"/hub", 50*time.Millisecond)
	l.gate(turn.detail)
	if !l.wait(ctx, turn.out) || turn.fault < l.networkFaults() || l.networkCut.Load() {
		l.gate(turn.detail)
		return gitops.Errorf(gitops.Unavailable, "GitHub does not answer")
	}
	l.gate(turn.detail)
	return nil
}

func (l hubLink) Deliveries(ctx context.Context, cursor string) (page []githubapp.Delivery, next string, err error) {
	if err := l.visit(ctx); err != nil {
		return nil, "", err
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	end := len(l.hub.sent)
	if cursor != "" {
		end = must(strconv.Atoi(cursor))
	}
	begin := max(0, end-hubPage)
	page = slices.Clone(l.hub.sent[begin:end])
	slices.Reverse(page)
	if begin > 0 {
		next = strconv.Itoa(begin)
	}
	return page, next, nil
}

func (l hubLink) DeliveryRequest(ctx context.Context, id int64) (githubapp.DeliveryRequest, error) {
	if err := l.visit(ctx); err != nil {
		return githubapp.DeliveryRequest{}, err
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	d := l.hub.of[id]
	return githubapp.DeliveryRequest{Header: d.header, Body: []byte(d.body)}, nil
}

// Redeliver is for what GitHub has no payload of; here it has all.
func (l hubLink) Redeliver(context.Context, int64) error {
	panic("the sweep asks for a delivery whose payload it was given")
}

// sweep looks for missed deliveries until the process is gone.
func (r *replica) sweep(ctx context.Context) {
	missed.New(missed.Config{Job: "job/missed",
		App: hubLink{r}, Store: r.store, Recorder: uncounted{}, Logger: silent,
		GitHub: func() (missed.Destination, bool) { return missed.Destination{Receiver: orders, Intake: r.intake}, true },
		Holder: r.name, Now: func() time.Time { return r.now().UTC() },
	}).Run(ctx)
}
