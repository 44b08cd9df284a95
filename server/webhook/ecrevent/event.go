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
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// accountGrammar is an AWS account. What is not one has no name in a trailer.
var accountGrammar = regexp.MustCompile(`^[0-9]{12}$`)

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

// Read reads an event that came by a source, and a topic where there is one. Every
// event but a successful push or replication is ignored. The delivery's id is
// EventBridge's. An error's code is Invalid, and the event then has its id if that
// could be read.
func Read(by gitops.PushSource, body []byte) (gitops.Event, error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return gitops.Event{}, gitops.Errorf(gitops.Invalid, "the body is not an EventBridge event in JSON%s", otherwise(body)).WithCause(err)
	}
	if e.DetailType == "" || e.ID == "" {
		what := otherwise(body)
		if what == "" && e.DetailType == "" && e.Source == "" {
			what = notOurs
		}
		if what != "" {
			return gitops.Event{}, gitops.Errorf(gitops.Invalid, "the body is not an EventBridge event%s", what)
		}
	}
	if err := gitops.CheckDeliveryID("id", e.ID); err != nil {
		return gitops.Event{}, err
	}
	event := gitops.Event{Delivery: gitops.DeliveryKey{Source: by.Source, ID: e.ID}}
	if e.Source != "aws.ecr" || arrivals[e.DetailType] == "" {
		event.IgnoreReason = fmt.Sprintf("a %.60q event of %.60q is not an ECR Image Action or ECR Replication Action of aws.ecr", e.DetailType, e.Source)
		return event, nil
	}
	if accountGrammar.MatchString(e.Account) { // else it is nobody's, and may order nothing
		by.Account, by.Region = e.Account, e.Region
		event.Principal = gitops.Principal{Push: &by}
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
