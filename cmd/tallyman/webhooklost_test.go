package main

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// Argo CD's webhook is lost: from a signed dispatch until it is known that its pods run it
// are less than 3 s more than the pods take, since tallyman asks Argo CD to look. The best of
// three counts: other work of the machine delays some.
func TestWebhookLost(t *testing.T) {
	const pods = 1600 * time.Millisecond
	h, c := clusterOf(t)
	h.begin()
	c.begun(h.base)
	c.app.Change(func(b *argocdtest.Behaviour) { b.Pauses, b.Rollout = false, pods })
	var took time.Duration
	for _, tag := range []string{"main-1111111", "main-2222222", "main-3333333"} {
		before := len(c.argo.Requests("refresh=normal"))
		h.dispatch(h.base, tag)
		if !c.awaitTold(notify.KindHealthy, tag, 1, time.Minute) {
			t.Fatalf("%s does not come to run", tag)
		}
		now, err := c.client(h.base).Update(h.ctx, c.lastTold().Update.ID)
		h.must(err)
		took = now.Rollout.Since.Sub(now.AcceptedAt)
		t.Logf("%s runs %s after it was accepted", tag, took)
		if n := len(c.argo.Requests("refresh=normal")) - before; n == 0 || now.Rollout.State != gitops.RolloutHealthy {
			t.Errorf("%d refreshes, and it is %s", n, now.Rollout.State)
		}
		if took < 3*time.Second+pods {
			return
		}
	}
	t.Errorf("with pods that take %s it took %s", pods, took)
}

// lastTold is the last message.
func (c *cluster) lastTold() notify.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told[len(c.told)-1]
}
