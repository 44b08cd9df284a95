package ecr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// tokenLife is how long a token is good. EventBridge asks for another after a 401.
const tokenLife = time.Hour

// Token is the answer to a connection that asks for one: RFC 6749, section 5.1.
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}

// IssueToken gives a token to a connection of type OAUTH_CLIENT_CREDENTIALS that
// shows its client id and secret, in the header Authorization or in the form
// (RFC 6749, section 2.3.1). The token is its end and a MAC of that under the
// secret, so every replica knows it, nothing is kept, and it is good for as long
// as the secret is.
func (r *Receiver) IssueToken(header http.Header, body []byte) (Token, error) {
	const refusal = "neither the header Authorization nor the form holds a client id and secret we know"
	if r.Auth != OAuth {
		return Token{}, gitops.Errorf(gitops.NotFound, "no tokens are given here")
	}
	form, notForm := formOf(header, body)
	if header.Get("Authorization") != "" {
		if err := r.checkBasic(header, refusal); err != nil {
			return Token{}, err
		}
	} else if !r.matches(form.Get("client_id"), form.Get("client_secret")) {
		return Token{}, gitops.Errorf(gitops.Unauthorized, "%s", refusal)
	}
	if notForm != nil { // which is told to those alone who are known
		return Token{}, notForm
	}
	if grant := form.Get("grant_type"); grant != "" && grant != "client_credentials" {
		return Token{}, gitops.FieldErrorf("grant_type", "must be client_credentials")
	}
	until := strconv.FormatInt(r.Now().Add(tokenLife).Unix(), 10)
	return Token{AccessToken: until + "." + r.mac(r.Secrets()[0], until), TokenType: "Bearer", ExpiresIn: int(tokenLife / time.Second)}, nil
}

// formOf is the form of a request for a token; none when its body is of another
// type.
func formOf(header http.Header, body []byte) (url.Values, error) {
	if contentType, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || contentType != "application/x-www-form-urlencoded" {
		return nil, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, gitops.Errorf(gitops.Invalid, "the body is not a form")
	}
	return form, nil
}

func (r *Receiver) mac(secret []byte, until string) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "tallyman token for an API destination\x00%s\x00%s", r.Username, until)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (r *Receiver) checkToken(header http.Header) error {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	until, mac, _ := strings.Cut(token, ".")
	match := false
	for _, secret := range r.Secrets() { // every one of them: the time must not tell which matched
		match = hmac.Equal([]byte(mac), []byte(r.mac(secret, until))) || match
	}
	seconds, err := strconv.ParseInt(until, 10, 64)
	if !strings.EqualFold(scheme, "Bearer") || !match || err != nil || !r.Now().Before(time.Unix(seconds, 0)) {
		return gitops.Errorf(gitops.Unauthorized, "the header Authorization does not hold a token of ours that is still good")
	}
	return nil
}
