package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
	"github.com/tallyman-dev/tallyman/server/secrettest"
)

var said secrettest.Book

func TestMain(m *testing.M) { os.Exit(secrettest.Main(m, &said)) }

// newSecret is a secret for webhooks as it stands in a file, and its bytes.
func newSecret() (line string, secret []byte) {
	secret = make([]byte, 32)
	rand.Read(secret)
	encoded := base64.StdEncoding.EncodeToString(secret)
	said.Forbid(string(secret), encoded)
	return "whsec_" + encoded, secret
}

func file(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fails is what an error says, which goes into the book.
func fails(t *testing.T, err error) *gitops.Error {
	t.Helper()
	var e *gitops.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v", err)
	}
	fmt.Fprintln(&said, err, e.Public())
	return e
}

func hook(t *testing.T, address, secretFile string) *notify.Webhook {
	t.Helper()
	client := notify.NewClient()
	t.Cleanup(client.Close)
	w, err := notify.NewWebhook(client, address, secretFile, now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// verify is how a receiver verifies a message, as docs/notifications.md says it: written
// without anything of package notify.
func verify(header http.Header, body []byte, secret []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return errors.New("the timestamp is too old, or too new")
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.%s", header.Get("webhook-id"), seconds, body)
	for given := range strings.FieldsSeq(header.Get("webhook-signature")) {
		if signature, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(given, "v1,")); err == nil && hmac.Equal(signature, mac.Sum(nil)) {
			return nil
		}
	}
	return errors.New("no signature is right")
}

// A message is signed by each secret of the file, which is read again: a receiver that knows
// the old or the new one verifies it.
func TestSignatures(t *testing.T) {
	t.Parallel()
	oldLine, oldSecret := newSecret()
	newLine, freshSecret := newSecret()
	_, other := newSecret()
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	path := file(t, oldLine, "")
	w := hook(t, server.URL+"/hook?team=shop", path)
	for _, c := range []struct {
		lines []string
		good  [][]byte
		bad   [][]byte
	}{
		{[]string{oldLine}, [][]byte{oldSecret}, [][]byte{freshSecret, other}},
		{[]string{"", newLine + "\r", " " + oldLine}, [][]byte{oldSecret, freshSecret}, [][]byte{other}},
		{[]string{newLine}, [][]byte{freshSecret}, [][]byte{oldSecret, other}},
	} {
		if err := os.WriteFile(path, []byte(strings.Join(c.lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		m := notify.Message{Version: 1, ID: "msg_1", Notifier: "ops", Kind: notify.KindTest, Title: "a < b", Text: "a < b"}
		if err := w.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		for _, secret := range c.good {
			if err := verify(header, body, secret, time.Now()); err != nil {
				t.Error(err)
			}
		}
		for _, secret := range c.bad {
			if verify(header, body, secret, time.Now()) == nil {
				t.Error("another secret verifies it")
			}
		}
		if verify(header, append(body, ' '), c.good[0], time.Now()) == nil || verify(header, body, c.good[0], time.Now().Add(time.Hour)) == nil {
			t.Error("another body, or a message of an hour ago, is verified")
		}
		var got notify.Message
		if err := json.Unmarshal(body, &got); err != nil || got.ID != header.Get("webhook-id") || got.Text != "a < b" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%v %s %v", err, body, header)
		}
	}
}

// What a receiver answers, and what comes of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	line, _ := newSecret()
	var status atomic.Int64
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Location", elsewhere.URL+"/s3cret-path")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(int(status.Load()))
		w.Write([]byte(r.Header.Get("webhook-signature") + " " + strings.Repeat("x", 1<<20))) // a receiver that says back what it was sent
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	said.Forbid("s3cret-path", "s3cret-hook")
	w := hook(t, server.URL+"/s3cret-hook", file(t, line))
	for answered, want := range map[int]struct {
		code gitops.Code
		text string
	}{
		301: {gitops.Unavailable, "answered 301 and leads to " + strings.TrimPrefix(elsewhere.URL, "http://") + ": redirects are not followed. Configure the address that it leads to"},
		307: {gitops.Unavailable, "answered 307 and leads to "},
		400: {gitops.Rejected, "answered 400"}, 413: {gitops.Rejected, "answered 413"}, 422: {gitops.Rejected, "answered 422"},
		401: {gitops.Unauthorized, "answered 401"}, 403: {gitops.Forbidden, "answered 403"}, 404: {gitops.NotFound, "answered 404"}, 410: {gitops.NotFound, "answered 410"},
		429: {gitops.RateLimited, "answered 429"}, 500: {gitops.Unavailable, "answered 500"}, 503: {gitops.Unavailable, "answered 503"},
	} {
		status.Store(int64(answered))
		before := asked.Load()
		e := fails(t, w.Send(t.Context(), notify.Message{ID: "msg_1"}))
		if e.Code != want.code || !strings.HasPrefix(e.Message, host+" "+want.text) || asked.Load() != before+1 {
			t.Errorf("%d: %s, %s", answered, e.Code, e.Message)
		}
		if answered >= 400 && e.RetryAfter != 7*time.Second {
			t.Errorf("%d: again after %s", answered, e.RetryAfter)
		}
	}
	for _, taken := range []int{200, 202, 204} {
		status.Store(int64(taken))
		if err := w.Send(t.Context(), notify.Message{ID: "msg_1"}); err != nil {
			t.Errorf("%d: %v", taken, err)
		}
	}
}

// An answer without an end is not read to its end.
func TestAnAnswerWithoutEnd(t *testing.T) {
	t.Parallel()
	line, _ := newSecret()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 64<<10))
		}
	}))
	defer server.Close()
	if err := hook(t, server.URL, file(t, line)).Send(t.Context(), notify.Message{}); err != nil {
		t.Error(err)
	}
}

