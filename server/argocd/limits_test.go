package argocd_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// 500 who ask at once, a part of them for refreshes: never more than 10 requests within a
// second, nor more than 5 refreshes at once, and all are answered as fast as that allows.
func TestTheLimitsOfAnInstanceHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		const many = 500
		for i := range many {
			s.app(fmt.Sprintf("api-%d", i), argocdtest.Behaviour{Compare: 300 * time.Millisecond})
		}
		began := time.Now()
		ended := make(chan error, many)
		for i := range many {
			go func() {
				_, err := s.client.Application(context.Background(), ref(fmt.Sprintf("api-%d", i)), i%5 == 0)
				ended <- err
			}()
		}
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := s.argo.MostPerSecond(); n != argocd.MaxRequests {
			t.Errorf("%d requests within a second", n)
		}
		if took := time.Since(began); took > 51*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// Two clients of one instance keep its limits together: each role's token has one.
func TestTheLimitsAreTheInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		other := s.connect(argocd.Config{URL: "https://argocd.myshop.example", Projects: []string{"myshop"}, Via: s.argo, Beside: s.client})
		const many = 40
		ended := make(chan error, many)
		for i := range many {
			client := s.client
			if i%2 == 0 {
				client = other
			}
			go func() {
				_, err := client.Application(context.Background(), ref("api"), false)
				ended <- err
			}()
		}
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := s.argo.MostPerSecond(); n != argocd.MaxRequests {
			t.Errorf("%d requests within a second", n)
		}
	})
}

// Refreshes that take long hold up one another, and nothing else.
func TestFewRefreshesRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		const many = 50
		ended := make(chan error, many)
		for i := range many {
			s.app(fmt.Sprintf("api-%d", i), argocdtest.Behaviour{Compare: 5 * time.Second})
			go func() {
				_, err := s.client.Application(context.Background(), ref(fmt.Sprintf("api-%d", i)), true)
				ended <- err
			}()
		}
		time.Sleep(3 * time.Second)
		began := time.Now()
		if err := s.get("api-0"); err != nil || time.Since(began) > 0 {
			t.Errorf("a plain request takes %s beside refreshes, %v", time.Since(began), err)
		}
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := s.argo.MostRefreshes(); n != argocd.MaxRefreshes {
			t.Errorf("%d refreshes at once", n)
		}
	})
}

// The first of a burst are not slowed down, and the others come evenly, so that no late arrival
// of theirs meets those of the next second. Who gives up while it waits takes nothing of the pace.
func TestThePaceIsOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		began := time.Now()
		for n := range 30 {
			want := time.Duration(max(0, n-4)) * 100 * time.Millisecond
			if n == 10 {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				_, err := s.client.Application(ctx, ref("api"), false)
				cancel()
				wants(t, err, gitops.Unavailable)
			}
			if n >= argocd.MaxRequests { // a second after the tenth last
				want = max(want, time.Second)
			}
			if err := s.get("api"); err != nil || time.Since(began) < want || n < argocd.MaxRequests && time.Since(began) != want {
				t.Errorf("request %d after %s, want %s: %v", n, time.Since(began), want, err)
			}
		}
		if n := s.argo.MostPerSecond(); n > argocd.MaxRequests {
			t.Errorf("%d requests in a second", n)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("30 requests took %s", took)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.argo.Add(argocdtest.App{
			Project: "myshop", Name: "api", Image: image, Revision: before, Tag: "v1",
			Sources: []argocdtest.Source{{RepoURL: manifests, Path: strings.Repeat("x", argocd.MaxObject)}},
		})
		wants(t, s.get("api"), gitops.TooLarge, "response too large: more than 4194304 bytes")
		s.app("other", argocdtest.Behaviour{})
		if err := s.get("other"); err != nil {
			t.Error(err)
		}
	})
}

// What the token's file may hold. Nothing of it is shown.
func TestTheTokensFileIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		for text, words := range map[string]string{
			"":                              "is empty",
			" \n":                           "is empty",
			"hush hush":                     "must be one word",
			"hush\x00":                      "must be one word",
			strings.Repeat("hush", 1<<12+1): "too large",
		} {
			s.writeToken(text)
			if e := wants(t, s.get("api"), gitops.Unauthorized, words); contains(e.Error(), "hush") || contains(e.Message, s.file) || !contains(e.Error(), s.file) {
				t.Errorf("%v shows the token, or the file to those who need not know, or not to the log", e)
			}
		}
		if err := os.Remove(s.file); err != nil {
			t.Fatal(err)
		}
		if e := wants(t, s.get("api"), gitops.Unauthorized, "cannot be read"); e.RetryAfter <= 0 {
			t.Error("the instance is not left alone")
		}
		if n := len(s.argo.Requests()); n != 0 {
			t.Errorf("%d requests without a token", n)
		}
		s.writeToken("\n " + s.token + "\r\n")
		if err := s.get("api"); err != nil {
			t.Errorf("with the token back: %v", err)
		}
	})
}

// An end that comes near is warned of once a day, and each token's end is counted once.
func TestATokensEndIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.app("api", argocdtest.Behaviour{})
		ask := func(warnings int) {
			t.Helper()
			_ = s.get("api") // the last is too late
			if lines := s.log.Lines("expires soon"); len(lines) != warnings {
				t.Errorf("%d warnings, not %d: %v", len(lines), warnings, lines)
			}
		}
		ask(0)
		if !s.client.TokenExpires().IsZero() {
			t.Error("a token that never expires does")
		}
		ends := time.Now().Add(20 * 24 * time.Hour)
		s.writeToken(s.argo.TokenUntil(ends, "myshop"))
		ask(0)
		if got := s.client.TokenExpires(); !got.Equal(ends) {
			t.Errorf("it expires at %s, not %s", got, ends)
		}
		time.Sleep(6 * 24 * time.Hour)
		ask(1)
		ask(1)
		time.Sleep(24 * time.Hour)
		ask(2)
		time.Sleep(14 * 24 * time.Hour)
		ask(3)
		s.writeToken("a." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":"soon"}`)) + ".c")
		ask(3)
		if got := s.recorder.expires; len(got) != 3 || !got[0].IsZero() || !got[1].Equal(ends) || !got[2].IsZero() {
			t.Errorf("counted are %v", got)
		}
		if contains(strings.Join(s.log.Lines(), ""), s.token) {
			t.Error("the log shows the token")
		}
	})
}
