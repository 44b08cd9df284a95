package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// cluster is what a site's releases to prod are followed into: an Argo CD whose webhook is
// lost and whose rollout of app-00 pauses half way, and a receiver of notifications.
type cluster struct {
	*site
	ctx  context.Context
	argo *argocdtest.Server
	app  *argocdtest.Model

	mu   sync.Mutex
	told []notify.Message
	news chan struct{}             // closed and replaced when one more is told
	hold map[notify.Kind]chan bool // of messages that are not answered; closed when one has come
}

// clustered has the site's prod followed, and told of.
func (s *site) clustered(ctx context.Context) *cluster {
	s.t.Helper()
	c := &cluster{site: s, ctx: ctx, argo: argocdtest.New(s.t, nil), news: make(chan struct{}), hold: make(map[notify.Kind]chan bool)}
	receiver := httptest.NewServer(c)
	s.t.Cleanup(func() {
		receiver.CloseClientConnections() // some are not answered
		receiver.Close()
	})
	for name, text := range map[string]string{"argocd-token": c.argo.Token("myshop"), "hook": "whsec_c2VjcmV0LW9mLXRoZS1ub3RpZmllcnMtMzItYnl0ZXMh\n"} {
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	text, err := os.ReadFile(s.config())
	s.must(err)
	changed := strings.NewReplacer("dev:     {", "dev:     {rollout: {by: none}, ", "staging: {", "staging: {rollout: {by: none}, ", "environments:\n", fmt.Sprintf(
		"argocd: [{url: %q, tokenFile: %[2]s/argocd-token, projects: [myshop]}]\nnotify: [{name: ops, webhook: {url: %[3]q, secretFile: %[2]s/hook}, kinds: [committed, healthy, degraded]}]\nenvironments:\n",
		c.argo.Listen(), s.dir, receiver.URL)).Replace(string(text))
	s.must(os.WriteFile(s.config(), []byte(changed), 0o600))
	revision, was := c.tip()
	c.app = c.argo.Add(argocdtest.App{
		Project: "myshop", Name: "app-00-prod", Kind: "Rollout", Image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-00", Revision: revision, Tag: was, Git: c.tip,
		Sources:   []argocdtest.Source{{RepoURL: s.repository.URL, TargetRevision: "main", Path: "charts/app-00", ValueFiles: []string{"values-prod.yaml"}}},
		Behaviour: argocdtest.Behaviour{WebhookLost: true, Rollout: 300 * time.Millisecond},
	})
	return c
}

// tip is that of the branch, and the tag that app-00 has there in prod.
func (c *cluster) tip() (revision, tag string) {
	revision, err := c.repository.Git("rev-parse", "main")
	if err != nil {
		c.t.Error(err)
	}
	revision = strings.TrimSpace(revision)
	text, err := c.repository.Git("show", revision+":charts/app-00/values-prod.yaml")
	if err != nil {
		c.t.Error(err)
	}
	return revision, regexp.MustCompile(`tag: (\S+)`).FindStringSubmatch(text)[1]
}

// ServeHTTP takes a message.
func (c *cluster) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var m notify.Message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		return // the sender is gone
	}
	c.mu.Lock()
	c.told = append(c.told, m)
	close(c.news)
	c.news = make(chan struct{})
	came := c.hold[m.Kind]
	delete(c.hold, m.Kind)
	c.mu.Unlock()
	if came != nil {
		close(came)
		<-r.Context().Done()
	}
}

// leaveOpen has the next message of a kind not answered. What it returns is closed when one
// has come.
func (c *cluster) leaveOpen(k notify.Kind) (came chan bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	came = make(chan bool)
	c.hold[k] = came
	return came
}

// awaitTold waits until something was told of a tag so often, or for as long.
func (c *cluster) awaitTold(k notify.Kind, tag string, times int, most time.Duration) bool {
	end := time.After(most)
	for {
		c.mu.Lock()
		n, news := 0, c.news
		for _, m := range c.told {
			if m.Kind == k && m.Update != nil && m.Update.Tag == tag {
				n++
			}
		}
		c.mu.Unlock()
		if n >= times {
			return true
		}
		select {
		case <-news:
		case <-end:
			return false
		}
	}
}

// order orders a tag of app-00 in prod.
func (c *cluster) order(base, tag string) (u gitops.Update) {
	c.t.Helper()
	d, err := c.client(base).Order(c.ctx, "order-of-"+tag, api.OrderRequest{App: []string{"app-00"}, Environment: []string{"prod"}, Tag: tag})
	c.must(err)
	return d.Updates[0]
}

func (c *cluster) client(base string) *client.Client {
	c.t.Helper()
	asks, err := client.New(base, "s3cret-of-the-api-and-long")
	c.must(err)
	return asks
}

// awaitRollout waits until an update's rollout is in a state.
func (c *cluster) awaitRollout(base string, u gitops.Update, state gitops.RolloutState) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 90*time.Second)
	defer cancel()
	var last gitops.Update
	is := func(u gitops.Update) bool { return u.Rollout != nil && u.Rollout.State == state }
	if err := c.client(base).Await(ctx, []gitops.Update{u}, is, func(u gitops.Update) { last = u }); err != nil {
		c.t.Fatalf("%s is not %s: %+v: %v", u.Tag, state, last.Rollout, err)
	}
}

// begun has an update come to run and be told, and the next rollouts pause: a follower and a
// notifier begin with what happens when they are up, which nothing tells.
func (c *cluster) begun(base string) {
	c.t.Helper()
	for n := range 5 {
		tag := fmt.Sprintf("main-aaaaaa%d", n)
		c.order(base, tag)
		if c.awaitTold(notify.KindHealthy, tag, 1, 10*time.Second) {
			c.app.Change(func(b *argocdtest.Behaviour) { b.Pauses = true })
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Fatalf("no update comes to run and is told; told is %+v", c.told)
}

// once wants one healthy verdict of an update.
func (c *cluster) once(base string, u gitops.Update) {
	c.t.Helper()
	c.awaitRollout(base, u, gitops.RolloutHealthy)
	u, err := c.client(base).Update(c.ctx, u.ID)
	c.must(err)
	var verdicts []gitops.RolloutState
	for _, s := range u.Steps {
		if s.Rollout.Final() {
			verdicts = append(verdicts, s.Rollout)
		}
	}
	if len(verdicts) != 1 || u.State != gitops.Committed {
		c.t.Errorf("%s is %s with the verdicts %v", u.Tag, u.State, verdicts)
	}
}

// toldInOrder wants each of these told, in this order; what came more than once has one id.
func (c *cluster) toldInOrder(want ...string) {
	c.t.Helper()
	last := want[len(want)-1]
	kind, tag, _ := strings.Cut(last, " ")
	c.awaitTold(notify.Kind(kind), tag, 1, time.Minute)
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make(map[string]string)
	var got []string
	for _, m := range c.told {
		what := string(m.Kind) + " " + m.Update.Tag
		if cmp.Or(ids[what], m.ID) != m.ID {
			c.t.Errorf("%s was told as %s and as %s", what, ids[what], m.ID)
		}
		ids[what] = m.ID
		if !strings.Contains(what, "main-aaaaaa") && !slices.Contains(got, what) {
			got = append(got, what)
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("told was %q, want %q", got, want)
	}
}

// clusterOf is that of a site of one process.
func clusterOf(t *testing.T) (*heldSite, *cluster) {
	t.Helper()
	h := newHeldSite(t)
	return h, h.clustered(h.ctx)
}
