package manifest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Each way in which a push can go wrong, once with the server having taken it
// and once without: what the answer says must not matter.
func TestAPushThatWentWrongIsJudgedByTheBranch(t *testing.T) {
	overEach(t, testAPushThatWentWrongIsJudgedByTheBranch)
}

func testAPushThatWentWrongIsJudgedByTheBranch(t *testing.T, newOrigin origins) {
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	faults := []struct {
		name  string
		fault gitserver.Fault
		code  gitops.Code // of the error when git did not take the push
	}{
		{"cut", gitserver.Fault{Cut: true}, gitops.Unavailable},
		{"500", gitserver.Fault{Status: 500}, gitops.Unavailable},
		{"502 with a page", gitserver.Fault{Status: 502, Body: "<html>bad gateway</html>"}, gitops.Unavailable},
		{"503", gitserver.Fault{Status: 503}, gitops.Unavailable},
		{"200 and nothing", gitserver.Fault{Status: 200}, gitops.Unavailable},
		{"200 and a page", gitserver.Fault{Status: 200, Body: "<html>please log in</html>"}, gitops.Unavailable},
		{"200 and half a report", gitserver.Fault{Status: 200, Body: "0030\x01000eunpack ok\n"}, gitops.Unavailable},
		{"no answer in time", gitserver.Fault{Hold: released, Status: 200}, gitops.Unavailable},
	}
	for _, f := range faults {
		for _, applied := range []bool{false, true} {
			name := f.name + ", not taken"
			if applied {
				name = f.name + ", taken"
			}
			t.Run(name, func(t *testing.T) {
				o := newOrigin(t)
				w := o.writer(func(c *Config) {
					if f.fault.Hold != nil {
						c.Timeouts.Push = 300 * time.Millisecond
					}
				})
				u := o.update("dev", "shop", "main-0000001")
				f.fault.On, f.fault.Apply = gitserver.Push, applied
				if err := w.Handshake(t.Context()); err != nil {
					t.Fatal(err)
				}
				o.server.Inject(f.fault)
				settled, err := writeAll(t.Context(), w, u)
				switch {
				case applied && err != nil && f.fault.Hold != nil:
					// The machine was so slow that git had not taken it when we looked.
				case applied && err != nil:
					t.Fatalf("the push was taken, but: %v", err)
				case !applied && gitops.CodeOf(err) != f.code:
					t.Fatalf("error %v, want %s", err, f.code)
				case !applied && len(settled) != 0:
					t.Fatalf("settled as %+v although nothing is on the branch", settled)
				}
				if err != nil {
					w = o.writer()
					settled = o.write(w, u)
				}
				if settled[0].Action != gitops.ActionCommit {
					t.Fatalf("ended as %+v, want committed", settled[0])
				}
				o.check(settled...)
				o.check(o.write(w, o.update("prod", "shop", "v1.0.0"))...)
			})
		}
	}
}

// When nobody can look at the branch either, the same writer finds out by
// itself at the next call.
func TestAPushWhoseFateIsUnknownIsNotMadeTwice(t *testing.T) {
	overEach(t, testAPushWhoseFateIsUnknownIsNotMadeTwice)
}

func testAPushWhoseFateIsUnknownIsNotMadeTwice(t *testing.T, newOrigin origins) {
	for _, applied := range []bool{false, true} {
		o := newOrigin(t)
		w := o.writer()
		u := o.update("dev", "shop", "main-0000001")
		if err := w.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.server.Inject(gitserver.Fault{On: gitserver.Push, Apply: applied, Cut: true, Before: func() {
			o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Cut: true, Times: -1})
		}})
		if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || len(settled) != 0 {
			t.Fatalf("got %v and %v, want nothing and unavailable", settled, err)
		}
		o.server.Heal()
		o.commit(gitserver.Change{Files: map[string]string{"README.md": "Changed\n"}})
		settled := o.write(w, u, o.update("dev", "shop", "main-0000002"))
		if settled[0].Action != gitops.ActionCommit {
			t.Fatalf("ended as %+v, want committed", settled[0])
		}
		o.check(settled...)
	}
}

