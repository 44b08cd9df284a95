package config

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Notifier tells one receiver what happens to updates.
type Notifier struct {
	// Name is what it is called in metrics, logs and by tallyman notify test: 1 to 40 of a-z,
	// 0-9 and -. With the name it keeps its place in what happened. Required.
	Name string `yaml:"name"`
	// Webhook is a receiver of signed messages in JSON. Webhook or Slack is required.
	Webhook *NotifyWebhook `yaml:"webhook"`
	// Slack is a channel of Slack.
	Slack *NotifySlack `yaml:"slack"`
	// Environments are those that it tells of. Default: every environment.
	Environments []string `yaml:"environments"`
	// Apps are those that it tells of; * in a name stands for any part of it. Default: every
	// app.
	Apps []string `yaml:"apps"`
	// Kinds are what it tells of: failed, held, proposed, committed, healthy, degraded,
	// reverted and frozen. Default [failed, degraded, reverted, frozen].
	Kinds []string `yaml:"kinds"`
	// Template makes the text for people, in the language of Go's text/template. Default: one
	// that says what happened, why, who asked for it, and where to look.
	Template string `yaml:"template"`
}

// NotifyWebhook is a receiver of signed messages.
type NotifyWebhook struct {
	// URL is its https:// address, without a user. Plain http:// is refused, except to a
	// loopback address. Required.
	URL string `yaml:"url"`
	// SecretFile holds the secrets that messages are signed with, each a line: whsec_ and 24
	// to 64 bytes in base64. It is read for each message. Required.
	SecretFile string `yaml:"secretFile"`
}

// NotifySlack is a channel of Slack.
type NotifySlack struct {
	// URLFile holds the address of an incoming webhook, which is a secret. It is read for
	// each message. Required.
	URLFile string `yaml:"urlFile"`
}

// NotifyKinds are the values of notify[].kinds.
func NotifyKinds() []string {
	return []string{"failed", "held", "proposed", "committed", "healthy", "degraded", "reverted", "frozen"}
}

// NotifierField is the field of one notifier.
func NotifierField(i int) string { return fmt.Sprintf("notify[%d]", i) }

// maxNotifiers bounds who follows the changes beside each other.
const maxNotifiers = 50

var (
	notifierName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	appPattern   = regexp.MustCompile(`^[A-Za-z0-9._*-]{1,100}$`)
)

// MatchesApp reports whether a pattern of notify[].apps stands for an app.
func MatchesApp(pattern, app string) bool {
	matched, _ := path.Match(pattern, app) // of what checkNotifier took none is malformed
	return matched
}

// checkNotify checks the notifiers. Templates and the secrets' files are checked by what
// uses them.
func (c *Config) checkNotify(report reporter) {
	if len(c.Notify) > maxNotifiers {
		report("notify", "has %d notifiers; at most %d: tell one receiver of more, and let it pass on", len(c.Notify), maxNotifiers)
	}
	for i, n := range c.Notify {
		c.checkNotifier(report, NotifierField(i), n)
		same := func(other Notifier) bool { return other.Name == n.Name }
		if first := slices.IndexFunc(c.Notify, same); first < i && n.Name != "" {
			report(NotifierField(i)+".name", "%s is the name of %s, too: rename one of them", gitops.Clip(n.Name, 100), NotifierField(first))
		}
	}
}

func (c *Config) checkNotifier(report reporter, field string, n Notifier) {
	switch {
	case n.Name == "":
		report(field+".name", "is missing: metrics, logs and tallyman notify test name the notifier")
	case !notifierName.MatchString(n.Name):
		report(field+".name", "must be 1 to 40 of a-z, 0-9 and -, not %q", gitops.Clip(n.Name, 100))
	}
	switch {
	case n.Webhook == nil && n.Slack == nil:
		report(field, "has no receiver: give webhook or slack")
	case n.Webhook != nil && n.Slack != nil:
		report(field, "has both webhook and slack: make two notifiers of it, each with a name of its own")
	case n.Webhook != nil:
		n.Webhook.check(report, field+".webhook")
	case n.Slack.URLFile == "":
		report(field+".slack.urlFile", "is missing: a file with the address of an incoming webhook of Slack")
	case strings.Contains(n.Slack.URLFile, "://"): // paths stand in errors
		report(field+".slack.urlFile", "must be the path of a file that holds the address, and not the address itself: that is a secret")
	}
	c.checkFrozen(report, field+".environments", n.Environments)
	checkSome(report, field+".apps", n.Apps, "app")
	for i, pattern := range n.Apps {
		if !appPattern.MatchString(pattern) {
			report(fmt.Sprintf("%s.apps[%d]", field, i), "must be the name of an app, in which * stands for any part, such as shop-*, not %q", gitops.Clip(pattern, 100))
		}
	}
	checkSome(report, field+".kinds", n.Kinds, "kind")
	for i, kind := range n.Kinds {
		item := fmt.Sprintf("%s.kinds[%d]", field, i)
		if !slices.Contains(NotifyKinds(), kind) {
			report(item, "must be one of %s, not %q", strings.Join(NotifyKinds(), ", "), gitops.Clip(kind, 100))
		} else if slices.Contains(n.Kinds[:i], kind) {
			report(item, "%s is named twice: remove one of them", kind)
		}
	}
}

// checkSome reports an empty list: whoever takes the last name out of it does not mean all.
func checkSome(report reporter, field string, names []string, one string) {
	if names != nil && len(names) == 0 {
		report(field, "must name at least one %s; without the field it has its default", one)
	}
}

func (w NotifyWebhook) check(report reporter, field string) {
	switch {
	case w.SecretFile == "":
		report(field+".secretFile", "is missing: a file with the secret that messages are signed with")
	case strings.HasPrefix(w.SecretFile, "whsec_"): // paths stand in errors
		report(field+".secretFile", "must be the path of a file that holds the secret, and not the secret itself")
	}
	if w.URL == "" {
		report(field+".url", "is missing: the receiver's https:// address")
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "": // what was given may have a password in it
		report(field+".url", "must be an https:// address, such as https://hooks.myshop.example/tallyman")
	case u.User != nil:
		report(field+".url", "must not have a user: messages are signed with the secret in secretFile")
	case u.Scheme == "http" && gitops.IsLoopback(u.Hostname()):
	case u.Scheme != "https":
		report(field+".url", "must be an https:// address, not one of %s; http:// is for this machine alone (localhost, 127.0.0.0/8, ::1)", gitops.Clip(u.Scheme, 20)+"://")
	}
}
