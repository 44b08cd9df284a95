package simulation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// dispatch is one event and what its sender knows of it.
type dispatch struct {
	source, id string
	header     http.Header
	body       string

	sent, answered int64 // by a counter that all senders share; answered is 0 until it was
	updates        []gitops.Update
}

var ticks atomic.Int64

// order is a signed repository_dispatch of a repository, of one app in one environment
// or of several. Without a nonce it has the body of another that asks for the same.
func order(id, nonce string, repository int, environments, apps []string, tag string) *dispatch {
	body := fmt.Sprintf(`{"action":"update-image","client_payload":{"app":%s,"env":%s,"tag":%q,"nonce":%q},"repository":{"id":%d},"sender":{"login":"ann"}}`,
		names(apps), names(environments), tag, nonce, repository)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-GitHub-Event", "repository_dispatch")
	header.Set("X-GitHub-Delivery", id)
	header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	return &dispatch{source: "github", id: id, header: header, body: body}
}

// push is EventBridge's word for an image that appeared, which it does about now.
func (w *world) push(r *rand.Rand, id, app, tag string, at time.Time) *dispatch {
	account, rest, _ := strings.Cut(hostOf(app), ".dkr.ecr.")
	region, _, _ := strings.Cut(rest, ".")
	header := http.Header{}
	header.Set("X-Tallyman-Key", string(secret))
	body := fmt.Sprintf(`{"id":%q,"source":"aws.ecr","detail-type":"ECR Image Action","account":%q,"region":%q,"time":%q,
		"detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":%q,"image-tag":%q,"image-digest":%q}}`,
		id, account, region, at.UTC().Format(time.RFC3339), app, tag, w.registries.push(r, app, tag))
	return &dispatch{source: "eventbridge", id: id, header: header, body: body}
}

// invent makes an event: mostly one that asks for something, now and then one
// that was sent before.
func (w *world) invent(r *rand.Rand, n int) *dispatch {
	if len(w.sent) > 0 && r.IntN(8) == 0 {
		first := w.sent[r.IntN(len(w.sent))]
		return &dispatch{source: first.source, id: first.id, header: first.header, body: first.body}
	}
	app := one(r, apps...)
	if r.IntN(15) == 0 {
		app = ghost
	}
	tag := fmt.Sprintf("main-%07x", n)
	environment := one(r, environments...)
	if old := w.check.saidOnce(r, release{environment, app}); old != "" && r.IntN(5) == 0 {
		tag = old // perhaps what the branch says already
	}
	version := inventVersion(r, n)
	id := fmt.Sprintf("delivery-%d", n)
	nonce := one(r, "", id)
	switch kind := r.IntN(10); {
	case kind < 6:
		if environment == "prod" {
			tag = version
		}
		if r.IntN(12) == 0 {
			met.meet("a dispatch came from a repository that may order nothing")
			return order(id, nonce, othersRepository, []string{environment}, []string{app}, tag)
		}
		toEnvironments, toApps := several(n, environment, app)
		return order(id, nonce, ourRepository, toEnvironments, toApps, tag)
	case kind == 6:
		return order(id, nonce, ourRepository, []string{"nowhere"}, []string{app}, tag)
	default:
		ago := one(r, 0, 0, 5*time.Second, time.Minute, 5*time.Minute)
		if !w.sweeps && r.IntN(8) == 0 {
			ago = -between(r, time.Second, 15*time.Minute) // its clock is ahead
		}
		return w.push(r, id, app, one(r, tag, version), time.Now().Add(-ago))
	}
}

// send sends an event until it is answered, to one replica after the other, or
// gives up after some tries as GitHub does after one.
func (w *world) send(r *rand.Rand, d *dispatch) {
	d.sent = ticks.Add(1)
	w.check.sending(d)
	if d.source == orders.Source() {
		w.hub.remember(d)
	}
	tries, order := 1+r.IntN(6), r.Perm(len(w.places))
	pauses := make([]time.Duration, tries)
	for i := range pauses {
		pauses[i] = between(r, 10*time.Millisecond, 5*time.Second)
	}
	w.senders.Go(func() {
		for try := range tries {
			to := w.places[order[try%len(order)]].Load()
			if w.request(to, d) {
				return
			}
			time.Sleep(pauses[try])
		}
	})
}

// saidOnce is a tag that the branch says of an app, or has said.
func (c *checker) saidOnce(r *rand.Rand, of release) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	history := c.said[of]
	if len(history) == 0 || !strings.HasPrefix(history[len(history)-1].tag, "main-") {
		return ""
	}
	return one(r, history[len(history)-1], history[r.IntN(len(history))]).tag
}

// request sends an event once and reports whether it was answered for good.
func (w *world) request(to *replica, d *dispatch) bool {
	if to.isDead() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tallyman.example/webhooks/"+d.source, strings.NewReader(d.body))
	if err != nil {
		panic(err) // the request is ours
	}
	r.Header = d.header
	status, delivery, err := to.handlers[d.source].Handle(httptest.NewRecorder(), r)
	if ctx.Err() != nil || to.isDead() {
		return false // the answer reached nobody
	}
	w.tell("%s is answered by %s: %d, %v", d.id, to.name, status, err)
	switch {
	case gitops.CodeOf(err) == gitops.Unavailable && err != nil:
		return false
	case err != nil && gitops.CodeOf(err) != gitops.Rejected:
		w.check.violated("%s was answered with %v", d.id, err)
		return true
	}
	if delivery.ID != d.id {
		met.meet("a dispatch was known by its body")
	}
	d.answered, d.updates = ticks.Add(1), delivery.Updates
	w.check.answered(d)
	return true
}