// What a receiver says with its status is taken, whatever comes of the rest of its answer: else
// one that never ends it would have the first message for a day, and no other.
func TestAnAnswerThatIsCutOff(t *testing.T) {
	t.Parallel()
	line, _ := newSecret()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		if r.URL.Path == "/refuses" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, "ok")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/hangs" {
			<-release
		}
	}))
	defer server.Close()
	defer close(release)
	for path, refused := range map[string]bool{"/cut": false, "/hangs": false, "/refuses": true} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := hook(t, server.URL+path, file(t, line)).Send(ctx, notify.Message{}); (gitops.CodeOf(err) == gitops.Rejected) != refused || err == nil == refused {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
}

// A receiver that hangs is given up; one that is not there, or speaks no HTTP, is said without
// its address.
func TestReceiversThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	line, _ := newSecret()
	said.Forbid("s3cret-place")
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hangs.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e := fails(t, hook(t, hangs.URL+"/s3cret-place", file(t, line)).Send(ctx, notify.Message{})); e.Code != gitops.Unavailable || !strings.HasSuffix(e.Message, "did not answer within 10s") {
		t.Error(e)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Read(make([]byte, 1024))
			fmt.Fprint(connection, "s3cret-place is what I was asked for\r\n\r\n")
			connection.Close()
		}
	}()
	garbled := "http://" + listener.Addr().String() + "/s3cret-place"
	if e := fails(t, hook(t, garbled, file(t, line)).Send(t.Context(), notify.Message{})); e.Code != gitops.Unavailable || !strings.HasPrefix(e.Message, "the connection to 127.0.0.1:") {
		t.Error(e)
	}
	listener.Close()
	if e := fails(t, hook(t, garbled, file(t, line)).Send(t.Context(), notify.Message{})); !strings.Contains(e.Error(), "connection refused") {
		t.Error(e)
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	if e := fails(t, hook(t, secure.URL+"/s3cret-place", file(t, line)).Send(t.Context(), notify.Message{})); !strings.Contains(e.Error(), "certificate") {
		t.Error(e)
	}
}

// A secret's file that is wrong is said with its line and without what the line has.
func TestSecretsFiles(t *testing.T) {
	t.Parallel()
	line, _ := newSecret()
	short := base64.StdEncoding.EncodeToString([]byte("twenty-three bytes here"))
	said.Forbid(short, "s3cret-words")
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"words":     {[]string{"s3cret-words"}, ": line 1 is no secret: it must be whsec_ and 24 to 64 bytes in base64, as echo whsec_$(openssl rand -base64 32) writes it"},
		"too short": {[]string{line, "whsec_" + short}, ": line 2 is no secret"},
		"no prefix": {[]string{strings.TrimPrefix(line, "whsec_")}, ": line 1 is no secret"},
		"empty":     {[]string{"", " "}, " has 0 secrets: it must have 1 to 5, each on a line of its own"},
		"too many":  {[]string{line, line, line, line, line, line}, " has 6 secrets"},
		"large":     {[]string{strings.Repeat("x", 20<<10)}, " has more than 16 KiB: is it another file?"},
	} {
		path := file(t, c.lines...)
		_, err := notify.NewWebhook(notify.NewClient(), "https://hooks.example", path, now)
		if e := fails(t, err); e.Code != gitops.Invalid || e.Field != "secretFile" || !strings.HasPrefix(e.Message, path+c.want) {
			t.Errorf("%s: %v", name, e)
		}
	}
	_, err := notify.NewWebhook(notify.NewClient(), "https://hooks.example", filepath.Join(t.TempDir(), "missing"), now)
	if e := fails(t, err); e.Field != "secretFile" || !strings.HasSuffix(e.Message, "missing cannot be read") {
		t.Error(e)
	}
	// A file that breaks later is retried, not given up.
	path := file(t, line)
	w := hook(t, "http://127.0.0.1:1/", path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if e := fails(t, w.Send(t.Context(), notify.Message{})); e.Code != gitops.Unavailable {
		t.Error(e)
	}
}
