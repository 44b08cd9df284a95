package sns

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The types of message that SNS signs.
const (
	notification = "Notification"
	confirmation = "SubscriptionConfirmation"
	ending       = "UnsubscribeConfirmation"
)

// certificatePath is where SNS keeps a certificate.
var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{32}\.pem$`)

// checkCertificateURL takes an address of a certificate on one host, and nothing
// that resembles it.
func checkCertificateURL(address, host string) error {
	at, err := url.Parse(address)
	if err != nil || address != "https://"+host+at.Path || !certificatePath.MatchString(at.Path) {
		return gitops.Errorf(gitops.Unauthorized, "the certificate is not where SNS of the topic's region has its own")
	}
	return nil
}

// verify checks the signature. Both versions are RSASSA-PKCS1-v1_5: 1 with SHA-1,
// 2 with SHA-256, which a topic must be told to use.
func (m message) verify(key *rsa.PublicKey) error {
	text, ok := m.signed()
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if !ok || err != nil {
		return gitops.Errorf(gitops.Unauthorized, "the message is of no type that SNS signs, or has no signature")
	}
	switch m.SignatureVersion {
	case "1":
		sum := sha1.Sum([]byte(text))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256([]byte(text))
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
	default:
		err = errors.New("another version")
	}
	if err != nil {
		return gitops.Errorf(gitops.Unauthorized, "the signature is not SNS's of this message")
	}
	return nil
}

// signed is the text that SNS signs: names and values in the order of the names.
func (m message) signed() (text string, ok bool) {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", m.Message)
	line("MessageId", m.MessageID)
	switch m.Type {
	case notification:
		if m.Subject != nil {
			line("Subject", *m.Subject)
		}
		line("Timestamp", m.Timestamp)
	case confirmation, ending:
		line("SubscribeURL", m.SubscribeURL)
		line("Timestamp", m.Timestamp)
		line("Token", m.Token)
	default:
		return "", false
	}
	line("TopicArn", m.TopicARN)
	line("Type", m.Type)
	return b.String(), true
}

// certificates fetches certificates and keeps their keys. That one is SNS's is
// known by its address over TLS: the file does not hold the chain above it.
type certificates struct {
	client *http.Client
	now    func() time.Time
	slots  *slots // one for each fetch under way

	mu   sync.Mutex
	kept map[string]*x509.Certificate // by URL
}

const (
	maxFetches     = 4
	maxKept        = 32
	maxCertificate = 64 << 10 // bytes
)

func newCertificates(client *http.Client, now func() time.Time) *certificates {
	return &certificates{client: client, now: now, slots: newSlots(maxFetches), kept: make(map[string]*x509.Certificate)}
}

// key returns the key of a certificate that is good now.
func (c *certificates) key(ctx context.Context, address string) (*rsa.PublicKey, error) {
	certificate, err := c.get(ctx, address)
	if err != nil {
		return nil, err
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if now := c.now(); !ok || key.N.BitLen() < 2048 || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return nil, gitops.Errorf(gitops.Unauthorized, "the certificate has expired, or has a key that is too weak")
	}
	return key, nil
}

func (c *certificates) get(ctx context.Context, address string) (*x509.Certificate, error) {
	if kept := c.known(address); kept != nil {
		return kept, nil
	}
	unavailable := gitops.Errorf(gitops.Unavailable, "the certificate cannot be fetched from SNS now")
	if err := c.slots.take(ctx); err != nil {
		return nil, unavailable.WithCause(err)
	}
	defer c.slots.give()
	if kept := c.known(address); kept != nil { // another fetched it meanwhile
		return kept, nil
	}
	fetched, err := c.fetch(ctx, address)
	var known *gitops.Error
	switch {
	case errors.As(err, &known):
		return nil, known
	case err != nil:
		return nil, unavailable.WithCause(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= maxKept {
		clear(c.kept)
	}
	c.kept[address] = fetched
	return fetched, nil
}

func (c *certificates) known(address string) *x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept[address]
}

func (c *certificates) fetch(ctx context.Context, address string) (*x509.Certificate, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxCertificate))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode >= 400 && response.StatusCode < 500:
		return nil, gitops.Errorf(gitops.Unauthorized, "SNS has no such certificate")
	case response.StatusCode != http.StatusOK:
		return nil, errors.New(response.Status)
	}
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("SNS's answer is no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
