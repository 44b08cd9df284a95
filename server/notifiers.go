package server

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// buildNotifiers makes the notifiers of a configuration. Its error joins what is wrong with
// their templates and the files of their secrets, each naming its field.
func buildNotifiers(c config.Config) (all []notify.Notifier, err error) {
	if len(c.Notify) == 0 {
		return nil, nil
	}
	client := notify.NewClient()
	var problems []error
	for i, n := range c.Notify {
		made, err := buildNotifier(client, n)
		all, problems = append(all, made), append(problems, gitops.PrefixField(config.NotifierField(i), err))
	}
	return all, errors.Join(problems...)
}

func buildNotifier(client *notify.Client, n config.Notifier) (notify.Notifier, error) {
	fingerprint, _ := json.Marshal(n) // texts
	made := notify.Notifier{Name: n.Name, Environments: n.Environments, Fingerprint: string(fingerprint)}
	for _, kind := range n.Kinds {
		made.Kinds = append(made.Kinds, notify.Kind(kind))
	}
	if n.Apps != nil {
		made.App = func(app string) bool {
			return slices.ContainsFunc(n.Apps, func(pattern string) bool { return config.MatchesApp(pattern, app) })
		}
	}
	var escape func(string) string
	var receiverErr, templateErr error
	if n.Slack != nil {
		escape, made.Pace = notify.EscapeSlack, notify.SlackPace
		made.Receiver, receiverErr = notify.NewSlack(client, n.Slack.URLFile)
		receiverErr = gitops.PrefixField("slack", receiverErr)
	} else {
		made.Receiver, receiverErr = notify.NewWebhook(client, n.Webhook.URL, n.Webhook.SecretFile, now)
		receiverErr = gitops.PrefixField("webhook", receiverErr)
	}
	made.Text, templateErr = notify.ParseText(n.Template, escape)
	return made, errors.Join(receiverErr, gitops.PrefixField("template", templateErr))
}

// startNotifiers tells receivers what happens from now on.
func (s *Server) startNotifiers() {
	s.notifiers = notify.New(notify.Config{
		Store: s.store, Recorder: s.metrics.notify, Logger: s.logger, Holder: newHolder(), Now: now, Jitter: rand.N[time.Duration],
		CommitURL: func(u gitops.Update) string {
			g := s.current()
			return commitURL(g, g.known(), u)
		},
	})
	s.onStop("notifiers", func(context.Context) error {
		s.notifiers.Stop()
		return nil
	})
	s.notifiers.Configure(s.current().notifiers)
}

// TryNotifier sends a message that says that it is a test to the receiver of one notifier of
// a configuration, and returns how long it took. Nothing else of the configuration is used.
// Its error is Invalid where the configuration is wrong, and NotFound where it has no such
// notifier; else it is the receiver's.
func TryNotifier(ctx context.Context, c config.Config, name string) (took time.Duration, err error) {
	i := slices.IndexFunc(c.Notify, func(n config.Notifier) bool { return n.Name == name })
	if i < 0 {
		return 0, gitops.Errorf(gitops.NotFound, "no notifier %q is configured", gitops.Clip(name, 100))
	}
	client := notify.NewClient()
	defer client.Close()
	n, err := buildNotifier(client, c.Notify[i])
	if err != nil {
		return 0, gitops.PrefixField(config.NotifierField(i), err)
	}
	return notify.Try(ctx, n, now)
}
