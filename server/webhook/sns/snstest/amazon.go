// Package snstest is Amazon SNS as far as a receiver of its messages sees it: it
// signs messages, keeps the certificate of its key, and takes confirmations. It
// is reached by its transport alone, without a network.
package snstest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/secrettest"
)

// The topic that messages are of, and where its region's SNS has its certificate.
const (
	Topic       = "arn:aws:sns:eu-central-1:123456789000:ecr-events"
	Host        = "sns.eu-central-1.amazonaws.com"
	Certificate = "https://" + Host + "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)

// Amazon is one SNS. Its RoundTrip fails the test when it is asked for anything
// that a receiver has no business to ask.
type Amazon struct {
	t   testing.TB
	key *rsa.PrivateKey

	mu      sync.Mutex
	files   map[string][]byte // certificates, by URL
	asked   []string
	status  int
	problem error
}

// New makes an SNS with a certificate of its own.
func New(t testing.TB) *Amazon {
	t.Helper()
	key := secrettest.Key(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &Amazon{t: t, key: key, files: make(map[string][]byte)}
	a.Keep(Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// Keep puts a file where it is asked for.
func (a *Amazon) Keep(address string, file []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files[address] = file
}

// File is what is kept there.
func (a *Amazon) File(address string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.files[address]
}

// Answer makes all that follows be answered with a status, or not at all; 0 and
// nil is as it should be.
func (a *Amazon) Answer(status int, problem error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.problem = status, problem
}

// Asked are the URLs that were asked for.
func (a *Amazon) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.asked...)
}

// RoundTrip implements http.RoundTripper.
func (a *Amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.URL.String())
	if r.URL.Scheme != "https" || r.URL.Host != Host || r.Method != http.MethodGet {
		a.t.Errorf("SNS is asked for %s %s", r.Method, r.URL)
	}
	if a.problem != nil {
		return nil, a.problem
	}
	status := http.StatusOK
	body, known := a.files[r.URL.String()]
	switch {
	case a.status != 0:
		status = a.status
	case r.URL.Path == "/":
		body = []byte("<ConfirmSubscriptionResponse/>")
	case !known:
		status = http.StatusForbidden
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r, Body: io.NopCloser(strings.NewReader(string(body))),
		Header: http.Header{"Location": {"http://169.254.169.254/latest/meta-data"}}, // of a status that leads elsewhere
	}, nil
}

// Notify is a notification of a message, signed by version 1 or 2.
func (a *Amazon) Notify(version, id, text string, sent time.Time) []byte {
	return a.Sign(version, sent, map[string]string{"Type": "Notification", "MessageId": id, "Message": text})
}

// Sign completes a message of any type and signs it.
func (a *Amazon) Sign(version string, sent time.Time, fields map[string]string) []byte {
	fields["TopicArn"], fields["Timestamp"] = Topic, sent.UTC().Format("2006-01-02T15:04:05.000Z")
	fields["SigningCertURL"], fields["SignatureVersion"] = Certificate, version
	order := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if fields["Type"] != "Notification" {
		order = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var text strings.Builder
	for _, name := range order {
		if value, ok := fields[name]; ok {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	hash, digest := crypto.SHA256, sum[:]
	if version == "1" {
		old := sha1.Sum([]byte(text.String()))
		hash, digest = crypto.SHA1, old[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, hash, digest)
	if err != nil {
		a.t.Fatal(err)
	}
	fields["Signature"] = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(fields)
	if err != nil {
		a.t.Fatal(err)
	}
	return body
}
