package argocdtest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// site is a server with one Application, on a clock that a test moves.
type site struct {
	t     *testing.T
	clock *clocktest.Clock
	argo  *argocdtest.Server
	app   *argocdtest.Model
	token string
}

func newSite(t *testing.T, b argocdtest.Behaviour) *site {
	clock := clocktest.New()
	s := &site{t: t, clock: clock, argo: argocdtest.New(t, clock.Now)}
	s.token = s.argo.Token("myshop")
	described := app("myshop", "api")
	described.Behaviour = b
	s.app = s.argo.Add(described)
	return s
}

// body is what a GET answers.
func (s *site) body(query string) (b struct {
	Metadata  struct{ DeletionTimestamp *time.Time }
	Operation *struct{}
	Status    struct {
		Sync           struct{ Status, Revision string }
		Health         struct{ Status string }
		OperationState struct{ Phase, Message string }
		Conditions     []struct{ Type, Message string }
		Summary        struct{ Images []string }
	}
}) {
	s.t.Helper()
	status, text := ask(s.t, s.argo, "GET /api/v1/applications/api?project=myshop"+query, s.token)
	if err := json.Unmarshal([]byte(text), &b); err != nil || status != 200 {
		s.t.Fatalf("%d %s %v", status, text, err)
	}
	return b
}

// now is what it says after a while: sync, revision, health, phase, and + while an operation
// is asked for.
func (s *site) now(after time.Duration) string {
	s.t.Helper()
	s.clock.Pass(after)
	b := s.body("")
	words := []string{b.Status.Sync.Status, b.Status.Sync.Revision, b.Status.Health.Status, b.Status.OperationState.Phase}
	if b.Operation != nil {
		words = append(words, "+")
	}
	return strings.Join(words, " ")
}

func (s *site) says(want string, after time.Duration) {
	s.t.Helper()
	if got := s.now(after); got != want {
		s.t.Errorf("after %s: %q, not %q", after, got, want)
	}
}

// The partial states come in the order that was recorded of a real one.
func TestTheModelGoesThroughThePartialStates(t *testing.T) {
	s := newSite(t, argocdtest.Behaviour{})
	s.says("Synced r1 Healthy Succeeded", 0)
	s.app.Push("r2", "v2")
	s.says("Synced r1 Healthy Succeeded", 299*time.Millisecond)
	s.says("OutOfSync r2 Healthy  +", time.Millisecond)
	s.says("OutOfSync r2 Healthy Running +", 50*time.Millisecond)
	s.says("OutOfSync r2 Healthy Succeeded", 200*time.Millisecond)
	s.says("Synced r2 Progressing Succeeded", 150*time.Millisecond)
	if got := s.body("").Status.Summary.Images; len(got) != 2 {
		t.Errorf("images during the rollout are %v", got)
	}
	s.says("Synced r2 Healthy Succeeded", 2*time.Second)
	s.app.Push("r3", "v2") // somebody else's commit renders the same
	s.says("Synced r3 Healthy Succeeded", time.Second)
}

func TestTheModelsTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour argocdtest.Behaviour
		then      func(s *site)
		want      string
		after     time.Duration
	}{
		"a lost webhook":         {argocdtest.Behaviour{WebhookLost: true}, nil, "Synced r1 Healthy Succeeded", 2 * time.Minute},
		"... until the poll":     {argocdtest.Behaviour{WebhookLost: true}, nil, "Synced r2 Healthy Succeeded", 3*time.Minute + 10*time.Second},
		"... or a refresh":       {argocdtest.Behaviour{WebhookLost: true}, func(s *site) { s.body("&refresh=normal") }, "Synced r2 Healthy Succeeded", 10 * time.Second},
		"a person syncs":         {argocdtest.Behaviour{Manual: true}, nil, "OutOfSync r2 Healthy Succeeded", time.Hour},
		"... who has":            {argocdtest.Behaviour{Manual: true}, func(s *site) { s.now(time.Second); s.app.SyncNow() }, "Synced r2 Healthy Succeeded", 10 * time.Second},
		"a sync window":          {argocdtest.Behaviour{WindowClosed: true}, nil, "OutOfSync r2 Healthy Succeeded", time.Hour},
		"a failed sync":          {argocdtest.Behaviour{SyncFails: "refused"}, nil, "OutOfSync r2 Healthy Failed", time.Hour},
		"no rendering":           {argocdtest.Behaviour{Unrenderable: "no YAML"}, nil, "Unknown main Healthy Succeeded", time.Minute},
		"pods that fail":         {argocdtest.Behaviour{PodsFail: "ImagePullBackOff"}, nil, "Synced r2 Progressing Succeeded", 9 * time.Minute},
		"... for long":           {argocdtest.Behaviour{PodsFail: "ImagePullBackOff"}, nil, "Synced r2 Degraded Succeeded", 11 * time.Minute},
		"a pause":                {argocdtest.Behaviour{Pauses: true}, nil, "Synced r2 Suspended Succeeded", time.Hour},
		"... promoted":           {argocdtest.Behaviour{Pauses: true}, func(s *site) { s.now(time.Minute); s.app.Promote() }, "Synced r2 Healthy Succeeded", time.Second},
		"... aborted":            {argocdtest.Behaviour{Pauses: true}, func(s *site) { s.now(time.Minute); s.app.Abort() }, "Synced r2 Degraded Succeeded", time.Second},
		"another tag is set":     {argocdtest.Behaviour{OverridesTag: "v1"}, nil, "Synced r2 Healthy Succeeded", time.Minute},
		"the controller is down": {argocdtest.Behaviour{}, func(s *site) { s.argo.StopController() }, "Synced r1 Healthy Succeeded", time.Hour},
		"... for a while":        {argocdtest.Behaviour{}, func(s *site) { start := s.argo.StopController(); s.now(time.Minute); start() }, "Synced r2 Healthy Succeeded", time.Minute},
		"a fix after a failure": {argocdtest.Behaviour{SyncFails: "refused"}, func(s *site) {
			s.now(time.Minute)
			s.app.Change(func(b *argocdtest.Behaviour) { b.SyncFails = "" })
			s.app.Push("r3", "v3")
		}, "Synced r3 Healthy Succeeded", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, c.behaviour)
			s.app.Push("r2", "v2")
			if c.then != nil {
				c.then(s)
			}
			s.says(c.want, c.after)
		})
	}
}

