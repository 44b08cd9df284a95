package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// raw sends a request as it stands and returns the answer and the connection's reader.
func (r *running) raw(text string) (*http.Response, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { answer.Body.Close() })
	return answer, reader
}

// A request whose end two programs may see in two places is refused, and nothing that
// follows it on the connection is read. Nobody is authenticated by then, so a count of
// the answers has it and not the audit, which anybody could fill otherwise.
func TestRequestsOfUnknownLengthAreRefused(t *testing.T) {
	r := newSite(t).start()
	const hidden = "0\r\n\r\nGET /api/v1/updates HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apiToken + "\r\n\r\n"
	for name, header := range map[string]string{
		"both":              fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(hidden)),
		"both, in capitals": fmt.Sprintf("TRANSFER-ENCODING: Chunked\r\nCONTENT-LENGTH: %d\r\n", len(hidden)),
		"chunked":           "Transfer-Encoding: chunked\r\n",
		"two lengths":       fmt.Sprintf("Content-Length: 5\r\nContent-Length: %d\r\n", len(hidden)),
		"a signed length":   "Content-Length: +5\r\n",
	} {
		for _, path := range []string{"/webhooks/github", "/api/v1/updates", "/nowhere"} {
			answer, rest := r.raw("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n" + hidden)
			if answer.StatusCode != 400 || !answer.Close {
				t.Errorf("%s at %s is answered %s, close %t", name, path, answer.Status, answer.Close)
			}
			answer.Body.Close()
			if _, err := http.ReadResponse(rest, nil); err == nil {
				t.Errorf("%s at %s: what follows is answered, too", name, path)
			}
		}
	}
	if answer, _ := r.raw("POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + hidden); answer.StatusCode != 501 {
		t.Errorf("another encoding is answered %s", answer.Status)
	}
	r.expectAudit()
}

// A body that is too large by its header is refused before it is sent.
func TestLargeBodiesAreRefusedBeforeTheyCome(t *testing.T) {
	r := newSite(t).start()
	for path, limit := range map[string]int{"/webhooks/github": 1 << 20, "/webhooks/ecr": 1 << 20, "/api/v1/updates": 1 << 20} {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: ", path, apiToken)
		answer, _ := r.raw(head + fmt.Sprint(limit+1) + "\r\n\r\n")
		if answer.StatusCode != 413 || !answer.Close {
			t.Errorf("%s: one byte too many is answered %s, close %t", path, answer.Status, answer.Close)
		}
		if answer, _ := r.raw(head + fmt.Sprint(limit) + "\r\n\r\n"); answer.StatusCode != 100 {
			t.Errorf("%s: the limit is answered %s", path, answer.Status)
		}
	}
	r.expectAudit() // nobody is authenticated yet
}

// A secret that can be guessed is not taken, and the way out is told. Nothing runs then
// that could write an audit.
func TestShortWebhookSecretsAreRefused(t *testing.T) {
	for _, name := range []string{"old", "bridge"} {
		s := newSite(t)
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte("fifteen-letters\n"), 0o600))
		_, err := s.newServer()
		got := strings.Join(sentences(err), "\n")
		if !strings.Contains(got, ".secretFiles[0]: "+s.dir+"/"+name+" holds a secret of 15 characters, and one needs 16: make one with openssl rand -hex 32") {
			t.Errorf("%s: %s", name, got)
		}
		s.must(os.WriteFile(filepath.Join(s.dir, name), []byte("sixteen-letters!\n"), 0o600))
		server, err := s.newServer()
		s.must(err)
		s.must(server.Stop(t.Context()))
	}
}
