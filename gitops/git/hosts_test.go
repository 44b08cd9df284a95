package git

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// host is a program or a service that people keep repositories on: what it
// advertises, and what it says when it refuses a push, after the traces, sources and
// documents that are public. The hashes are made up.
type host struct {
	Host                    string
	UploadPack, ReceivePack string // capabilities
	NeedsMultiAck           bool   // it answers 400 to who does not ask for it
	AsksFetch, AsksPush     string // what we ask of it
	Refusals                []hostRefusal
}

type hostRefusal struct {
	Name string

	Status int // of HTTP; or 200 with a report:
	Body   string
	Header map[string]string

	Unpack, NG string // of the report
	Said       string // beside it

	Kind     RefusalKind
	Code     gitops.Code
	Sentence string
}

func TestHosts(t *testing.T) {
	files, err := filepath.Glob("testdata/hosts/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d hosts, %v", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var h host
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&h); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(h.Host, func(t *testing.T) { testHost(t, h) })
	}
}

func testHost(t *testing.T, h host) {
	server := &hostServer{T: t, host: h}
	at := httptest.NewServer(server)
	t.Cleanup(at.Close)
	remote, err := NewRemote(Config{URL: at.URL + "/acme/manifests.git"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remote.Close)

	fetch, err := remote.Refs(t.Context(), UploadPack, "main")
	if err == nil {
		err = fetch.CanFetch("main")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Fetch(t.Context(), FetchRequest{Wants: []Hash{hostTip}, Have: hostTip, Shallow: []Hash{hostTip}, Depth: 16, Filter: offered(fetch, FilterBlobs), Capabilities: fetch.Capabilities}, Nothing)
	if err != nil {
		t.Errorf("fetching: %v", err)
	}
	if !sameWords(server.asked, h.AsksFetch) {
		t.Errorf("a fetch asks for %q, want %q", server.asked, h.AsksFetch)
	}

	push, err := remote.Refs(t.Context(), ReceivePack, "main")
	if err == nil {
		err = push.CanPush("main")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range h.Refusals {
		server.refusal = r
		err := remote.Push(t.Context(), PushRequest{Branch: "main", Old: hostTip, New: Hash{2}, Pack: []byte("PACK"), Capabilities: push.Capabilities})
		if !sameWords(server.asked, h.AsksPush) {
			t.Errorf("a push asks for %q, want %q", server.asked, h.AsksPush)
		}
		var no *Refusal
		if errors.As(err, &no) != (r.Kind != "") || no != nil && no.Kind() != r.Kind {
			t.Errorf("%s: %v is not of the kind %q", r.Name, err, r.Kind)
		}
		public := PublicError(err)
		if gitops.CodeOf(public) != r.Code || gitops.PublicOf(public) != r.Sentence {
			t.Errorf("%s: got %s\n%s\nwant %s\n%s", r.Name, gitops.CodeOf(public), gitops.PublicOf(public), r.Code, r.Sentence)
		}
		if no != nil && no.Unpack != (r.Unpack != "") {
			t.Errorf("%s: unpack is %t", r.Name, no.Unpack)
		}
	}
}

func offered(a Advertisement, f Filter) Filter {
	if a.Can("filter") {
		return f
	}
	return FilterNone
}

func sameWords(a, b string) bool {
	return slices.Equal(slices.Sorted(strings.FieldsSeq(a)), slices.Sorted(strings.FieldsSeq(b)))
}

var hostTip = Hash{1}

// hostServer answers as a host does.
type hostServer struct {
	*testing.T
	host
	refusal hostRefusal
	asked   string // the capabilities of the last request
}

func (s *hostServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Error(err)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/info/refs"):
		capabilities, service := s.UploadPack, r.URL.Query().Get("service")
		if service == ReceivePack {
			capabilities = s.ReceivePack
		}
		fmt.Fprint(w, line("# service="+service+"\n"), "0000", line(hostTip.String()+" refs/heads/main\x00"+capabilities+"\n"), "0000")
	case strings.HasSuffix(r.URL.Path, UploadPack):
		want, _, _ := strings.Cut(string(body), "\n")
		s.asked = want[len("0000want ")+len(hostTip.String())+1:]
		if s.NeedsMultiAck && !strings.Contains(s.asked, "multi_ack") {
			http.Error(w, "TF401041: The Git protocol sent is not as expected (Clients must support multi-ack.).", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, line("shallow "+hostTip.String()), "0000", line("ACK "+hostTip.String()+" common\n"), line("ACK "+hostTip.String()+" ready\n"), line("NAK\n"), line("ACK "+hostTip.String()+"\n"))
		fmt.Fprint(w, line("\x02Counting objects: 1, done.\n"), line("\x01"+string(rawPack(0))), "0000")
	default:
		command, _, _ := bytes.Cut(body, []byte("0000PACK"))
		_, capabilities, _ := bytes.Cut(command, []byte{0})
		s.asked = string(capabilities)
		s.refuse(w)
	}
}

// refuse answers a push.
func (s *hostServer) refuse(w http.ResponseWriter) {
	r := s.refusal
	if r.Status != 0 {
		for name, value := range r.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(r.Status)
		fmt.Fprint(w, r.Body)
		return
	}
	if r.Said != "" {
		fmt.Fprint(w, line("\x02"+r.Said))
	}
	unpack, ng := "unpack ok\n", r.NG
	if r.Unpack != "" {
		unpack, ng = "unpack "+r.Unpack+"\n", "unpacker error"
	}
	fmt.Fprint(w, line("\x01"+line(unpack)+line("ng refs/heads/main "+ng+"\n")+"0000"), "0000")
}

// line is a line of git's protocol.
func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
