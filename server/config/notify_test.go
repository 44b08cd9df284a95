package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/config"
)

// withNotify is the least with notifiers.
func withNotify(notify string) string { return minimal + "notify: " + notify + "\n" }

const aWebhook = "webhook: {url: 'https://hooks.example/x', secretFile: /s}"

func TestNotifiersAreStrict(t *testing.T) {
	t.Parallel()
	item := func(more string) string { return "[{name: ops, " + aWebhook + ", " + more + "}]" }
	address := func(url string) string { return "[{name: ops, webhook: {url: '" + url + "', secretFile: /s}}]" }
	for notify, want := range map[string]string{
		"[{" + aWebhook + "}]":                "notify[0].name: is missing: metrics, logs and tallyman notify test name the notifier",
		"[{name: Ops, " + aWebhook + "}]":     `notify[0].name: must be 1 to 40 of a-z, 0-9 and -, not "Ops"`,
		"[{name: a/b, " + aWebhook + "}]":     `notify[0].name: must be 1 to 40 of a-z, 0-9 and -, not "a/b"`,
		"[{name: ops}]":                       "notify[0]: has no receiver: give webhook or slack",
		item("slack: {urlFile: /u}"):          "notify[0]: has both webhook and slack: make two notifiers of it",
		"[{name: ops, slack: {}}]":            "notify[0].slack.urlFile: is missing: a file with the address of an incoming webhook of Slack",
		"[{name: ops, slack: {url: s3cret}}]": "notify[0].slack.url: is not a field; there are urlFile (line",
		"[{name: ops, slack: {urlFile: 'https://hooks.slack.example/s3cret'}}]":            "notify[0].slack.urlFile: must be the path of a file that holds the address, and not the address itself: that is a secret",
		"[{name: ops, webhook: {url: 'https://hooks.example', secretFile: whsec_s3cret}}]": "notify[0].webhook.secretFile: must be the path of a file that holds the secret, and not the secret itself",
		"[{name: ops, webhook: {secretFile: a}}]":                                          "notify[0].webhook.url: is missing: the receiver's https:// address",
		"[{name: ops, webhook: {url: 'https://hooks.example'}}]":                           "notify[0].webhook.secretFile: is missing: a file with the secret that messages are signed with",
		address("https://ann:s3cret@hooks.example"):                                        "notify[0].webhook.url: must not have a user: messages are signed with the secret in secretFile",
		address("http://hooks.example"):                                                    "notify[0].webhook.url: must be an https:// address, not one of http://; http:// is for this machine alone",
		address("ftp://hooks.example"):                                                     "notify[0].webhook.url: must be an https:// address, not one of ftp://",
		address("hooks.example"):                                                           "notify[0].webhook.url: must be an https:// address, such as https://hooks.myshop.example/tallyman",
		address("https:///x"):                                                              "notify[0].webhook.url: must be an https:// address, such as",
		address("https://s3cret:x/"):                                                       "notify[0].webhook.url: must be an https:// address, such as",
		address("https://hooks.example/#part"):                                             "notify[0].webhook.url: must be an https:// address, such as",
		item("environments: []"):                                                           "notify[0].environments: must name at least one environment",
		item("environments: [prd]"):                                                        `notify[0].environments[0]: no environment "prd" is configured; there are dev`,
		item("apps: []"):                                                                   "notify[0].apps: must name at least one app; without the field it has its default",
		item("apps: ['shop-[a-z]']"):                                                       `notify[0].apps[0]: must be the name of an app, in which * stands for any part, such as shop-*, not "shop-[a-z]"`,
		item("kinds: []"):                                                                  "notify[0].kinds: must name at least one kind",
		item("kinds: [success]"):                                                           `notify[0].kinds[0]: must be one of failed, held, proposed, committed, healthy, degraded, reverted, frozen, not "success"`,
		item("kinds: [failed, failed]"):                                                    "notify[0].kinds[1]: failed is named twice: remove one of them",
		"[{name: ops, " + aWebhook + "}, {name: ops, slack: {urlFile: /u}}]":               "notify[1].name: ops is the name of notify[0], too: rename one of them",
		"[{name: ops, " + aWebhook + ", url: x}]":                                          "notify[0].url: is not a field; there are name, webhook, slack, environments, apps, kinds, template (line",
		"ops": "notify: must be a list",
	} {
		wantOneProblem(t, withNotify(notify), want)
		if _, err := config.Parse([]byte(withNotify(notify))); strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a secret is in %v", err)
		}
	}
	many := make([]string, 51)
	for i := range many {
		many[i] = fmt.Sprintf("{name: n%d, %s}", i, aWebhook)
	}
	wantOneProblem(t, withNotify("["+strings.Join(many, ", ")+"]"), "notify: has 51 notifiers; at most 50")
}

func TestNotifiersAreTaken(t *testing.T) {
	t.Parallel()
	c := parse(t, withNotify("[{name: ops, webhook: {url: 'http://127.0.0.1:8000/x?y=z', secretFile: /s}}, {name: a-1, slack: {urlFile: /u}, apps: [web, 'shop-*'], environments: [dev], kinds: [held]}]"))
	if want := []string{"failed", "degraded", "reverted", "frozen"}; !slices.Equal(c.Notify[0].Kinds, want) || c.Notify[0].Apps != nil || c.Notify[0].Environments != nil {
		t.Errorf("%+v", c.Notify[0])
	}
	if want := []string{"held"}; !slices.Equal(c.Notify[1].Kinds, want) {
		t.Errorf("%+v", c.Notify[1])
	}
}

func TestAppPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, app string
		want         bool
	}{
		{"web", "web", true}, {"web", "website", false}, {"shop-*", "shop-api", true}, {"shop-*", "shop-", true}, {"shop-*", "myshop-api", false},
		{"*", "anything.at-all", true}, {"*-api", "shop-api", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxc", false},
	} {
		if got := config.MatchesApp(c.pattern, c.app); got != c.want {
			t.Errorf("%s matches %s: %t", c.pattern, c.app, got)
		}
	}
}
