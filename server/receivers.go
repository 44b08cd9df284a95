package server

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
)

// buildReceivers makes the receivers of the configured sources, by route, and
// reads their secrets.
func buildReceivers(c config.Sources, logger *slog.Logger) (map[string]webhook.Receiver, error) {
	receivers := make(map[string]webhook.Receiver)
	var problems []error
	add := func(route string, r webhook.Receiver, err error) {
		if problems = append(problems, err); err == nil {
			receivers[route] = r
		}
	}
	if s := c.GitHub; s != nil {
		r, err := newGitHub(s, logger)
		add("/webhooks/github", r, err)
	}
	if s := c.EventBridge; s != nil {
		r, err := newEventBridge(s, logger)
		add("/webhooks/ecr", r, err)
	}
	if s := c.SNS; s != nil {
		r, err := sns.New(sns.Config{Topics: s.Topics, Client: sns.NewClient(), Logger: logger, Now: now})
		add("/webhooks/sns", r, err)
	}
	return receivers, errors.Join(problems...)
}

func newGitHub(c *config.GitHub, logger *slog.Logger) (webhook.Receiver, error) {
	secrets, err := webhook.ReadSecretFiles("sources.github.secretFiles", c.SecretFiles, webhook.CheckSecretLength, logger)
	if err != nil {
		return nil, err
	}
	return github.New(secrets.Current, c.EventTypes)
}

func newEventBridge(c *config.EventBridge, logger *slog.Logger) (webhook.Receiver, error) {
	secrets, err := webhook.ReadSecretFiles("sources.eventbridge.secretFiles", c.SecretFiles, checkBridgeSecret, logger)
	if err != nil {
		return nil, err
	}
	return ecr.New(ecr.Config{
		Auth: ecr.Auth(c.Auth), Header: c.Header, Username: c.Username, Secrets: secrets.Current, Now: now,
	})
}

// checkBridgeSecret refuses a secret that can be guessed, or that could never arrive.
func checkBridgeSecret(secret []byte) error {
	if err := webhook.CheckSecretLength(secret); err != nil {
		return err
	}
	return ecr.CheckSecret(secret)
}

// maxTokenForm is the largest request for a token, in bytes.
const maxTokenForm = 4 << 10

// giveToken answers an EventBridge connection that asks for a token. Who is
// refused one leaves what a refused delivery leaves: a count and a line.
func giveToken(from *ecr.Receiver, intake *webhook.Intake) func(w http.ResponseWriter, r *http.Request) (int, any, error) {
	return func(w http.ResponseWriter, r *http.Request) (int, any, error) {
		body, err := webhook.ReadBody(w, r, maxTokenForm)
		var token ecr.Token
		if err == nil {
			token, err = from.IssueToken(r.Header, body)
		}
		if err != nil {
			intake.RecordRejection(r.Context(), gitops.DeliveryKey{Source: from.Source()}, webhook.ClientIP(r.RemoteAddr), err)
			return 0, nil, err
		}
		w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1
		return http.StatusOK, token, nil
	}
}
