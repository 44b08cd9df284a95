// Package sns receives Amazon ECR's events by way of Amazon SNS: EventBridge puts
// them on a topic, and the topic sends them here.
//
// SNS signs what it sends with a key whose certificate it names in the message.
// So a message says itself by what it is to be authenticated, and everything in it is
// suspect until that is settled, in this order:
//
//   - The topic is one of those that are configured.
//   - The certificate's address is exactly where SNS of that topic's region keeps
//     its certificates. Nothing else is ever fetched, and no redirect followed.
//   - The signature is of this message with that certificate's key.
//   - The message is young: what was recorded long ago is not accepted again.
//
// Of an unauthenticated body only the envelope's fields are read, to find these.
// A subscription is confirmed by a request that is put together here, from the
// configured topic and the signed token; the address in the message is not used.
//
// Facts: Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS
// messages", "HTTP/HTTPS notification JSON format", "Message delivery retries".
package sns

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

// Source names this sender in delivery keys and metrics.
const Source = "sns"

// Config is what a [Receiver] is made of.
type Config struct {
	Topics []string // ARNs of those that are listened to; at least one
	Client *http.Client
	Logger *slog.Logger
	Now    func() time.Time
}

// NewClient makes a client for [Config]. It uses the environment's proxy and
// follows no redirect.
func NewClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("SNS redirects") },
	}
}

// Receiver is the webhook.Receiver for SNS. Safe for concurrent use.
type Receiver struct {
	Config
	hosts        map[string]string // of SNS, by topic
	certificates *certificates
}

// oldest is how long after it was sent a message is accepted: SNS tries for an
// hour at most.
const (
	oldest    = 2 * time.Hour
	clockSkew = 15 * time.Minute
	fetchTime = 4 * time.Second // SNS waits 15 s for an answer
)

// New makes a receiver. Its errors are Invalid and name the field.
func New(c Config) (*Receiver, error) {
	r := &Receiver{Config: c, hosts: make(map[string]string), certificates: newCertificates(c.Client, c.Now)}
	if len(c.Topics) == 0 {
		return nil, gitops.FieldErrorf("sources.sns.topics", "must name at least one topic: anybody can have a topic of their own send here")
	}
	for i, topic := range c.Topics {
		host, ok := hostOf(topic)
		if !ok {
			return nil, gitops.FieldErrorf(fmt.Sprintf("sources.sns.topics[%d]", i), "must be the ARN of a standard topic, such as arn:aws:sns:eu-west-1:123456789012:ecr-events")
		}
		r.hosts[topic] = host
	}
	return r, nil
}

// KeepCertificates has a receiver that has not been used yet know the certificates of
// another, and fetch no more at once than that one alone.
func (r *Receiver) KeepCertificates(of *Receiver) { r.certificates = of.certificates }

// Source is [Source].
func (*Receiver) Source() string { return Source }

// Credential is a signature of SNS.
func (*Receiver) Credential() string { return "SNS signature" }

// message is SNS's envelope.
type message struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string
	Token            string
}

func readMessage(body []byte) (m message, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return m, gitops.Errorf(gitops.Unauthorized, "the body is not a message of SNS in JSON")
	}
	return m, nil
}

// Prepare fetches the certificate by which a message is to be authenticated, unless it is
// here already. Its error is Authenticate's.
func (r *Receiver) Prepare(ctx context.Context, header http.Header, body []byte) error {
	_, _, err := r.keyOf(ctx, header, body)
	return err
}

// Authenticate checks topic, certificate, signature and age. The code is
// Unauthorized, Forbidden for a topic that is not configured, or Unavailable when
// the certificate cannot be fetched.
func (r *Receiver) Authenticate(header http.Header, body []byte) error {
	m, key, err := r.keyOf(context.Background(), header, body)
	if err != nil {
		return err
	}
	if err := m.verify(key); err != nil {
		return err
	}
	sent, err := time.Parse(time.RFC3339, m.Timestamp)
	if age := r.Now().Sub(sent); err != nil || age > oldest || age < -clockSkew {
		return gitops.Errorf(gitops.Unauthorized, "the message was not sent within the last %s", oldest)
	}
	return nil
}

// keyOf reads a message of a topic that is configured, and finds the key with which SNS
// must have signed it.
func (r *Receiver) keyOf(ctx context.Context, header http.Header, body []byte) (m message, key *rsa.PublicKey, err error) {
	if header.Get("X-Amz-Sns-Rawdelivery") == "true" {
		return m, nil, gitops.Errorf(gitops.Unauthorized, "raw delivery has no signature: turn it off in the subscription")
	}
	if m, err = readMessage(body); err != nil {
		return m, nil, err
	}
	host, ok := r.hosts[m.TopicARN]
	switch {
	case m.TopicARN == "":
		return m, nil, gitops.Errorf(gitops.Unauthorized, "the body has no TopicArn, so it is not a message of SNS: events of EventBridge go to /webhooks/ecr")
	case !ok:
		return m, nil, gitops.Errorf(gitops.Forbidden, "the topic is not one of sources.sns.topics")
	}
	if err := checkCertificateURL(m.SigningCertURL, host); err != nil {
		return m, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	key, err = r.certificates.key(ctx, m.SigningCertURL)
	return m, key, err
}

// Decode reads an authenticated message. A subscription that waits to be
// confirmed is confirmed; when SNS cannot be reached for that the code is
// Unavailable.
func (r *Receiver) Decode(_ http.Header, body []byte) (gitops.Event, error) {
	m, err := readMessage(body)
	if err != nil {
		return gitops.Event{}, err
	}
	if err := gitops.CheckDeliveryID("MessageId", m.MessageID); err != nil {
		return gitops.Event{}, err
	}
	event := gitops.Event{Delivery: gitops.DeliveryKey{Source: Source, ID: m.MessageID}}
	switch m.Type {
	case notification:
		found, err := ecrevent.Read(gitops.PushSource{Source: Source, Topic: m.TopicARN}, []byte(m.Message))
		found.Delivery = event.Delivery
		if err != nil {
			return event, gitops.PrefixField("Message", err)
		}
		return found, nil
	case confirmation:
		if err := r.confirm(m); err != nil {
			return event, err
		}
		event.IgnoreReason = "the subscription of " + m.TopicARN + " was confirmed"
	default:
		r.Logger.Warn("subscription ended, no more events arrive from it", slog.String("topic", m.TopicARN))
		event.IgnoreReason = "the subscription of " + m.TopicARN + " was ended by somebody"
	}
	return event, nil
}

// confirm tells SNS that the subscription is wanted.
func (r *Receiver) confirm(m message) error {
	host, ok := r.hosts[m.TopicARN]
	switch {
	case !ok: // Authenticate has let it through, so it was not asked
		return gitops.Errorf(gitops.Forbidden, "the topic is not one of sources.sns.topics")
	case m.Token == "":
		return gitops.FieldErrorf("Token", "is missing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	query := url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {m.TopicARN}, "Token": {m.Token}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := r.Client.Do(request)
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "SNS cannot be reached to confirm the subscription").WithCause(withoutURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return gitops.Errorf(gitops.Unavailable, "SNS does not take the confirmation of the subscription").WithCause(errors.New(response.Status))
	}
	r.Logger.Info("subscription confirmed", slog.String("topic", m.TopicARN))
	return nil
}

// withoutURL drops the URL that net/http puts before each error: it has the token.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
