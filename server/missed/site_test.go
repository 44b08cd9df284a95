package missed_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/clocktest"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
	"github.com/tallyman-dev/tallyman/server/missed"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

// site is a sweeper with a real store and intake, and a strict GitHub. It is its
// own recorder, and its clock is moved, not waited for.
type site struct {
	t       *testing.T
	clock   *clocktest.Clock
	github  *githubtest.Server
	store   *queuetest.Model
	intake  *webhook.Intake
	sweeper *missed.Sweeper
	// unconfigured says that nothing takes webhooks of GitHub.
	unconfigured bool

	mu       sync.Mutex
	outcomes []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, github: githubtest.New(t), clock: clocktest.At(time.Now().UTC().Truncate(time.Second))}
	s.github.Install(5678, "shop/manifests")
	s.github.SetNow(s.clock.Now)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	app, err := githubapp.New(githubapp.Config{
		AppID: githubtest.AppID, PrivateKeyFile: s.github.KeyFile(), APIURL: s.github.URL,
		RepositoryURL: "https://github.example/shop/manifests.git", Now: s.clock.Now, Logger: logger,
	})
	s.must(err)
	t.Cleanup(func() { s.must(app.Close()) })
	s.store = queuetest.NewModel(s.clock.Now, queuetest.Hooks{})
	planner, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "main-.*"}}},
		Apps:         map[string]policy.App{"api": {}},
	})
	s.must(err)
	list, err := access.New(access.Config{
		Sources: []string{"github"}, Environments: []string{"dev"}, Apps: map[string][]string{"api": nil},
		Rules: []access.Rule{{Who: access.Who{Dispatch: &access.Dispatch{Repository: "shop/api", RepositoryID: 17}},
			May: []gitops.Right{gitops.RightOrder}, Apps: []string{"api"}, Environments: []string{"dev"}}},
	})
	s.must(err)
	receiver, err := github.New(func() [][]byte { return [][]byte{[]byte("a secret that nothing here is signed with")} }, []string{"update-image"})
	s.must(err)
	s.intake = &webhook.Intake{Planner: planner, Authorizer: list, Inbox: s.store, Recorder: s, Logger: logger, Now: s.clock.Now}
	s.sweeper = missed.New(missed.Config{Job: "job/missed",
		App: app, Store: s.store, Recorder: s, Logger: logger, Holder: "this", Now: s.clock.Now,
		GitHub: func() (missed.Destination, bool) {
			return missed.Destination{Receiver: receiver, Intake: s.intake}, !s.unconfigured
		},
	})
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, what)
}

func (s *site) Delivery(source, outcome string)        { s.note(source + " " + outcome) }
func (s *site) Finished(string, gitops.State, float64) {}
func (s *site) NotKept(string, string)                 { s.note("not kept") }
func (s *site) Missed(outcome missed.Outcome)          { s.note(string(outcome)) }
func (s *site) Swept(time.Time)                        { s.note("swept") }

// sweep makes one sweep and says what came of it.
func (s *site) sweep() (outcomes []string, err error) {
	s.t.Helper()
	s.outcomes = nil
	err = s.sweeper.Sweep(s.t.Context())
	return s.outcomes, err
}

func (s *site) expect(want ...string) {
	s.t.Helper()
	got, err := s.sweep()
	if err != nil {
		s.t.Error(err)
	}
	if diff := cmp.Diff(append(want, "swept"), got); diff != "" {
		s.t.Error(diff)
	}
}

// arrives has a dispatch come by itself.
func (s *site) arrives(guid, tag string) {
	s.t.Helper()
	_, _, err := s.intake.Accept(s.t.Context(), webhook.Inbound{Event: gitops.Event{
		Delivery: gitops.DeliveryKey{Source: "github", ID: guid}, Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: tag, Within: "client_payload"}},
		Principal: gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "ann"}},
	}})
	s.must(err)
}

// sent is an attempt of GitHub's to deliver a dispatch; ok says whether it arrived.
func (s *site) sent(id int64, guid, tag string, ok bool) {
	d := githubtest.Delivery{ID: id, GUID: guid, DeliveredAt: s.clock.Now(), Payload: payload(tag, guid)}
	if !ok {
		d.Status, d.StatusCode = "failed to connect to host", 502
	}
	s.github.AddDelivery(d)
}

// payload is a dispatch's body, which counts once for each nonce.
func payload(tag, nonce string) string {
	return fmt.Sprintf(`{"action": "update-image", "client_payload": {"app": "api", "env": "dev", "tag": %q, "nonce": %q}, "repository": {"id": 17}, "sender": {"login": "ann"}}`, tag, nonce)
}

func (s *site) stored(guid string) gitops.Delivery {
	s.t.Helper()
	d, err := s.store.Delivery(s.t.Context(), gitops.DeliveryKey{Source: "github", ID: guid})
	s.must(err)
	return d
}
