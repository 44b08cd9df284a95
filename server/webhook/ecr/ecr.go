// Package ecr receives Amazon ECR's events as EventBridge delivers them raw
// through an API destination.
//
// Facts: Amazon EventBridge User Guide, "API destinations" and "Authorization
// methods for connections": the destination authenticates by what its connection
// says, waits 5 s, and retries 401, 407, 409, 429, 5xx and timeouts, nothing else.
// There is no signature: what it shows is a secret, over TLS.
package ecr

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

// Source names this sender in delivery keys and metrics.
const Source = "eventbridge"

// Auth is how a connection authenticates: one of EventBridge's three types.
type Auth string

const (
	APIKey Auth = "apiKey" // API_KEY: a header with the secret
	Basic  Auth = "basic"  // BASIC: the user name, and the secret for a password
	OAuth  Auth = "oauth"  // OAUTH_CLIENT_CREDENTIALS: a token that [Receiver.IssueToken] gives for the secret
)

// Config is what a [Receiver] is made of.
type Config struct {
	Auth     Auth
	Header   string          // of APIKey
	Username string          // of Basic; the client's id of OAuth
	Secrets  webhook.Secrets // any of them is good: two while one is being replaced
	Now      func() time.Time
}

// Receiver is the [webhook.Receiver] for EventBridge.
type Receiver struct {
	Config
}

var (
	headerGrammar   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110, section 5.1
	valueGrammar    = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)         // what every HTTP library passes on unchanged
	usernameGrammar = regexp.MustCompile(`^[!-9;-~]{1,128}$`)             // without a colon: RFC 7617, section 2
)

// New makes a receiver. Its errors are Invalid and name the field.
func New(c Config) (*Receiver, error) {
	switch c.Auth {
	case APIKey:
		if !headerGrammar.MatchString(c.Header) {
			return nil, gitops.FieldErrorf("sources.eventbridge.header", "must be the name of an HTTP header, such as X-Tallyman-Key")
		}
	case Basic, OAuth:
		if !usernameGrammar.MatchString(c.Username) {
			return nil, gitops.FieldErrorf("sources.eventbridge.username", "must be 1 to 128 of printable ASCII without a space or a colon")
		}
	default:
		return nil, gitops.FieldErrorf("sources.eventbridge.auth", "must be one of apiKey, basic, oauth")
	}
	if err := webhook.CheckSecrets("sources.eventbridge.secretFiles", c.Secrets()); err != nil {
		return nil, err
	}
	for _, secret := range c.Secrets() {
		if err := CheckSecret(secret); err != nil {
			return nil, gitops.FieldErrorf("sources.eventbridge.secretFiles", "%s", gitops.PublicOf(err))
		}
	}
	return &Receiver{Config: c}, nil
}

// CheckSecret refuses a secret that could never arrive.
func CheckSecret(secret []byte) error {
	if !valueGrammar.Match(secret) {
		return gitops.Errorf(gitops.Invalid, "holds a secret that no header can carry: it must be printable ASCII without a space at either end")
	}
	return nil
}

// Source is [Source].
func (*Receiver) Source() string { return Source }

// Credential is the key of an EventBridge connection.
func (*Receiver) Credential() string { return "api destination key" }

// Authenticate checks what the connection's type sends.
func (r *Receiver) Authenticate(header http.Header, _ []byte) error {
	switch r.Auth {
	case Basic:
		return r.checkBasic(header, "the header Authorization does not hold a user name and password we know"+fromSNS(header))
	case OAuth:
		return r.checkToken(header)
	}
	if !webhook.MatchesAny([]byte(header.Get(r.Header)), r.Secrets()) {
		return gitops.Errorf(gitops.Unauthorized, "the header %s does not hold a configured secret%s", r.Header, fromSNS(header))
	}
	return nil
}

// fromSNS says where a message of SNS belongs: it never has the secret.
func fromSNS(header http.Header) string {
	if header.Get("X-Amz-Sns-Message-Type") == "" {
		return ""
	}
	return ": messages of Amazon SNS go to /webhooks/sns"
}

// checkBasic checks user name and password as one text, so that the time does not
// tell which of them is wrong.
func (r *Receiver) checkBasic(header http.Header, refusal string) error {
	user, password, ok := (&http.Request{Header: header}).BasicAuth()
	if !ok || !r.matches(user, password) {
		return gitops.Errorf(gitops.Unauthorized, "%s", refusal)
	}
	return nil
}

func (r *Receiver) matches(user, password string) bool {
	var known [][]byte
	for _, secret := range r.Secrets() {
		known = append(known, []byte(r.Username+":"+string(secret)))
	}
	return !strings.Contains(user, ":") && webhook.MatchesAny([]byte(user+":"+password), known)
}

// Decode reads an event. Every event but a successful push is ignored.
func (*Receiver) Decode(_ http.Header, body []byte) (gitops.Event, error) {
	return ecrevent.Read(gitops.PushSource{Source: Source}, body)
}
