package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/attack"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

// load says how much of everything there is.
type load struct {
	size        string        // of the repository
	apps        int           // that send, of each way
	every       time.Duration // between two updates of one
	connections int           // with unfinished headers, of eight addresses
	slow        int           // bodies that come slowly
	forgers     int           // each with forgedPause between two requests
	streams     int           // of each token
	backups     time.Duration // between two
	length      time.Duration // of it all
	mostMiB     float64       // that may ever be resident
}

var fullLoad = load{apps: 20, every: 5 * time.Second, connections: 8_000, slow: 64, forgers: 16, streams: 20, backups: 30 * time.Second, mostMiB: 400}

const (
	forgedPause   = 50 * time.Millisecond
	rejectedPause = 50 * time.Millisecond
	readPause     = 500 * time.Millisecond
	floodPause    = 250 * time.Millisecond
	notePause     = time.Second     // between two commits by another writer
	comesAgain    = 5 * time.Second // a client whose connection has ended: the processors are the server's, too
)

// attackAll plays everything hostile at once until ctx ends.
func (s *soak) attackAll(ctx context.Context) {
	var all sync.WaitGroup
	for _, part := range []func(context.Context){
		s.unfinishedHeaders, s.slowBodies, s.forge, s.flood, s.stream, s.read, s.rejected, s.otherWriter, s.commitFiles, s.backUp,
	} {
		all.Go(func() { part(ctx) })
	}
	all.Wait()
}

// unfinishedHeaders holds as many connections as eight addresses may have by default. Half
// of them send more header than is read, the other half stay below every bound.
func (s *soak) unfinishedHeaders(ctx context.Context) {
	var from []string
	for n := range 8 {
		from = append(from, fmt.Sprintf("127.0.0.%d", 2+n))
	}
	var both sync.WaitGroup
	for name, opening := range map[string][]byte{
		"connections with endless headers": attack.UnfinishedHeader(32 << 10), "connections with unfinished headers": attack.UnfinishedLine(6 << 10),
	} {
		both.Go(func() {
			s.crowd(name, attack.Connections{
				Target: s.public, From: from, Count: s.load.connections / 2, Opening: opening, Hold: 20 * time.Second, Again: comesAgain,
			}.Run(ctx))
		})
	}
	both.Wait()
}

// slowBodies sends bodies of 1 MiB, a piece a second.
func (s *soak) slowBodies(ctx context.Context) {
	s.crowd("slow bodies", attack.Connections{
		Target: s.public, From: []string{"127.0.0.10", "127.0.0.11"}, Count: s.load.slow,
		Opening: attack.BodyHeader("/webhooks/github", 1<<20), Then: make([]byte, 64<<10), Every: time.Second, Hold: time.Minute, Again: comesAgain,
	}.Run(ctx))
}

// flood sends whole bodies of 1 MiB that nobody signed.
func (s *soak) flood(ctx context.Context) {
	whole := append(attack.BodyHeader("/webhooks/github", 1<<20), make([]byte, 1<<20)...)
	s.crowd("bodies of 1 MiB", attack.Connections{
		Target: s.public, From: []string{"127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15"}, Count: 4, Opening: whole, Hold: time.Minute, Again: floodPause,
	}.Run(ctx))
}

// forge sends requests that nobody authenticated from the address of the valid senders.
func (s *soak) forge(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: attack.Dialer(validFrom).DialContext, MaxIdleConnsPerHost: s.load.forgers}}
	defer client.CloseIdleConnections()
	requests := attack.Forged(snstest.Topic)
	s.each(ctx, s.load.forgers, forgedPause, func(worker, n int) {
		r := requests[(worker+n)%len(requests)]
		req, err := r.HTTP(ctx, "http://"+s.public)
		if err != nil {
			s.problemOf(err)
			return
		}
		status := statusOf(client, req)
		s.answer(ctx, "forged requests", status)
		if status/100 == 2 {
			s.problemOf(fmt.Errorf("%s is answered %d", r.Name, status))
		}
	})
}

