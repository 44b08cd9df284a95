// Package github receives the webhooks of a GitHub App.
//
// Facts: docs.github.com "Validating webhook deliveries", "Webhook events and
// payloads", "Best practices for using webhooks".
package github

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Source names this sender in delivery keys and metrics.
const Source = "github"

// Receiver is the [webhook.Receiver] for GitHub.
type Receiver struct {
	secrets    webhook.Secrets
	eventTypes []string
}

// New makes a receiver that takes deliveries signed with any of the secrets (two
// while one is being replaced) and acts on a repository_dispatch whose
// event_type is among eventTypes.
func New(secrets webhook.Secrets, eventTypes []string) (*Receiver, error) {
	if err := webhook.CheckSecrets("sources.github.secretFiles", secrets()); err != nil {
		return nil, err
	}
	if err := checkEventTypes(eventTypes); err != nil {
		return nil, err
	}
	return &Receiver{secrets: secrets, eventTypes: eventTypes}, nil
}

// maxEventType is the length in characters of the longest event_type that GitHub takes.
const maxEventType = 100

// checkEventTypes refuses types that no dispatch has. They are compared as they are.
func checkEventTypes(eventTypes []string) error {
	if len(eventTypes) == 0 || slices.Contains(eventTypes, "") {
		return gitops.FieldErrorf("sources.github.eventTypes", "must name at least one event type, and none may be empty")
	}
	for i, t := range eventTypes {
		field := fmt.Sprintf("sources.github.eventTypes[%d]", i)
		switch {
		case strings.Contains(t, "*"):
			return gitops.FieldErrorf(field, "%q is compared as it is, and * does not stand for others: list each event_type that orders an update", t)
		case strings.TrimSpace(t) != t:
			return gitops.FieldErrorf(field, "%q begins or ends with a space: write %q", t, strings.TrimSpace(t))
		case utf8.RuneCountInString(t) > maxEventType:
			return gitops.FieldErrorf(field, "has %d characters, and GitHub takes an event_type of at most %d", utf8.RuneCountInString(t), maxEventType)
		}
	}
	return nil
}

// Source is [Source].
func (*Receiver) Source() string { return Source }

// Credential is a GitHub App's webhook secret.
func (*Receiver) Credential() string { return "webhook secret" }

// Authenticate checks X-Hub-Signature-256. The SHA-1 header that GitHub also
// sends is never looked at.
func (r *Receiver) Authenticate(header http.Header, body []byte) error {
	got, ok := strings.CutPrefix(header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(got)
	if !ok || err != nil || len(signature) != sha256.Size {
		return gitops.Errorf(gitops.Unauthorized, `the header X-Hub-Signature-256 must be "sha256=" and 64 hexadecimal digits`)
	}
	match := false
	for _, secret := range r.secrets() { // every one of them: the time must not tell which matched
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		match = hmac.Equal(signature, mac.Sum(nil)) || match
	}
	if !match {
		return gitops.Errorf(gitops.Unauthorized, "signature mismatch: no configured secret matches")
	}
	return nil
}

// Decode reads a delivery. Every event but repository_dispatch is ignored, and some are
// hints.
func (r *Receiver) Decode(header http.Header, body []byte) (gitops.Event, error) {
	event := gitops.Event{Delivery: gitops.DeliveryKey{Source: Source, ID: header.Get("X-GitHub-Delivery")}}
	if err := gitops.CheckDeliveryID("header X-GitHub-Delivery", event.Delivery.ID); err != nil {
		return gitops.Event{}, err
	}
	kind := header.Get("X-GitHub-Event")
	if kind == "" {
		return event, gitops.FieldErrorf("header X-GitHub-Event", "is missing")
	}
	payload, err := payloadOf(header, body)
	if err != nil {
		return event, err
	}
	if !isObject(payload) {
		return event, gitops.Errorf(gitops.Invalid, "the body is not a JSON object")
	}
	if r.IsHint(kind) {
		var hint gitops.Hint
		hint, event.IgnoreReason = hintOf(kind, payload)
		event.Hint = &hint
		return event, nil
	}
	if kind != "repository_dispatch" {
		event.IgnoreReason = fmt.Sprintf("a %.40q event is ignored: only repository_dispatch creates updates", kind)
		return event, nil
	}
	d, err := readDispatch(payload)
	if err != nil {
		return event, err
	}
	event.Principal = gitops.Principal{Dispatch: &d.sender}
	if !slices.Contains(r.eventTypes, d.eventType) {
		event.IgnoreReason = fmt.Sprintf("event_type %.100q is not one of those that order an update (%s)", d.eventType, strings.Join(r.eventTypes, ", "))
		return event, nil
	}
	if event.Orders, event.Violation = ordersOf(d.clientPayload); event.Orders != nil {
		event.BodyDigest = digestOf(d, payload)
	}
	return event, nil
}

// dispatch is what is read of a repository_dispatch event. The rest of it may be
// of any shape: GitHub adds to its repositories and users, and gives a field other
// types (custom_properties has lists since they can be chosen from one), and none
// of that may cost a delivery.
type dispatch struct {
	eventType     string
	clientPayload []byte
	sender        gitops.DispatchSender
}

// readDispatch reads an event. Where it comes from may be unreadable: then it is of
// nobody, whom no access rule allows anything.
func readDispatch(payload []byte) (d dispatch, err error) {
	for name, value := range members(payload) {
		ok := true
		switch string(name) {
		case "action":
			d.eventType, ok = textOrNull(value)
		case "client_payload":
			d.clientPayload = value
		case "sender":
			d.sender.SenderID, d.sender.Sender, ok = identify(value, "login")
		case "repository":
			d.sender.RepositoryID, d.sender.Repository, _ = identify(value, "full_name")
		case "installation":
			d.sender.InstallationID, _, _ = identify(value, "")
		}
		if !ok {
			return d, gitops.Errorf(gitops.Invalid, "the body is not a repository_dispatch event: its %s is of another type", name)
		}
	}
	return d, nil
}

// identify reads the id of one of GitHub's objects, and its name, which the named
// member holds; what it does not have is 0 or empty. It is not ok when the object or
// its name is of another type.
func identify(object []byte, nameIn string) (id int64, name string, ok bool) {
	if object[0] != '{' {
		return 0, "", isNull(object)
	}
	ok = true
	for member, value := range members(object) {
		switch string(member) {
		case "id":
			id = number(value)
		case nameIn:
			if name, ok = textOrNull(value); !ok {
				return id, "", false
			}
		}
	}
	return id, name, true
}

// number is a number of GitHub's; 0 for what is none: text, a fraction, one below 1 or
// beyond what fits.
func number(value []byte) int64 {
	id, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || id < 1 {
		return 0
	}
	return id
}

// payloadOf returns the JSON of a body in either of GitHub's two content types.
func payloadOf(header http.Header, body []byte) ([]byte, error) {
	contentType := header.Get("Content-Type")
	var err error
	if contentType != "application/json" { // with parameters, or in other letters
		contentType, _, err = mime.ParseMediaType(contentType)
	}
	switch {
	case err == nil && contentType == "application/json":
		return body, nil
	case err == nil && contentType == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, gitops.Errorf(gitops.Invalid, "the body is not a form").WithCause(err)
		}
		return []byte(form.Get("payload")), nil
	}
	return nil, gitops.FieldErrorf("header Content-Type", "must be application/json or application/x-www-form-urlencoded")
}

func isObject(payload []byte) bool {
	trimmed := bytes.TrimLeft(payload, spaces)
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(payload)
}
