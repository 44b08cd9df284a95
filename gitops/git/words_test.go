package git

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What a server says last is why it refuses, however much it says before.
func TestTheEndOfTheServersWordsIsKept(t *testing.T) {
	var counters strings.Builder
	for i := range 400 {
		fmt.Fprintf(&counters, "Resolving deltas: %d%% (%d/400)\r", i/4, i)
	}
	long := strings.Repeat("A notice that every push gets.\n", 200)
	for name, tt := range map[string]struct{ said, want string }{
		"nothing":              {"", ""},
		"one line":             {"POLICY: frozen\n", "POLICY: frozen"},
		"a line without end":   {"POLICY: frozen", "POLICY: frozen"},
		"lines of Windows":     {"POLICY:\r\nfrozen\r\n", "POLICY: frozen"},
		"counters of git":      {counters.String() + "Resolving deltas: 100% (400/400), done.\nPOLICY: frozen\n", "POLICY: frozen"},
		"counters to the end":  {counters.String(), ""},
		"counters of a remote": {"remote: Counting objects: 3, done.\nremote: no\nremote: Resolving deltas: 100% (4/4), completed with 4 local objects.\n", "remote: no"},
		"counters of Gerrit":   {"Processing changes: refs: 1\rProcessing changes: refs: 1, done    \nno\n", "no"},
		"no counter":           {"Checking policy: 2 files are frozen, done by Ann Lee\n", "Checking policy: 2 files are frozen, done by Ann Lee"},
		"git after a hook":     {"POLICY: frozen\nerror: hook declined to update refs/heads/main\n", "POLICY: frozen; error: hook declined to update refs/heads/main"},
		"git after a sentence": {"It is frozen.\nerror: hook declined\n", "It is frozen. error: hook declined"},
		"a sentence in lines":  {"POLICY: ask\nthe owners\n", "POLICY: ask the owners"},
		"colours":              {"\x1b[31mno\x1b[0m\n", "[31mno [0m"},
	} {
		for _, atOnce := range []int{1, 7, 1 << 20} {
			var w serverWords
			for said := tt.said; said != ""; {
				n := min(atOnce, len(said))
				_, _ = w.Write([]byte(said[:n])) // it takes everything
				said = said[n:]
			}
			if got := w.String(); got != tt.want {
				t.Errorf("%s, %d at once: %q, want %q", name, atOnce, got, tt.want)
			}
		}
	}
	var w serverWords
	_, _ = w.Write([]byte(long + "POLICY: frozen\n"))
	if got := w.String(); !strings.HasSuffix(got, "POLICY: frozen") || len(got) > maxWordsBytes {
		t.Errorf("after a long notice: %d bytes that end in %q", len(got), got[max(0, len(got)-40):])
	}
	w = serverWords{}
	_, _ = w.Write([]byte(strings.Repeat("x", 10*maxWordsBytes) + " POLICY: frozen"))
	if got := w.String(); !strings.HasSuffix(got, "POLICY: frozen") || len(got) > maxWordsBytes {
		t.Errorf("at the end of a long line: %d bytes that end in %q", len(got), got[max(0, len(got)-40):])
	}
}

func FuzzServerWords(f *testing.F) {
	f.Add("POLICY: frozen\r\nResolving deltas: 64% (7/11)\rno", 3)
	f.Fuzz(func(t *testing.T, said string, atOnce int) {
		var w serverWords
		for said != "" {
			n := min(max(atOnce, 1), len(said))
			_, _ = w.Write([]byte(said[:n]))
			said = said[n:]
		}
		got := w.String()
		if len(got) > 2*maxWordsBytes || strings.ContainsFunc(got, func(c rune) bool { return c != ' ' && !unicode.IsPrint(c) }) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
		if again := w.String(); again != got {
			t.Errorf("%q is %q the second time", got, again)
		}
	})
}

func TestReasonsAreComparedWithoutWhatIsOfThePush(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"", "", true},
		{"hook declined: frozen", "hook declined: frozen", true},
		{"hook declined: frozen (request 7F3A:1B2C at 2026-01-02T15:04:05Z)", "hook declined: frozen (request 0A9B:77 at 2026-01-02T16:00:00Z)", true},
		{"is at 0123456789abcdef0123456789abcdef01234567 but expected abcdefabcdef", "is at 89abcdef0123456789abcdef0123456789abcdef but expected deadbeef.", true},
		{"the push has 41 commits, over 20", "the push has 9 commits, over 20", true},
		{"Hook declined: frozen", "hook declined:  frozen", true},
		{"hook declined: charts/shop is frozen", "hook declined: charts/cart is frozen", false},
		{"hook declined: frozen", "hook declined", false},
	} {
		if got := SameReason(tt.a, tt.b); got != tt.same {
			t.Errorf("%q and %q: same is %t", tt.a, tt.b, got)
		}
	}
}

// What a server answers to a bad request is shown, but for what was sent to it.
func TestALineOfTheAnswerIsInTheSentence(t *testing.T) {
	const password = "ghs_s3cr3t"
	for name, tt := range map[string]struct {
		status     int
		body, want string
	}{
		"text":                 {400, "TF401041: The Git protocol sent is not as expected.\nmore\n", "the git server answers with status 400: TF401041: The Git protocol sent is not as expected."},
		"a blank line first":   {400, "\r\n  no\r\nmore", "the git server answers with status 400: no"},
		"an object":            {400, `{"$id":"1","message":"TF400813: not authorized","typeKey":"X"}`, "the git server answers with status 400: TF400813: not authorized"},
		"an object of another": {404, `{"error":"not here"}`, "the repository does not exist, or the credentials may not see it: not here"},
		"a page":               {413, "<!DOCTYPE html>\n<html><head>\n<title>\n 413 &amp; more</title></head>", "the push is too large for the git server: 413 & more"},
		"a page without title": {400, "<html><body>no", "the git server answers with status 400"},
		"nothing":              {400, "", "the git server answers with status 400"},
		"control characters":   {400, "a\x1b[31mb\x00c", "the git server answers with status 400: a [31mb c"},
		"what was sent":        {403, "the token " + password + " (Basic eDpzM2NyM3Q=) may not", "the credentials may not write to the repository: the token *** (Basic ***) may not"},
		"a long line":          {400, strings.Repeat("é", 400), "the git server answers with status 400: " + strings.Repeat("é", maxLineBytes/2) + " ..."},
		"the server's fault":   {502, "upstream 10.0.0.7 is away", "the git server answers with status 502"},
	} {
		response := &http.Response{StatusCode: tt.status, Header: make(http.Header)}
		err := PublicError(newStatusError(response, []byte(tt.body), []string{"eDpzM2NyM3Q=", password}, time.Now()))
		if got := gitops.PublicOf(err); got != tt.want {
			t.Errorf("%s: got  %s\nwant %s", name, got, tt.want)
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the log has the password", name)
		}
	}
}
