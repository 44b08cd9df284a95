package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A receiver gets one message that says that it is a test; the exit status and a line say
// what came of it, and neither has the secret.
func TestNotifyTest(t *testing.T) {
	s := newSite(t, 1)
	status := http.StatusNoContent
	var sent []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("webhook-id"))
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	const secret = "whsec_c2VjcmV0LW9mLXRoZS1ub3RpZmllcnMtMzItYnl0ZXMh"
	s.must(os.WriteFile(filepath.Join(s.dir, "hook"), []byte(secret), 0o600))
	text, err := os.ReadFile(s.config())
	s.must(err)
	plain := string(text)
	notify := fmt.Sprintf("notify:\n  - {name: ops, webhook: {url: '%s', secretFile: %s/hook}}\n", receiver.URL, s.dir)
	for _, c := range []struct {
		notify string
		status int
		args   []string
		exit   int
		want   string
	}{
		{notify, 204, []string{"ops"}, 0, "notifier ops: delivered in "},
		{notify, 500, []string{"ops"}, exitFailed, strings.TrimPrefix(receiver.URL, "http://") + " answered 500"},
		{notify, 400, []string{"ops"}, exitFailed, "notifier ops: not delivered after "},
		{notify, 302, []string{"ops"}, exitFailed, "redirects are not followed"},
		{notify, 204, []string{"opps"}, exitBadInput, `unknown notifier "opps": did you mean ops?`},
		{notify, 204, nil, exitBadInput, "NAME"},
		{"", 204, []string{"ops"}, exitBadInput, "the configuration has no notifier: see notify in docs/configuration.md"},
		{strings.Replace(notify, "/hook}", "/secret}", 1), 204, []string{"ops"}, exitBadInput, "notify[0].webhook.secretFile: "},
		{strings.Replace(notify, "name: ops", "nom: ops", 1), 204, []string{"ops"}, exitBadInput, "notify[0].nom: is not a field"},
	} {
		status, sent = c.status, nil
		s.must(os.WriteFile(s.config(), []byte(plain+c.notify), 0o600))
		out, errs, exit := run(t, append([]string{"notify", "test", "--config", s.config()}, c.args...)...)
		if exit != c.exit || !strings.Contains(out+errs, c.want) || strings.Contains(out+errs, strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("%v %d: exit %d, %s%s", c.args, c.status, exit, out, errs)
		}
		if asked := c.exit != exitBadInput; len(sent) == 1 != asked || asked && !strings.HasPrefix(sent[0], "msg_test_") {
			t.Errorf("%v %d: %q were sent", c.args, c.status, sent)
		}
	}
	if _, errs, exit := run(t, "notify"); exit != exitBadInput || !strings.Contains(errs, "tallyman notify test NAME") {
		t.Errorf("exit %d, %s", exit, errs)
	}
}
