package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// networkLink is one replica's way to the git server: an [http.RoundTripper] in
// which everything happens that happens between two machines.
type networkLink struct {
	*replica
	by string // which of the replica's goroutines has the link
}

// answer is what comes back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
	cut    bool // the connection breaks at the body's end
}

func says(status int, header http.Header, text string) answer {
	return answer{status: status, header: header, body: []byte(text)}
}

// mishap is what happens to one request.
type mishap struct {
	lost    bool          // it never arrives
	late    time.Duration // it arrives so much later
	instead *answer       // this is answered in place of git
	after   *answer       // git does the work, and this is answered
	deaf    bool          // git does the work, and the answer never comes
	cut     bool          // git does the work, and its answer breaks off
	hook    string        // a hook refuses the push with these words
	lag     time.Duration // where the branch is, is answered as it was so long ago
}

func (m mishap) String() (text string) {
	for _, part := range []struct {
		there bool
		text  string
	}{
		{m.late > 0, fmt.Sprintf(", %s late", m.late)}, {m.instead != nil, ", and git does not see it"}, {m.after != nil, ", after git saw it"},
		{m.deaf, ", and the answer is lost"}, {m.cut, ", and the answer breaks off"}, {m.hook != "", ", and a hook refuses"}, {m.lag > 0, fmt.Sprintf(", as it was %s ago", m.lag)},
	} {
		if part.there {
			text += part.text
		}
	}
	return text
}

// mishapOf says which fault of a request the seed has drawn.
func mishapOf(push bool, detail uint64) mishap {
	seconds := time.Duration(1+detail>>8%40) * time.Second
	retry := http.Header{"Retry-After": {fmt.Sprint(int(seconds / time.Second))}}
	refused := func(a answer) mishap { return mishap{instead: &a} }
	taken := func(a answer) mishap { return mishap{after: &a} }
	all := []mishap{
		{lost: true}, {deaf: true}, {deaf: true}, {cut: true}, {cut: true}, {late: seconds * 2}, {late: seconds * 2}, {lag: seconds}, {lag: seconds},
		refused(says(500, nil, "no")), taken(says(500, nil, "no")), refused(says(502, nil, "<html>")), taken(says(502, nil, "<html>")),
		refused(says(503, retry, "later")), refused(says(429, retry, "slow down")), refused(says(401, nil, "who?")),
		refused(says(403, nil, "you may not")), refused(says(403, retry, "slow down")), refused(says(200, nil, "")), taken(says(200, nil, "")),
	}
	if push {
		all = append(all, mishap{hook: "POLICY: frozen"}, mishap{hook: "protected branch"}, mishap{late: seconds * 3}, mishap{deaf: true})
	}
	return all[detail%uint64(len(all))]
}

var errRefused = errors.New("dial tcp: connect: connection refused")

// RoundTrip implements [http.RoundTripper].
func (l networkLink) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	service := r.URL.Query().Get("service")
	push := strings.HasSuffix(r.URL.Path, "/git-receive-pack")
	name := r.Method + strings.TrimPrefix(r.URL.Path, "/manifests.git") + service
	turn := l.chance.turn(l.name+name+l.by, 20*time.Millisecond)
	var bad mishap
	if p := l.networkFaults(); turn.fault < p {
		bad = mishapOf(push, turn.detail)
	}
	if l.gate(turn.detail); l.isDead() || l.networkCut.Load() {
		return nil, errRefused
	}
	sent := sending{time.Now(), l.judged.Load()}
	work := func() answer { return l.answer(r, sent, service, body, bad) }
	if bad.lost {
		l.wait(r.Context(), time.Hour)
		l.gate(turn.detail)
		return nil, gone(r)
	}
	if out := turn.out + bad.late; !l.wait(r.Context(), out) {
		if turn.survives {
			time.AfterFunc(l.chance.alone(turn.back+bad.late), func() { work() }) // it was on its way already
		}
		l.gate(turn.detail)
		return nil, gone(r)
	}
	a := work()
	if push {
		l.pushArrived()
	}
	l.tell("%s: %s: %d%s", l.name, name+l.by, a.status, bad)
	if bad.deaf {
		turn.back = time.Hour
	}
	if !l.wait(r.Context(), turn.back) || l.isDead() {
		l.gate(turn.detail)
		return nil, gone(r)
	}
	l.gate(turn.detail)
	return a.response(r), nil
}

// gone is the error of a request whose time is over, or whose process is.
func gone(r *http.Request) error {
	if err := r.Context().Err(); err != nil {
		return err
	}
	return syscall.ECONNRESET
}

// answer is what the server does with a request that has arrived.
func (l networkLink) answer(r *http.Request, sent sending, service string, body []byte, bad mishap) answer {
	if bad.instead != nil {
		return *bad.instead
	}
	o := l.world.origin
	var out []byte
	var err error
	switch {
	case r.Method == http.MethodGet:
		out = o.advertise(service, bad.lag)
	case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
		out, err = o.uploadPack(body)
	default:
		out, err = o.receivePack(l.name, sent, body, bad.hook)
	}
	if errors.Is(err, errTooLarge) {
		return says(413, nil, "too large")
	}
	if err != nil {
		l.world.check.violated("%s made a request that git does not understand: %v", l.name, err)
		return says(400, nil, "bad request")
	}
	switch {
	case bad.after != nil:
		return *bad.after
	case bad.cut:
		return answer{status: 200, body: out[:len(out)/2], cut: true}
	}
	return answer{status: 200, body: out}
}

func (a answer) response(r *http.Request) *http.Response {
	var body io.Reader = bytes.NewReader(a.body)
	if a.cut {
		body = io.MultiReader(body, broken{})
	}
	header := a.header
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}
}

// broken is a connection that has ended too early.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
