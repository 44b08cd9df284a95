package sns_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

var _ webhook.Receiver = (*sns.Receiver)(nil)

const (
	topic       = snstest.Topic
	host        = snstest.Host
	certificate = snstest.Certificate
)

// now is just after the recorded messages were sent.
func now() time.Time { return time.Date(2026, 1, 15, 10, 1, 0, 0, time.UTC) }

// setUp makes a receiver of an SNS that has the certificate of the recorded
// messages.
func setUp(t testing.TB, edit ...func(*sns.Config)) (*sns.Receiver, *snstest.Amazon) {
	t.Helper()
	a := snstest.New(t)
	a.Keep(certificate, fixture(t, "cert.pem"))
	client := sns.NewClient()
	client.Transport = a
	c := sns.Config{Topics: []string{topic}, Client: client, Logger: slog.New(slog.DiscardHandler), Now: now}
	for _, e := range edit {
		e(&c)
	}
	r, err := sns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r, a
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// edited is a message with fields set to something else; nil takes one away.
func edited(t testing.TB, name string, fields map[string]any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(fixture(t, name), &m); err != nil {
		t.Fatal(err)
	}
	maps.Copy(m, fields)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBothVersionsOfTheSignature(t *testing.T) {
	for _, name := range []string{"notification.v1.json", "notification.v2.json"} {
		r, a := setUp(t)
		body := fixture(t, name)
		for range 3 {
			if err := r.Authenticate(http.Header{}, body); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff([]string{certificate}, a.Asked()); diff != "" {
			t.Error(diff)
		}
		event, err := r.Decode(http.Header{}, body)
		want := gitops.Event{
			Delivery:  gitops.DeliveryKey{Source: "sns", ID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"},
			Principal: gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789000", Region: "eu-central-1", Topic: topic}},
			Time:      time.Date(2023, 5, 8, 15, 13, 9, 0, time.UTC),
			Push: &gitops.ImagePush{Account: "123456789000", Region: "eu-central-1", Repository: "node", Tag: "20-alpine3.16",
				Digest: "sha256:3c949327e32569aff0c532905dcb9626892e4c9b109be08027bb1e44f7f96518"},
		}
		if diff := cmp.Diff(want, event); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
}

// What is put in its place, and what it is refused for.
func TestMessagesThatAreRejected(t *testing.T) {
	const good = "notification.v2.json"
	other := strings.Replace(certificate, "0123", "3210", 1)
	for _, c := range []struct {
		name   string
		header http.Header
		body   []byte
		code   gitops.Code
		says   string
		asks   int // of SNS
	}{
		{"nothing", nil, nil, gitops.Unauthorized, "not a message of SNS", 0},
		{"half of it", nil, fixture(t, good)[:200], gitops.Unauthorized, "not a message of SNS", 0},
		{"another's JSON", nil, []byte(`[1]`), gitops.Unauthorized, "not a message of SNS", 0},
		{"an event in the raw", http.Header{"X-Amz-Sns-Rawdelivery": {"true"}}, fixture(t, good), gitops.Unauthorized, "raw delivery has no signature", 0},
		{"no topic", nil, edited(t, good, map[string]any{"TopicArn": nil}), gitops.Unauthorized, "events of EventBridge go to /webhooks/ecr", 0},
		{"another's topic", nil, edited(t, good, map[string]any{"TopicArn": "arn:aws:sns:eu-central-1:999999999999:ecr-events"}), gitops.Forbidden, "sources.sns.topics", 0},
		{"the documentation's example", nil, fixture(t, "sns_notification.docs.json"), gitops.Forbidden, "sources.sns.topics", 0},
		{"the documentation's confirmation", nil, fixture(t, "sns_subscription_confirmation.docs.json"), gitops.Forbidden, "sources.sns.topics", 0},
		{"the documentation's ending", nil, fixture(t, "sns_unsubscribe_confirmation.docs.json"), gitops.Forbidden, "sources.sns.topics", 0},
		{"no certificate", nil, edited(t, good, map[string]any{"SigningCertURL": nil}), gitops.Unauthorized, "certificate is not where", 0},
		{"a certificate that is not there", nil, edited(t, good, map[string]any{"SigningCertURL": other}), gitops.Unauthorized, "no such certificate", 1},
		{"another message", nil, edited(t, good, map[string]any{"Message": "{}"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"another id", nil, edited(t, good, map[string]any{"MessageId": "x"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"another time", nil, edited(t, good, map[string]any{"Timestamp": "2026-01-15T10:00:59.000Z"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"a subject", nil, edited(t, good, map[string]any{"Subject": "x"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"another type", nil, edited(t, good, map[string]any{"Type": "SubscriptionConfirmation"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"no type", nil, edited(t, good, map[string]any{"Type": nil}), gitops.Unauthorized, "no type that SNS signs", 1},
		{"the other version", nil, edited(t, good, map[string]any{"SignatureVersion": "1"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"a version to come", nil, edited(t, good, map[string]any{"SignatureVersion": "3"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"no signature", nil, edited(t, good, map[string]any{"Signature": nil}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"no base64", nil, edited(t, good, map[string]any{"Signature": "*"}), gitops.Unauthorized, "has no signature", 1},
		{"a confirmation's other token", nil, edited(t, "subscription.v2.json", map[string]any{"Token": "x"}), gitops.Unauthorized, "not SNS's of this message", 1},
		{"a confirmation's other address", nil, edited(t, "subscription.v2.json", map[string]any{"SubscribeURL": "http://169.254.169.254/"}), gitops.Unauthorized, "not SNS's of this message", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a := setUp(t)
			err := r.Authenticate(c.header, c.body)
			if gitops.CodeOf(err) != c.code || !strings.Contains(gitops.PublicOf(err), c.says) {
				t.Errorf("told %v, want %s: %q", err, c.code, c.says)
			}
			if n := len(a.Asked()); n != c.asks {
				t.Errorf("asked SNS %d times: %q", n, a.Asked())
			}
		})
	}
}

// Only where SNS of the topic's region keeps its certificates, to the letter.
func TestCertificateAddresses(t *testing.T) {
	const file = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	for _, address := range []string{
		"http://" + host + file,
		"https://" + host + ":443" + file,
		"https://user@" + host + file,
		"https://" + host + "@evil.example" + file,
		"https://" + host + ".evil.example" + file,
		"https://evil.example/" + host + file,
		"https://evil.example#" + host + file,
		"https://sns.us-east-1.amazonaws.com" + file, // another region's
		"https://sns.eu-central-1.amazonaws.com.cn" + file,
		"https://SNS.eu-central-1.amazonaws.com" + file,
		"https://sns.eu-central-1.s3.amazonaws.com" + file,
		"https://" + host + file + "?x=1",
		"https://" + host + file + "#x",
		"https://" + host + "/x/.." + file,
		"https://" + host + "/%53impleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://" + host + "/SimpleNotificationService-0123456789ABCDEF0123456789abcdef.pem",
		"https://" + host + "/SimpleNotificationService-0123.pem",
		"https://" + host + "/evil.pem",
		"https://" + host + "\n" + file,
		"file:///etc/passwd", "//" + host + file, "",
	} {
		r, a := setUp(t)
		err := r.Authenticate(nil, edited(t, "notification.v2.json", map[string]any{"SigningCertURL": address}))
		if gitops.CodeOf(err) != gitops.Unauthorized || len(a.Asked()) > 0 {
			t.Errorf("%q: %v, and asked %q", address, err, a.Asked())
		}
	}
}

// The clock decides whether a message or its certificate is too old.
func TestAge(t *testing.T) {
	sent := time.Date(2026, 1, 15, 10, 0, 0, 123e6, time.UTC)
	for age, good := range map[time.Duration]bool{
		0: true, 2 * time.Hour: true, 2*time.Hour + time.Second: false, 48 * time.Hour: false, -15 * time.Minute: true, -16 * time.Minute: false,
	} {
		r, _ := setUp(t, func(c *sns.Config) { c.Now = func() time.Time { return sent.Add(age) } })
		err := r.Authenticate(nil, fixture(t, "notification.v2.json"))
		if good != (err == nil) || err != nil && gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("%s after: %v", age, err)
		}
	}
	r, _ := setUp(t, func(c *sns.Config) { c.Now = func() time.Time { return time.Date(2110, 1, 1, 0, 0, 0, 0, time.UTC) } })
	if err := r.Authenticate(nil, fixture(t, "notification.v2.json")); gitops.CodeOf(err) != gitops.Unauthorized || !strings.Contains(err.Error(), "certificate has expired") {
		t.Errorf("with an old certificate: %v", err)
	}
}

// SNS tries again after 503, and not after 401: what may be good must not be 401.
func TestSNSIsAway(t *testing.T) {
	for name, spoil := range map[string]func(*snstest.Amazon){
		"no answer":        func(a *snstest.Amazon) { a.Answer(0, errors.New("no route to host")) },
		"broken":           func(a *snstest.Amazon) { a.Answer(http.StatusServiceUnavailable, nil) },
		"leads elsewhere":  func(a *snstest.Amazon) { a.Answer(http.StatusFound, nil) },
		"something else's": func(a *snstest.Amazon) { a.Keep(certificate, []byte("<html>")) },
		"half of a file":   func(a *snstest.Amazon) { a.Keep(certificate, a.File(certificate)[:300]) },
	} {
		r, a := setUp(t)
		whole := a.File(certificate)
		spoil(a)
		body := fixture(t, "notification.v1.json")
		if err := r.Authenticate(nil, body); gitops.CodeOf(err) != gitops.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		a.Answer(0, nil)
		a.Keep(certificate, whole)
		if err := r.Authenticate(nil, body); err != nil {
			t.Errorf("%s, and back: %v", name, err)
		}
	}
}

// What is prepared is authenticated without the network, and nothing is fetched for what
// cannot be SNS's.
func TestPrepare(t *testing.T) {
	r, a := setUp(t)
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		code   gitops.Code
	}{
		"no message":            {nil, []byte("{"), gitops.Unauthorized},
		"raw":                   {http.Header{"X-Amz-Sns-Rawdelivery": {"true"}}, fixture(t, "notification.v2.json"), gitops.Unauthorized},
		"no topic":              {nil, []byte("{}"), gitops.Unauthorized},
		"another topic":         {nil, edited(t, "notification.v2.json", map[string]any{"TopicArn": "arn:aws:sns:eu-central-1:999999999999:other"}), gitops.Forbidden},
		"certificate elsewhere": {nil, edited(t, "notification.v2.json", map[string]any{"SigningCertURL": "https://evil.example/x.pem"}), gitops.Unauthorized},
	} {
		if err := r.Prepare(t.Context(), c.header, c.body); gitops.CodeOf(err) != c.code || len(a.Asked()) > 0 {
			t.Errorf("%s: %v, and asked %q", name, err, a.Asked())
		}
	}
	a.Answer(0, errors.New("no route to host"))
	if err := r.Prepare(t.Context(), nil, fixture(t, "notification.v2.json")); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("while SNS is away: %v", err)
	}
	a.Answer(0, nil)
	if err := r.Prepare(t.Context(), nil, fixture(t, "notification.v2.json")); err != nil {
		t.Errorf("%v", err)
	}
	a.Answer(0, errors.New("no route to host"))
	if err := r.Authenticate(nil, fixture(t, "notification.v2.json")); err != nil {
		t.Errorf("what is prepared: %v", err)
	}
}
