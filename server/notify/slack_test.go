package notify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// slackPath is the part of an incoming webhook's address that is the secret.
const slackPath = "/services/T00000000/B00000000/s3cretTokenOfSlack"

func channel(t *testing.T, address string) *notify.Slack {
	t.Helper()
	said.Forbid(slackPath, "s3cretTokenOfSlack")
	client := notify.NewClient()
	t.Cleanup(client.Close)
	s, err := notify.NewSlack(client, file(t, address, ""))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What Slack answers, and what comes of it. Nothing says the address.
func TestSlacksAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		code   gitops.Code // "" for success
		want   string
	}{
		{200, "ok", "", ""},
		{200, "ok\n", "", ""},
		{200, "<html>please log in</html>", gitops.Unavailable, "answered 200 without Slack's ok: is the address one of an incoming webhook?"},
		{204, "", gitops.Unavailable, "answered 204 without Slack's ok"},
		{302, "", gitops.Unavailable, "answered 302 and leads to no address: redirects are not followed"},
		{400, "invalid_payload", gitops.Rejected, "Slack answered 400, invalid_payload"},
		{400, "no_text", gitops.Rejected, "Slack answered 400, no_text"},
		{400, "user_not_found", gitops.Unavailable, "Slack answered 400, user_not_found"},
		{400, "<html>" + slackPath, gitops.Unavailable, "answered 400"},
		{403, "action_prohibited", gitops.Unavailable, "Slack answered 403, action_prohibited"},
		{403, "invalid_token", gitops.Unavailable, "Slack answered 403, invalid_token"},
		{404, "channel_not_found", gitops.Unavailable, "Slack answered 404, channel_not_found"},
		{404, "no_service", gitops.Unavailable, "Slack answered 404, no_service"},
		{404, "no page " + slackPath, gitops.NotFound, "answered 404"},
		{410, "channel_is_archived", gitops.Unavailable, "Slack answered 410, channel_is_archived"},
		{429, "", gitops.RateLimited, "answered 429"},
		{500, "rollup_error", gitops.Unavailable, "Slack answered 500, rollup_error"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != slackPath || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		err := channel(t, server.URL+slackPath).Send(t.Context(), notify.Message{Text: "text"})
		server.Close()
		if c.code == "" {
			if err != nil {
				t.Errorf("%d %s: %v", c.status, c.body, err)
			}
			continue
		}
		if e := fails(t, err); e.Code != c.code || !strings.HasSuffix(e.Message, c.want) && !strings.Contains(e.Message, c.want) {
			t.Errorf("%d %s: %s, %s", c.status, c.body, e.Code, e.Message)
		} else if c.status == 429 && e.RetryAfter != 30*time.Second {
			t.Errorf("again after %s", e.RetryAfter)
		}
	}
}

// Slack is given the text alone, and opens no links of it.
func TestWhatSlackIsSent(t *testing.T) {
	t.Parallel()
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.Write([]byte("ok"))
	}))
	defer server.Close()
	if err := channel(t, server.URL+slackPath).Send(t.Context(), notify.Message{Text: "a &lt; b"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"text": "a &lt; b", "unfurl_links": false, "unfurl_media": false}, got); diff != "" {
		t.Error(diff)
	}
}

// An address that is none is said without it.
func TestSlacksAddress(t *testing.T) {
	t.Parallel()
	said.Forbid("s3cretTokenOfSlack")
	for _, address := range []string{"", "s3cretTokenOfSlack", "http://hooks.slack.example/s3cretTokenOfSlack", "https://ann:s3cretTokenOfSlack@hooks.slack.example/", "https:///s3cretTokenOfSlack", "https://a.example/\nhttps://b.example/"} {
		path := file(t, address)
		_, err := notify.NewSlack(notify.NewClient(), path)
		if e := fails(t, err); e.Code != gitops.Invalid || e.Field != "urlFile" || e.Message != path+" must hold one https:// address, as Slack shows it for an incoming webhook" {
			t.Errorf("%q: %v", address, e)
		}
	}
	if _, err := notify.NewSlack(notify.NewClient(), file(t, "https://hooks.slack.example"+slackPath)); err != nil {
		t.Error(err)
	}
}
