package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// SlackPace is between two messages to one channel: Slack takes one a second.
const SlackPace = time.Second

// Slack is a channel of Slack, by an incoming webhook. Its address is a secret.
type Slack struct {
	client  *Client
	urlFile string
}

// NewSlack makes a receiver. Its error is Invalid and names the field urlFile; the address is
// in no error.
func NewSlack(client *Client, urlFile string) (*Slack, error) {
	if _, err := readAddress(urlFile); err != nil {
		return nil, gitops.FieldErrorf("urlFile", "%s", gitops.PublicOf(err))
	}
	return &Slack{client: client, urlFile: urlFile}, nil
}

var (
	// slackWord is the form of what Slack says of an error: nothing else is shown.
	slackWord = regexp.MustCompile(`^[a-z_]{1,60}$`)
	// refusedWords are of errors that are the message's own.
	refusedWords = []string{"invalid_payload", "no_text", "too_many_attachments"}
)

// Send implements [Receiver]. Slack answers 200 with ok, or an error with a word that says
// why; one that is the message's own refuses it.
func (s *Slack) Send(ctx context.Context, m Message) error {
	address, err := readAddress(s.urlFile)
	if err != nil {
		return err
	}
	// A link in what somebody wrote is not opened by Slack for everybody to see.
	body, err := json.Marshal(map[string]any{"text": m.Text, "unfurl_links": false, "unfurl_media": false})
	if err != nil {
		return gitops.Errorf(gitops.Internal, "the message cannot be written as JSON").WithCause(err)
	}
	a, err := s.client.post(ctx, address, nil, body)
	if err != nil {
		return err
	}
	word := strings.TrimSpace(a.body)
	switch {
	case a.status == http.StatusOK && word == "ok":
		return nil
	case a.status/100 == 2:
		return a.errorf(gitops.Unavailable, "%s answered %d without Slack's ok: is the address one of an incoming webhook?", a.host, a.status)
	case a.status/100 == 3, a.status == http.StatusTooManyRequests, !slackWord.MatchString(word) && a.status != http.StatusBadRequest:
		return a.err()
	case !slackWord.MatchString(word): // a proxy's, perhaps
		return a.errorf(gitops.Unavailable, "%s answered %d", a.host, a.status)
	case slices.Contains(refusedWords, word):
		return a.errorf(gitops.Rejected, "Slack answered %d, %s", a.status, word)
	}
	return a.errorf(gitops.Unavailable, "Slack answered %d, %s", a.status, word)
}

// readAddress reads the address in a file.
func readAddress(path string) (*url.URL, error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && gitops.IsLoopback(u.Hostname())) {
		return nil, gitops.Errorf(gitops.Unavailable, "%s must hold one https:// address, as Slack shows it for an incoming webhook", path)
	}
	return u, nil
}

var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// EscapeSlack is a text as Slack shows it, without links, mentions and channels made of it:
// those are written in angle brackets.
func EscapeSlack(text string) string { return slackEscapes.Replace(text) }
