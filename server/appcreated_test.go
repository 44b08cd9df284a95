package server

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/deploy"
)

// Where GitHub sends whoever made the App, there is a page that says what to do, and the
// code in its address is neither shown nor logged.
func TestWhoMadeTheAppIsToldWhatToDo(t *testing.T) {
	s := newSite(t)
	r := s.start()
	app, err := deploy.NewGitHubApp("myshop-tallyman", "https://tallyman.example")
	s.must(err)
	to, err := url.Parse(app.RedirectURL)
	s.must(err)
	const code = "a180b1a3d263c81bc6441d7b990bae27d4c10679"
	answer := r.do(r.request("GET", to.Path+"?code="+code, ""))
	if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") || !strings.Contains(answer.body, "app-manifests/CODE/conversions") {
		t.Errorf("answered %s %v %s", answer.Status, answer.Header, answer.body)
	}
	if strings.Contains(answer.body, code) || len(s.log.Lines(code)) > 0 {
		t.Error("the code is said")
	}
}
