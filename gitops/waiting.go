package gitops

import (
	"encoding/json"
	"errors"
	"time"
)

// WaitingFor is how long a delivery waits for an app that is not known yet, counted
// from its receipt. Then it ends as one that named an unknown app.
const WaitingFor = 7 * 24 * time.Hour

// maxWaitingEvent is how many bytes the event of a waiting delivery has at most:
// an order of some hundred targets.
const maxWaitingEvent = 16 << 10

// waitingEvent is an event as it is stored while its delivery waits. The delivery's key
// stands beside it. The names are part of the stores' and the backups' form.
type waitingEvent struct {
	Dispatch   *waitingDispatch `json:"dispatch,omitempty"`
	From       *waitingSource   `json:"from,omitempty"`
	Time       time.Time        `json:"time,omitzero"`
	Orders     []waitingOrder   `json:"orders,omitempty"`
	Push       *waitingPush     `json:"push,omitempty"`
	BodyDigest []byte           `json:"bodyDigest,omitempty"`
}

type waitingDispatch struct {
	Repository     string `json:"repository"`
	RepositoryID   int64  `json:"repositoryID"`
	InstallationID int64  `json:"installationID,omitempty"`
	Sender         string `json:"sender,omitempty"`
	SenderID       int64  `json:"senderID,omitempty"`
}

type waitingSource struct {
	Source  string `json:"source"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Topic   string `json:"topic,omitempty"`
}

type waitingOrder struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Tag         string `json:"tag"`
	Digest      string `json:"digest,omitempty"`
	Revision    string `json:"revision,omitempty"`
	Within      string `json:"within,omitempty"`

	AppPlace         int `json:"appPlace,omitempty"`
	EnvironmentPlace int `json:"environmentPlace,omitempty"`
}

type waitingPush struct {
	Account    string `json:"account"`
	Region     string `json:"region"`
	Repository string `json:"repository"`
	Image      string `json:"image,omitempty"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest,omitempty"`

	For []Place `json:"for,omitempty"`
}

// EncodeEvent is the event of a delivery that waits, for [Delivery.Event]. Only what a
// registry or a dispatch asks for can wait: the error of anything else is Invalid, and
// TooLarge that of an event that is larger than one is kept.
func EncodeEvent(e Event) ([]byte, error) {
	kept := waitingEvent{
		Dispatch: (*waitingDispatch)(e.Principal.Dispatch), From: (*waitingSource)(e.Principal.Push),
		Time: e.Time, Push: (*waitingPush)(e.Push), BodyDigest: e.BodyDigest,
	}
	for _, order := range e.Orders {
		kept.Orders = append(kept.Orders, waitingOrder(order))
	}
	if !kept.complete() {
		return nil, Errorf(Invalid, "only an image that was pushed, or what a dispatch orders, can wait for an app")
	}
	text, err := json.Marshal(kept)
	if err == nil && len(text) > maxWaitingEvent {
		err = Errorf(TooLarge, "the event has %d bytes; one that waits for an app has up to %d", len(text), maxWaitingEvent)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// complete reports whether somebody asks for something.
func (e waitingEvent) complete() bool {
	return (e.Dispatch != nil || e.From != nil) && (len(e.Orders) > 0 || e.Push != nil)
}

// DecodeEvent is the event of a delivery that waits. The error's code is Internal: what
// [EncodeEvent] wrote can be read.
func DecodeEvent(d Delivery) (Event, error) {
	var kept waitingEvent
	err := json.Unmarshal(d.Event, &kept)
	if err == nil && !kept.complete() {
		err = errors.New("nobody asks for anything")
	}
	if err != nil {
		return Event{}, Errorf(Internal, "the event of the waiting delivery %s cannot be read", d.Key()).WithCause(err)
	}
	e := Event{
		Delivery:  d.Key(),
		Principal: Principal{Dispatch: (*DispatchSender)(kept.Dispatch), Push: (*PushSource)(kept.From)},
		Time:      kept.Time, Push: (*ImagePush)(kept.Push), BodyDigest: kept.BodyDigest,
	}
	e.Actor = e.Principal.Actor()
	for _, order := range kept.Orders {
		e.Orders = append(e.Orders, Order(order))
	}
	return e, nil
}

// WaitsUntil is when a delivery that waits for an app ends, whatever it waits for.
func (d Delivery) WaitsUntil() time.Time { return d.ReceivedAt.Add(WaitingFor) }
