package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
)

const (
	hookSecret = "c2VjcmV0LW9mLXRoZS1ub3RpZmllcnMtMzItYnl0ZXMh"
	slackToken = "T0/B0/secret-of-the-channel"
)

// newNotified is a site with the secrets of notifiers, and a receiver whose messages are
// received from the channel.
func newNotified(t *testing.T) (s *site, address string, messages chan notify.Message) {
	t.Helper()
	s = newSite(t)
	said.Forbid(hookSecret, slackToken, "secret-of-the-notifiers-32-bytes!")
	s.must(os.WriteFile(filepath.Join(s.dir, "hook"), []byte("whsec_"+hookSecret+"\n"), 0o600))
	messages = make(chan notify.Message, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m notify.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Header.Get("webhook-id") != m.ID || r.Header.Get("webhook-signature") == "" {
			t.Errorf("%v %v", err, r.Header)
		}
		messages <- m
	}))
	t.Cleanup(receiver.Close)
	return s, receiver.URL, messages
}

// webhook has the site tell a receiver, with more of the notifier's fields.
func (s *site) webhook(name, address, more string) string {
	return "  - {name: " + name + ", webhook: {url: '" + address + "', secretFile: " + s.dir + "/hook}, kinds: [committed]" + more + "}\n"
}

// What happens to an update is told to who is configured, as its template says, and counted.
// A Slack that does not answer delays neither that nor the update, and its address is said
// nowhere.
func TestReceiversAreTold(t *testing.T) {
	s, address, messages := newNotified(t)
	asked := make(chan struct{}, 100)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(r.URL.Path)) // the test's end may come first
	}))
	defer down.Close()
	s.must(os.WriteFile(filepath.Join(s.dir, "slack"), []byte(down.URL+"/services/"+slackToken), 0o600))
	s.yaml += "notify:\n" + s.webhook("ops", address, ", environments: [prod], apps: ['a*'], template: '{{.App}} is {{.Tag}}'") +
		"  - {name: channel, slack: {urlFile: " + s.dir + "/slack}, kinds: [committed]}\n"
	r := s.start()
	r.awaitNote("notify/ops", "cursor")
	r.awaitNote("notify/channel", "cursor")
	dev := r.settled(r.orders("1", "worker", "dev", "main-0000001").delivery(t, http.StatusAccepted).Updates[0].ID)
	u := r.settled(r.orderedInProd("2", "api", "1.4.0"))
	if u.State != gitops.Committed || dev.State != gitops.Committed {
		t.Fatalf("%+v %+v", u, dev)
	}
	m := <-messages
	if m.Update == nil || m.Update.ID != u.ID || m.Kind != notify.KindCommitted || m.Text != "api is 1.4.0" || m.Title != "api 1.4.0 in prod is committed" || m.Update.Commit != u.Commit || m.Notifier != "ops" {
		t.Errorf("%+v %+v", m, m.Update)
	}
	<-asked
	<-asked // and so the first attempt is counted
	r.stop()
	series := gather(t, r.Server)
	if series[`tallyman_notifications_total{notifier="ops",result="sent"}`] != 1 || series[`tallyman_notifications_total{notifier="channel",result="failed"}`] < 1 || series[`tallyman_notifications_total{notifier="channel",result="sent"}`] != 0 {
		t.Errorf("%v", series)
	}
}

// A notifier that is added, changed or removed is so at once, and its series with it.
func TestNotifiersAreReloaded(t *testing.T) {
	s, address, messages := newNotified(t)
	r := s.start()
	plain := s.yaml
	s.yaml = plain + "notify:\n" + s.webhook("ops", address, "")
	s.must(s.reload(r))
	r.awaitNote("notify/ops", "cursor")
	r.settled(r.orderedInProd("1", "api", "1.4.0"))
	if m := awaitTag(messages, "1.4.0"); m.Text != "api 1.4.0 in prod is committed ("+m.Update.Actor+")" {
		t.Errorf("%q", m.Text)
	}
	s.yaml = plain + "notify:\n" + s.webhook("ops", address, ", template: changed")
	s.must(s.reload(r))
	r.settled(r.orderedInProd("2", "api", "1.4.1"))
	if m := awaitTag(messages, "1.4.1"); m.Text != "changed" {
		t.Errorf("%q", m.Text)
	}
	if series := gather(t, r.Server); series[`tallyman_notifications_total{notifier="ops",result="sent"}`] == 0 {
		t.Errorf("%v", series)
	}
	s.yaml = plain
	s.must(s.reload(r))
	r.settled(r.orderedInProd("3", "api", "1.4.2"))
	for name := range gather(t, r.Server) {
		if strings.HasPrefix(name, "tallyman_not") {
			t.Errorf("there still is %s", name)
		}
	}
	r.stop()
	for len(messages) > 0 {
		if m := <-messages; m.Update.Tag == "1.4.2" {
			t.Errorf("%+v was told to a receiver that is not configured", m)
		}
	}
}

// awaitTag is the next message of an update with a tag. A reload while the one before was
// sent has that sent again.
func awaitTag(messages <-chan notify.Message, tag string) notify.Message {
	for {
		if m := <-messages; m.Update.Tag == tag {
			return m
		}
	}
}

// What is wrong with a notifier keeps tallyman from starting, and names its field and no
// secret.
func TestNotifiersThatCannotBe(t *testing.T) {
	s, address, _ := newNotified(t)
	s.must(os.WriteFile(filepath.Join(s.dir, "broken"), []byte(slackToken), 0o600))
	s.yaml += "notify:\n" + s.webhook("ops", address, ", template: '{{.Nope}}'") +
		"  - {name: other, webhook: {url: '" + address + "', secretFile: " + s.dir + "/broken}}\n" +
		"  - {name: channel, slack: {urlFile: " + s.dir + "/broken}}\n"
	_, err := s.newServer()
	if err == nil {
		t.Fatal("it starts")
	}
	said.Write([]byte(err.Error()))
	for _, want := range []string{"notify[0].template: names .Nope, which is not a field", "notify[1].webhook.secretFile: " + s.dir + "/broken: line 1 is no secret", "notify[2].slack.urlFile: " + s.dir + "/broken must hold one https:// address"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A receiver of a configuration is tried by itself.
func TestANotifierIsTried(t *testing.T) {
	s, address, messages := newNotified(t)
	s.yaml += "notify:\n" + s.webhook("ops", address, ", template: '{{.App}}: {{.Reason}}'")
	if _, err := TryNotifier(t.Context(), s.config(), "nope"); gitops.CodeOf(err) != gitops.NotFound {
		t.Error(err)
	}
	if took, err := TryNotifier(t.Context(), s.config(), "ops"); err != nil || took < 0 {
		t.Fatal(took, err)
	}
	want := notify.Message{Version: 1, Notifier: "ops", Kind: notify.KindTest, Title: "tallyman tests the notifier ops: nothing happened", Text: "[test] myshop-api: a reason would stand here"}
	m := <-messages
	if !strings.HasPrefix(m.ID, "msg_test_") || m.At.IsZero() {
		t.Errorf("%+v", m)
	}
	m.ID, m.At = "", want.At
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	s.edit("secretFile: "+s.dir+"/hook", "secretFile: "+s.dir+"/token")
	if _, err := TryNotifier(t.Context(), s.config(), "ops"); gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), "notify[0].webhook.secretFile: ") {
		t.Error(err)
	}
}
