package postgres

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// deliveryArg is a delivery as the function accept takes it.
type deliveryArg struct {
	Place       int            `json:"place"`
	Source      string         `json:"source"`
	ID          string         `json:"id"`
	ReceivedAt  *time.Time     `json:"received_at"`
	EventTime   *time.Time     `json:"event_time"`
	Actor       string         `json:"actor"`
	Remote      string         `json:"remote"`
	Recovered   bool           `json:"recovered"`
	Credential  string         `json:"credential"`
	Outcome     gitops.Outcome `json:"outcome"`
	Field       string         `json:"field"`
	Reason      string         `json:"reason"`
	Environment string         `json:"environment"`
	App         string         `json:"app"`
	Principal   string         `json:"principal"`
	Config      string         `json:"config"`
	BodyDigest  *string        `json:"body_digest"`
	KeyHash     string         `json:"key_hash"`
	Event       *string        `json:"event"`
	Decided     bool           `json:"decided"`
	Waits       int            `json:"waits"`
}

// updateArg is an update as the function accept takes it.
type updateArg struct {
	Delivery    int    `json:"delivery"` // the place of its own
	Place       int    `json:"place"`
	ID          string `json:"id"`
	Environment string `json:"environment"`
	App         string `json:"app"`
	Repository  string `json:"repository"`
	Tag         string `json:"tag"`
	Version     string `json:"version"`
	OnlyUp      bool   `json:"only_up"`
	Digest      string `json:"digest"`
	Rule        string `json:"rule"`
	Revision    string `json:"revision"`

	Terms *gitops.Terms `json:"terms"`
}

// acceptArgs are a group's deliveries and updates as the function accept takes them, and the
// images that they tell of; nil for none.
func acceptArgs(group []*acceptance) (deliveryArgs, updateArgs string, imageArgs *string, err error) {
	deliveries, updates := make([]deliveryArg, len(group)), []updateArg{}
	var images []imageArg
	waiting := 0
	for i, a := range group {
		d := a.delivery
		deliveries[i] = deliveryArg{i + 1, d.Source, d.ID, stored(d.ReceivedAt), stored(d.EventTime), d.Actor, d.Remote, d.Recovered,
			d.Credential, d.Outcome, d.Field, d.Reason, d.Environment, d.App, d.Principal, d.Config, digestArg(d.BodyDigest), keyArg(d.Key()),
			digestArg(d.Event), a.decided, 0}
		if d.Outcome == gitops.OutcomeWaiting {
			waiting++
			deliveries[i].Waits = waiting
		}
		for n, u := range d.Updates {
			updates = append(updates, updateArg{i + 1, n, u.ID, u.Environment, u.App, u.Repository, u.Tag, gitops.VersionKey(u.Tag), u.OnlyUp, u.Digest, u.Rule, u.Revision, u.Terms})
		}
		for _, image := range queue.ImagesOf(d) {
			images = append(images, imageArgOf(image, i+1))
		}
		a.existed = true
	}
	if len(images) > 0 {
		text, err := marshal(images)
		if err != nil {
			return "", "", nil, err
		}
		imageArgs = &text
	}
	if deliveryArgs, err = marshal(deliveries); err != nil {
		return "", "", nil, err
	}
	updateArgs, err = marshal(updates)
	return deliveryArgs, updateArgs, imageArgs, err
}