func TestAStatusBecomesACode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		header http.Header
		code   gitops.Code
		after  time.Duration
	}{
		{401, nil, gitops.Unauthorized, 0},
		{403, nil, gitops.Forbidden, 0},
		{403, http.Header{"Retry-After": {"7"}}, gitops.RateLimited, 7 * time.Second},
		{403, http.Header{"X-Ratelimit-Remaining": {"0"}}, gitops.RateLimited, 0},
		{404, nil, gitops.NotFound, 0},
		{413, nil, gitops.TooLarge, 0},
		{429, http.Header{"Retry-After": {"30"}}, gitops.RateLimited, 30 * time.Second},
		{429, http.Header{"Retry-After": {"86400"}}, gitops.RateLimited, time.Hour},
		{429, http.Header{"Retry-After": {"9223372036854775807"}}, gitops.RateLimited, time.Hour},
		{429, http.Header{"Retry-After": {"Fri, 31 Dec 2100 23:59:59 GMT"}}, gitops.RateLimited, time.Hour},
		{403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"4133980799"}}, gitops.RateLimited, time.Hour},
		{503, http.Header{"Retry-After": {"5"}}, gitops.Unavailable, 5 * time.Second},
		{418, nil, gitops.Unavailable, 0},
	}
	for _, on := range []gitserver.Operation{gitserver.PushRefs, gitserver.FetchRefs, gitserver.Fetch, gitserver.Push} {
		o := newOrigin(t)
		var settled []gitops.Transition
		for n, tt := range tests {
			if on != gitserver.Push && n%4 != 0 { // what a status means does not depend on what was asked
				continue
			}
			o.server.Inject(gitserver.Fault{On: on, Times: -1, Status: tt.status, Header: tt.header, Body: "go\taway\x1b[31m"})
			at := time.Now()
			w := o.writer(func(c *Config) { c.Now = func() time.Time { return at } })
			u := o.update("dev", "shop", fmt.Sprintf("main-%07d", n))
			_, err := writeAll(t.Context(), w, u)
			var e *gitops.Error
			if on == gitserver.Push && tt.status == 413 { // it may be this update's fault
				if err == nil || !strings.Contains(err.Error(), "Code:too_large") {
					t.Fatalf("413: %v, want a refusal", err)
				}
			} else if !errors.As(err, &e) || e.Code != tt.code || e.RetryAfter != tt.after {
				t.Fatalf("%d to %s: %v, want %s after %s", tt.status, on, err, tt.code, tt.after)
			}
			if strings.ContainsAny(err.Error(), "\x1b\t") {
				t.Errorf("%d to %s: control characters in %q", tt.status, on, err)
			}
			o.server.Heal()
			if tt.after > 0 {
				w = o.writer() // the first one keeps away now; another test has that
			}
			settled = append(settled, o.write(w, u)...)
		}
		o.check(settled...)
	}
}

func TestARefusalKeepsTheServersWords(t *testing.T) { overEach(t, testARefusalKeepsTheServersWords) }

func testARefusalKeepsTheServersWords(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := o.repo.Hook("pre-receive", `printf 'POLICY: prod is\tfrozen\033[0m until Monday\n' >&2; exit 1`); err != nil {
		t.Fatal(err)
	}
	u, other := o.update("prod", "shop", "v1.0.0"), o.update("prod", "cart", "v1.0.0")
	settled, err := writeAll(t.Context(), w, u, other)
	if gitops.CodeOf(err) != gitops.Rejected || len(settled) != 0 {
		t.Fatalf("got %v and %v, want nothing and rejected", settled, err)
	}
	if s := gitops.PublicOf(err); !strings.Contains(s, "POLICY: prod is frozen") || strings.ContainsAny(s, "\x1b\t\n") {
		t.Errorf("the sentence is %q", s)
	}
	if err := o.repo.Hook("pre-receive", ""); err != nil {
		t.Fatal(err)
	}
	o.check(o.write(w, u, other)...)
}