// What the branch has may be asked for instead of being pushed.
func TestTheModelFollowsABranch(t *testing.T) {
	s := newSite(t, argocdtest.Behaviour{})
	tip, tag := "r1", "v1"
	described := app("myshop", "web")
	described.Git = func() (string, string) { return tip, tag }
	s.argo.Add(described)
	revision := func() string {
		_, text := ask(t, s.argo, "GET /api/v1/applications/web?project=myshop", s.token)
		var b struct {
			Status struct{ Sync struct{ Revision string } }
		}
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		return b.Status.Sync.Revision
	}
	if got := revision(); got != "r1" {
		t.Errorf("it is at %s", got)
	}
	tip, tag = "r2", "v2"
	if got := revision(); got != "r1" {
		t.Errorf("before the webhook it is at %s", got)
	}
	s.clock.Pass(time.Second)
	if got := revision(); got != "r2" {
		t.Errorf("it is at %s", got)
	}
}

// What is below the Application goes with it.
func TestTheModelsObjects(t *testing.T) {
	s := newSite(t, argocdtest.Behaviour{PodsFail: "ImagePullBackOff", WindowClosed: false})
	s.app.Push("r2", "v2")
	s.now(time.Second)
	get := func(below string) string {
		t.Helper()
		status, text := ask(t, s.argo, "GET /api/v1/applications/api/"+below, s.token)
		return fmt.Sprint(status, " ", text)
	}
	for below, want := range map[string]string{
		"resource-tree?project=myshop":                                                                           "ImagePullBackOff",
		"managed-resources?project=myshop&group=apps&kind=Deployment":                                            `registry.example/api:v2`,
		"syncwindows?project=myshop":                                                                             `{"canSync":true}`,
		"resource?project=myshop&namespace=api&resourceName=api-v1&version=v1&kind=Pod":                          "registry.example/api@sha256:",
		"resource?project=myshop&namespace=api&resourceName=api&version=v1&group=apps&kind=Deployment":           "registry.example/api:v2",
		"resource?project=myshop&namespace=api&resourceName=api-v0&version=v1&kind=Pod":                          "404 {",
		"managed-resources?project=myshop&appNamespace=argocd&group=apps&kind=Deployment&name=api&namespace=api": "targetState",
	} {
		if got := get(below); !strings.Contains(got, want) {
			t.Errorf("%s is %s without %s", below, got, want)
		}
	}
	s.app.Change(func(b *argocdtest.Behaviour) { b.WindowClosed, b.NoReplicas = true, true })
	if got := get("syncwindows?project=myshop"); !strings.Contains(got, `{"canSync":false}`) {
		t.Error(got)
	}
	if got := get("resource-tree?project=myshop"); strings.Contains(got, `"Pod"`) {
		t.Errorf("without replicas: %s", got)
	}
	s.app.BeginDelete()
	if s.body("").Metadata.DeletionTimestamp == nil {
		t.Error("it is not being deleted")
	}
	s.argo.Delete("", "api")
	if status, _ := ask(t, s.argo, "GET /api/v1/applications/api?project=myshop", s.token); status != 404 {
		t.Errorf("it is gone, and answers %d", status)
	}
}
