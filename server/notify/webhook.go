package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Webhook is a receiver of signed messages in JSON, as Standard Webhooks signs them
// (https://www.standardwebhooks.com): headers webhook-id, webhook-timestamp in Unix seconds,
// and webhook-signature, an HMAC-SHA256 of "ID.TIMESTAMP.BODY" by each secret.
type Webhook struct {
	client     *Client
	address    *url.URL
	secretFile string
	now        func() time.Time
}

// NewWebhook makes a receiver. Its error is Invalid and names the field of the receiver's
// configuration, url or secretFile; the secret is in no error.
func NewWebhook(client *Client, address, secretFile string, now func() time.Time) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, gitops.FieldErrorf("url", "is not an address")
	}
	if _, err := readSecrets(secretFile); err != nil {
		return nil, gitops.FieldErrorf("secretFile", "%s", gitops.PublicOf(err))
	}
	return &Webhook{client: client, address: u, secretFile: secretFile, now: now}, nil
}

// Send implements [Receiver]. Any 2xx is a success; 400, 413 and 422 refuse the message.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	secrets, err := readSecrets(w.secretFile)
	if err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return gitops.Errorf(gitops.Internal, "the message cannot be written as JSON").WithCause(err)
	}
	timestamp := strconv.FormatInt(w.now().Unix(), 10)
	answer, err := w.client.post(ctx, w.address, http.Header{
		"Webhook-Id":        {m.ID},
		"Webhook-Timestamp": {timestamp},
		"Webhook-Signature": {sign(secrets, m.ID, timestamp, body)},
	}, body)
	if err != nil {
		return err
	}
	return answer.err()
}

// sign is the signatures by all secrets, separated by spaces.
func sign(secrets [][]byte, id, timestamp string, body []byte) string {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

const (
	secretPrefix = "whsec_"
	leastSecret  = 24 // bytes, as the mostSecret: by Standard Webhooks
	mostSecret   = 64
	mostSecrets  = 5
)

// readSecrets reads the secrets in a file, one a line. Its error says what is wrong with which
// line, and not what the line has.
func readSecrets(path string) (secrets [][]byte, err error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		encoded, prefixed := strings.CutPrefix(line, secretPrefix)
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !prefixed || err != nil || len(secret) < leastSecret || len(secret) > mostSecret {
			return nil, gitops.Errorf(gitops.Unavailable, "%s: line %d is no secret: it must be whsec_ and %d to %d bytes in base64, as echo whsec_$(openssl rand -base64 32) writes it", path, i+1, leastSecret, mostSecret)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > mostSecrets {
		return nil, gitops.Errorf(gitops.Unavailable, "%s has %d secrets: it must have 1 to %d, each on a line of its own", path, len(secrets), mostSecrets)
	}
	return secrets, nil
}

// readSmall reads a file of a few lines.
func readSmall(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", gitops.Errorf(gitops.Unavailable, "%s cannot be read", path).WithCause(err)
	}
	defer file.Close()
	const most = 16 << 10
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return "", gitops.Errorf(gitops.Unavailable, "%s cannot be read", path).WithCause(err)
	}
	if len(text) > most {
		return "", gitops.Errorf(gitops.Unavailable, "%s has more than %d KiB: is it another file?", path, most>>10)
	}
	return string(text), nil
}