func TestAProtectedBranchIsARefusal(t *testing.T) { overEach(t, testAProtectedBranchIsARefusal) }

func testAProtectedBranchIsARefusal(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	if err := o.repo.Hook("update", `echo "protected branch $1" >&2; exit 1`); err != nil {
		t.Fatal(err)
	}
	_, err := writeAll(t.Context(), w, o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"))
	if gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(gitops.PublicOf(err), "protected branch refs/heads/main") {
		t.Errorf("got %v, want a refusal with the hook's words", err)
	}
	o.check()
}

// A fetch whose answer is damaged must neither crash the writer nor spoil what
// it holds.
func TestADamagedFetchChangesNothing(t *testing.T) { overEach(t, testADamagedFetchChangesNothing) }

func testADamagedFetchChangesNothing(t *testing.T, newOrigin origins) {
	damages := map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"page":        func([]byte) []byte { return []byte("<html>") },
		"truncated":   func(b []byte) []byte { return b[:len(b)-30] },
		"half":        func(b []byte) []byte { return b[:len(b)/2] },
		"flipped bit": func(b []byte) []byte { b[len(b)-40] ^= 1; return b },
		"broken off":  func([]byte) []byte { return []byte("0008NAK\n0011\x03disk is full") },
		"error":       func([]byte) []byte { return []byte("001aERR no such repository") },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			w := o.writer()
			u := o.update("dev", "shop", "main-0000001")
			o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Times: -1, Replace: damage})
			if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable {
				t.Fatalf("the first fetch: %v, want unavailable", err)
			}
			o.server.Heal()
			o.check(o.write(w, u)...)

			o.commit(gitserver.Change{Files: map[string]string{testFile("prod", "shop"): valuesFile("shop", "prod", "by hand")}})
			o.server.Inject(gitserver.Fault{On: gitserver.Fetch, Replace: damage})
			u = o.update("dev", "shop", "main-0000002")
			settled, err := writeAll(t.Context(), w, u)
			if err != nil {
				settled = o.write(w, u)
			}
			o.check(settled...)
		})
	}
}

func TestAnAnswerIsReadNoFurtherThanItsCap(t *testing.T) {
	overEach(t, testAnAnswerIsReadNoFurtherThanItsCap)
}

func testAnAnswerIsReadNoFurtherThanItsCap(t *testing.T, newOrigin origins) {
	o := newOrigin(t)
	w := o.writer()
	endless := func([]byte) []byte { return []byte(strings.Repeat("0009\x02abcd", 2<<20/9)) }
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Replace: endless}) // git takes the push
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
}

func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	const secret = "ghs_s3cr3t"
	o := newOrigin(t)
	o.server.RequireToken("another")
	file := tokenFile(t, secret)
	var seen []string
	w := o.writer(func(c *Config) { c.Credentials = git.TokenFile{Path: file} })
	for _, f := range []gitserver.Fault{{}, {Cut: true}, {Status: 500}, {Status: 302, Header: http.Header{"Location": {"http://example.com/info/refs"}}}} {
		o.server.Inject(f)
		seen = append(seen, w.Handshake(context.Background()).Error())
	}
	for _, text := range seen {
		if strings.Contains(text, secret) || strings.Contains(text, file) {
			t.Errorf("an error tells too much: %s", text)
		}
	}
}

// A push that lost the race is no refusal, though nobody could look at the branch.
func TestALostRaceThatNobodyCanSeeIsNoRefusal(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := o.writer()
	if err := w.Handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server.Inject(gitserver.Fault{On: gitserver.Push, Before: func() {
		o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
		o.server.Inject(gitserver.Fault{On: gitserver.PushRefs, Cut: true, Times: -1})
	}})
	u := o.update("dev", "shop", "main-0000001")
	if _, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(err.Error(), "after a push: failed to update ref") {
		t.Errorf("got %v, want unavailable and what the push met", err)
	}
	o.server.Heal()
	o.check(o.write(w, u)...)
}
