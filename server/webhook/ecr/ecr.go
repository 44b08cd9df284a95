// Package ecr receives Amazon ECR's "ECR Image Action" events, as EventBridge
// delivers them raw through an API destination.
//
// Facts: Amazon ECR User Guide, "Amazon ECR events and EventBridge"; Amazon
// EventBridge User Guide, "API destinations": the destination authenticates by a
// header with a secret, waits 5 s, and retries 401, 407, 409, 429, 5xx and
// timeouts, nothing else. Events come late, twice and out of order.
package ecr

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Source names this sender in delivery keys and metrics.
const Source = "eventbridge"

// Receiver is the [webhook.Receiver] for EventBridge.
type Receiver struct {
	header   string
	secrets  [][]byte
	accounts []string
}

var (
	headerGrammar  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, section 5.1
	valueGrammar   = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)         // what every HTTP library passes on unchanged
	accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)
)

// New makes a receiver that takes events whose header holds any of the secrets
// (two while one is being replaced) and acts on those of the accounts, or of
// every account when none is named.
func New(header string, secrets [][]byte, accounts []string) (*Receiver, error) {
	if !headerGrammar.MatchString(header) {
		return nil, gitops.FieldErrorf("sources.eventbridge.header", "must be the name of an HTTP header, such as X-Tallyman-Key")
	}
	if err := webhook.CheckSecrets("sources.eventbridge.secretFiles", secrets); err != nil {
		return nil, err
	}
	for _, secret := range secrets {
		if !valueGrammar.Match(secret) {
			return nil, gitops.FieldErrorf("sources.eventbridge.secretFiles",
				"holds a secret that no header can carry: it must be printable ASCII without a space at either end")
		}
	}
	for i, account := range accounts {
		if !accountGrammar.MatchString(account) {
			return nil, gitops.FieldErrorf(fmt.Sprintf("sources.eventbridge.accounts[%d]", i), "must be the 12 digits of an AWS account")
		}
	}
	return &Receiver{header: header, secrets: secrets, accounts: accounts}, nil
}

// Source is [Source].
func (*Receiver) Source() string { return Source }

// Credential is the key of an EventBridge connection.
func (*Receiver) Credential() string { return "api destination key" }

// Authenticate checks the secret header.
func (r *Receiver) Authenticate(header http.Header, _ []byte) error {
	if !webhook.MatchesAny([]byte(header.Get(r.header)), r.secrets) {
		return gitops.Errorf(gitops.Unauthorized, "the header %s does not hold a secret we know", r.header)
	}
	return nil
}

// envelope is EventBridge's; what it has besides is of no interest here.
type envelope struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Account    string          `json:"account"`
	Region     string          `json:"region"`
	Time       string          `json:"time"` // RFC 3339; checked only where it counts
	Detail     json.RawMessage `json:"detail"`
}

type imageAction struct {
	Result         string `json:"result"`
	ActionType     string `json:"action-type"`
	RepositoryName string `json:"repository-name"`
	ImageTag       string `json:"image-tag"`
	ImageDigest    string `json:"image-digest"`
}

// Decode reads an event. Every event but a successful push asks for nothing.
func (r *Receiver) Decode(_ http.Header, body []byte) (gitops.Event, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return gitops.Event{}, gitops.Errorf(gitops.Invalid, "the body is not an EventBridge event in JSON").Because(err)
	}
	if err := gitops.CheckDeliveryID("id", e.ID); err != nil {
		return gitops.Event{}, err
	}
	event := gitops.Event{Delivery: gitops.DeliveryKey{Source: Source, ID: e.ID}}
	switch {
	case e.Source != "aws.ecr" || e.DetailType != "ECR Image Action":
		event.Nothing = fmt.Sprintf("a %.60q event of %.60q is not an ECR Image Action of aws.ecr", e.DetailType, e.Source)
		return event, nil
	case len(r.accounts) > 0 && !slices.Contains(r.accounts, e.Account):
		event.Nothing = fmt.Sprintf("account %.20q is not one of sources.eventbridge.accounts", e.Account)
		return event, nil
	}
	if accountGrammar.MatchString(e.Account) {
		event.Actor = "aws:" + e.Account
	}
	var action imageAction
	if err := json.Unmarshal(e.Detail, &action); err != nil {
		return event, gitops.FieldErrorf("detail", "is not that of an ECR Image Action").Because(err)
	}
	if action.ActionType != "PUSH" || action.Result != "SUCCESS" {
		event.Nothing = fmt.Sprintf("action-type %.40q with result %.40q is not a successful PUSH", action.ActionType, action.Result)
		return event, nil
	}
	// Without its time a late event could overwrite a newer release.
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		return event, gitops.FieldErrorf("time", "must be a time such as 2026-01-02T15:04:05Z")
	}
	event.Time = at.UTC()
	event.Push = &gitops.Push{
		Account: e.Account, Region: e.Region, Repository: action.RepositoryName,
		Tag: action.ImageTag, Digest: action.ImageDigest,
	}
	return event, nil
}
