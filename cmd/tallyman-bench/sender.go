package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

var secret = []byte("the-secret-of-the-bench")

// events makes deliveries as GitHub sends them, signed beforehand. No two are
// alike.
type events struct {
	body int // bytes, at least
	made int
	rand *rand.Rand
}

// event is one delivery, ready to be written to a connection.
type event struct {
	id      string
	request []byte
}

func newEvents(body int) *events {
	return &events{body: body, rand: rand.New(rand.NewPCG(1, 2))}
}

// next makes n deliveries for the apps of the shape, its environments in turn.
func (e *events) next(shape gitserver.Shape, n int) []event {
	all := make([]event, n)
	for i := range all {
		all[i] = e.update(shape).event
	}
	return all
}

// update makes one of a random app, and says what it shall do to which file.
func (e *events) update(shape gitserver.Shape) update {
	return e.of(gitserver.App(e.rand.IntN(shape.Apps)), shape.Environments[(e.made+1)%len(shape.Environments)])
}

// of makes one of an app in an environment, to a tag that no file has.
func (e *events) of(app, environment string) update {
	return e.named(app, environment, fmt.Sprintf("main-f%011x", e.made+1))
}

// named makes one to a tag.
func (e *events) named(app, environment, tag string) update {
	e.made++
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", e.made, e.made)
	return update{
		event: event{id, e.request(id, app, environment, tag)},
		file:  gitserver.ValuesFile(app, environment),
		text:  gitserver.Values(app, environment, tag),
		tag:   tag,
	}
}

func (e *events) request(id, app, environment, tag string) []byte {
	text := dispatchBody(app, environment, tag, e.body)
	request := fmt.Appendf(nil, "POST /webhooks/github HTTP/1.1\r\nHost: tallyman\r\nAccept: */*\r\nContent-Type: application/json\r\n"+
		"User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: repository_dispatch\r\nX-GitHub-Delivery: %s\r\n"+
		"X-Hub-Signature-256: %s\r\nContent-Length: %d\r\n\r\n", id, signature(text), len(text))
	return append(request, text...)
}

// dispatchBody is a repository_dispatch that orders an update, of so many bytes at least.
func dispatchBody(app, environment, tag string, size int) []byte {
	const body = `{"action":"update-image","branch":"main","client_payload":{"app":"%s","env":"%s","tag":"%s"},` +
		`"repository":{"id":1,"name":"manifests","full_name":"example/manifests","description":"%s"},` +
		`"sender":{"login":"ann","id":1,"type":"User"},"installation":{"id":1}}`
	text := fmt.Appendf(nil, body, app, environment, tag, "")
	if missing := size - len(text); missing > 0 {
		text = fmt.Appendf(nil, body, app, environment, tag, strings.Repeat("x", missing))
	}
	return text
}

// signature is what GitHub signs a body with.
func signature(body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return fmt.Sprintf("sha256=%x", mac.Sum(nil))
}

// sender is one connection that is kept. It knows just enough of HTTP: the
// generator shares the processors with what it measures.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*sender, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &sender{conn, bufio.NewReader(conn)}, nil
}

// send sends one delivery. An answer other than 202 is an error.
func (s *sender) send(e event) error {
	if _, err := s.conn.Write(e.request); err != nil {
		return err
	}
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	accepted := bytes.HasPrefix(line, []byte("HTTP/1.1 202 "))
	status, length := strings.TrimSpace(string(line)), -1
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	switch {
	case length < 0:
		return errors.New("an answer came without a Content-Length")
	case !accepted:
		text := make([]byte, length)
		_, _ = io.ReadFull(s.in, text) // the status is bad enough
		return fmt.Errorf("answered %s: %s", status, text)
	}
	_, err = s.in.Discard(length)
	return err
}

// answers is what came of a volley.
type answers struct {
	began, ended time.Time       // before the first request, after the last answer
	latencies    []time.Duration // of each delivery that was answered 202, in no order
}

// volley sends the deliveries over so many connections, each as soon as the one
// before it on its connection was answered, and stops to send when the time is
// up. The connections are made beforehand.
func volley(ctx context.Context, address string, connections int, events []event, limit time.Duration) (answers, error) {
	senders := make([]*sender, min(connections, len(events)))
	for i := range senders {
		s, err := dial(address)
		if err != nil {
			return answers{}, err
		}
		defer s.conn.Close()
		defer context.AfterFunc(ctx, func() { s.conn.Close() })()
		senders[i] = s
	}
	latencies := make([][]time.Duration, len(senders))
	problems := make([]error, len(senders))
	var taken atomic.Int64
	var all sync.WaitGroup
	a := answers{began: time.Now()}
	for i, s := range senders {
		all.Go(func() {
			now := time.Now()
			for now.Sub(a.began) < limit {
				at := int(taken.Add(1)) - 1
				if at >= len(events) {
					return
				}
				if problems[i] = s.send(events[at]); problems[i] != nil {
					return
				}
				answered := time.Now()
				latencies[i] = append(latencies[i], answered.Sub(now))
				now = answered
			}
		})
	}
	all.Wait()
	a.ended = time.Now()
	for _, some := range latencies {
		a.latencies = append(a.latencies, some...)
	}
	return a, errors.Join(problems...)
}
