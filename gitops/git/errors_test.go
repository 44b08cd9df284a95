package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"
)

// A log line has each thing once: what the server said, and where.
func TestAnErrorDoesNotRepeatItself(t *testing.T) {
	for want, err := range map[string]error{
		"server rejected the push: pre-receive hook declined: POLICY: frozen":                                                                          &Refusal{status: "pre-receive hook declined", said: "POLICY: frozen"},
		"server rejected the push: declined: POLICY: frozen":                                                                                           &Refusal{status: "declined: POLICY: frozen", said: "POLICY: frozen"},
		"server rejected the push: POLICY: no, hook declined":                                                                                          &Refusal{status: "hook declined", said: "POLICY: no, hook declined"},
		"server rejected the push: hook declined":                                                                                                      &Refusal{status: "hook declined"},
		"server denied git-upload-pack: no access: EOF":                                                                                                &serviceError{UploadPack, "no access", io.EOF},
		"server does not accept the credentials: HTTP status 401":                                                                                      &statusError{code: 401},
		"server does not accept the credentials: bad token: HTTP status 401":                                                                           &statusError{code: 401, line: "bad token"},
		"server redirects to http://x, where the credentials are not sent: configure its new URL":                                                      &redirectError{"http://x"},
		"server, SHA256:x, is not in the known_hosts file: compare it with what the server's owner publishes, then add it: knownhosts: key is unknown": &hostKeyError{"SHA256:x", &knownhosts.KeyError{}},
	} {
		_, got, _ := strings.Cut(PublicError(fmt.Errorf("pushing: %w", err)).Error(), "the git ")
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Only git's own word, or nothing sent, tells that a push has not landed.
func TestWhatLeavesAPushUnsure(t *testing.T) {
	for _, tt := range []struct {
		err  error
		sure bool
	}{
		{&Refusal{status: "hook declined"}, true},
		{&BehindError{}, true},
		{&credentialsError{io.EOF}, true},
		{&hostKeyError{why: io.EOF}, true},
		{&serviceError{err: io.EOF}, true},
		{&statusError{code: 403}, false},
		{&statusError{code: 502}, false},
		{&MovedError{}, false},
		{errNoReport, false},
		{io.ErrUnexpectedEOF, false},
		{context.DeadlineExceeded, false},
	} {
		if got := ResultKnown(fmt.Errorf("pushing: %w", tt.err)); got != tt.sure {
			t.Errorf("%T %v: sure %t, want %t", tt.err, tt.err, got, tt.sure)
		}
	}
}

func TestReadCapped(t *testing.T) {
	if _, err := readCapped(strings.NewReader("12345"), 4); !errors.Is(err, errTooMuch) {
		t.Errorf("got %v, want %v", err, errTooMuch)
	}
	if answer, err := readCapped(strings.NewReader("1234"), 4); err != nil || string(answer) != "1234" {
		t.Errorf("got %q and %v", answer, err)
	}
}
