// Package ecrevent reads Amazon ECR's events of images that arrived in a registry, by
// a push or by replication, in EventBridge's envelope, whichever way they came.
//
// Facts: Amazon ECR User Guide, "Amazon ECR events and EventBridge". Events come
// late, twice and out of order; one of a push without a tag has the empty string
// for it.
package ecrevent

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// Reader reads events. Immutable, safe for concurrent use.
type Reader struct {
	field             string
	accounts, regions []string
}

var accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)

// New makes a reader for the events of these accounts and regions; none is all of
// them. Field is what configures both, for what is wrong with them.
func New(field string, accounts, regions []string) (*Reader, error) {
	for i, account := range accounts {
		if !accountGrammar.MatchString(account) {
			return nil, gitops.FieldErrorf(fmt.Sprintf("%s.accounts[%d]", field, i), "must be the 12 digits of an AWS account")
		}
	}
	for i, region := range regions {
		if _, ok := aws.PartitionOf(region); !ok {
			return nil, gitops.FieldErrorf(fmt.Sprintf("%s.regions[%d]", field, i), "must be an AWS region such as eu-west-1")
		}
	}
	return &Reader{field: field, accounts: accounts, regions: regions}, nil
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
	mediaTypes
}

// Read reads an event. Every event but a successful push or replication is ignored. The
// delivery's id is EventBridge's; its source is left to the caller. An error's
// code is Invalid, and the event then has its id if that could be read.
func (r *Reader) Read(body []byte) (gitops.Event, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return gitops.Event{}, gitops.Errorf(gitops.Invalid, "the body is not an EventBridge event in JSON%s", otherwise(body)).WithCause(err)
	}
	if e.DetailType == "" || e.ID == "" {
		if what := otherwise(body); what != "" {
			return gitops.Event{}, gitops.Errorf(gitops.Invalid, "the body is not an EventBridge event%s", what)
		}
	}
	if err := gitops.CheckDeliveryID("id", e.ID); err != nil {
		return gitops.Event{}, err
	}
	event := gitops.Event{Delivery: gitops.DeliveryKey{ID: e.ID}}
	if event.IgnoreReason = r.notOurs(e); event.IgnoreReason != "" {
		return event, nil
	}
	if accountGrammar.MatchString(e.Account) {
		event.Actor = "aws:" + e.Account
	}
	var action imageAction
	if err := json.Unmarshal(e.Detail, &action); err != nil {
		return event, gitops.FieldErrorf("detail", "is not that of an %s", e.DetailType).WithCause(err)
	}
	if wanted := arrivals[e.DetailType]; action.ActionType != wanted || action.Result != "SUCCESS" {
		event.IgnoreReason = fmt.Sprintf("action-type %.40q with result %.40q is not a successful %s", action.ActionType, action.Result, wanted)
		return event, nil
	}
	if event.IgnoreReason = action.notAnImage(); event.IgnoreReason != "" {
		return event, nil
	}
	// Without its time a late event could overwrite a newer release.
	at, err := time.Parse(time.RFC3339, e.Time)
	if year := at.UTC().Year(); err != nil || year < 1970 || year > 9999 { // a zone can lead out of the years that RFC 3339 has
		return event, gitops.FieldErrorf("time", "must be a time such as 2026-01-02T15:04:05Z")
	}
	event.Time = at.UTC()
	event.Push = &gitops.ImagePush{
		Account: e.Account, Region: e.Region, Repository: action.RepositoryName,
		Tag: action.ImageTag, Digest: action.ImageDigest,
	}
	return event, nil
}

// notOurs says why an event is ignored; "" when it is not.
func (r *Reader) notOurs(e envelope) string {
	switch {
	case e.Source != "aws.ecr" || arrivals[e.DetailType] == "":
		return fmt.Sprintf("a %.60q event of %.60q is not an ECR Image Action or ECR Replication Action of aws.ecr", e.DetailType, e.Source)
	case len(r.accounts) > 0 && !slices.Contains(r.accounts, e.Account):
		return fmt.Sprintf("account %.20q is not one of %s.accounts", e.Account, r.field)
	case len(r.regions) > 0 && !slices.Contains(r.regions, e.Region):
		return fmt.Sprintf("region %.40q is not one of %s.regions", e.Region, r.field)
	}
	return ""
}