// rejected sends what an authenticated sender may send and nobody can carry out, as large
// as it may be, each of which leaves something in the store.
func (s *soak) rejected(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: attack.Dialer(validFrom).DialContext}}
	defer client.CloseIdleConnections()
	s.each(ctx, 2, rejectedPause, func(worker, n int) {
		event := []string{"repository_dispatch", "create"}[worker] // rejected, and ignored
		id := fmt.Sprintf("full-%d-%d", worker, n)
		status, _, _ := s.ask(ctx, client, func() (string, string, http.Header, []byte) {
			return signed(id, event, dispatchBody("no-such-app", "dev", fmt.Sprintf("main-%07x", n), 60<<10))
		})
		s.answer(ctx, "rejected and ignored deliveries", status)
	})
}

// read asks for the largest answers there are.
func (s *soak) read(ctx context.Context) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: attack.Dialer("127.0.0.16").DialContext}}
	defer client.CloseIdleConnections()
	paths := []string{
		"environments", "updates?limit=200", "deliveries?limit=200", "audit?limit=200", "audit?format=jsonl",
		"history?limit=200&commits=100000&environment=dev&app=" + gitserver.App(0),
		"history?limit=200&commits=100000&environment=prod&app=" + gitserver.App(shapes[s.load.size].Apps-1),
	}
	s.each(ctx, 2, readPause, func(worker, n int) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.public+"/api/v1/"+paths[(n+worker*3)%len(paths)], nil)
		if err != nil {
			s.problemOf(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+readToken+"0")
		s.answer(ctx, "reads of the largest size", statusOf(client, req))
	})
}

// stream holds every stream that the tokens may have; of each second one nothing is read.
func (s *soak) stream(ctx context.Context) {
	var all sync.WaitGroup
	for n := range readTokens * s.load.streams {
		all.Go(func() {
			opening := fmt.Appendf(nil, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s%d\r\n\r\n", readToken, n%readTokens)
			if n%2 == 0 {
				s.crowd("streams that nobody reads", attack.Connections{Target: s.public, From: []string{"127.0.0.17"}, Count: 1, Opening: opening, Unread: true, Hold: time.Minute, Again: time.Second}.Run(ctx))
				return
			}
			s.follow(ctx, n%readTokens)
		})
	}
	all.Wait()
}

// follow reads one stream after the other.
func (s *soak) follow(ctx context.Context, reader int) {
	client := &http.Client{Transport: &http.Transport{DialContext: attack.Dialer("127.0.0.18").DialContext}}
	defer client.CloseIdleConnections()
	s.each(ctx, 1, time.Second, func(int, int) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.public+"/api/v1/events", nil)
		if err != nil {
			s.problemOf(err)
			return
		}
		req.Header.Set("Authorization", fmt.Sprint("Bearer ", readToken, reader))
		s.answer(ctx, "streams", statusOf(client, req))
	})
}

// each has so many workers do it again and again, with a pause between two times.
func (s *soak) each(ctx context.Context, workers int, pause time.Duration, do func(worker, n int)) {
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				do(worker, n)
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
}

// statusOf is the status of an answer that is read to its end; 0 when there is none.
func statusOf(client *http.Client, req *http.Request) int {
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // an answer that is cut off has its status, too
	return resp.StatusCode
}

// answer counts an answer to a request that the end of the attack did not cut off.
func (s *soak) answer(ctx context.Context, kind string, status int) {
	if ctx.Err() == nil {
		s.note(func() { count(s.figures.answered, kind, status) })
	}
}

// crowd adds up what came of one.
func (s *soak) crowd(name string, tally attack.Tally) {
	s.note(func() { s.figures.crowds[name] = s.figures.crowds[name].Add(tally) })
}

// backUp takes a backup now and then, as a job beside the server would.
func (s *soak) backUp(ctx context.Context) {
	s.each(ctx, 1, s.load.backups, func(_, n int) { s.backup(ctx, n) })
}
