package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/cmd/tallyman-bench/ledger"
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/attack"
)

// validFrom is the address of every sender that has a credential, and of who forges
// theirs.
const validFrom = "127.0.0.1"

// way is one of the ways in for an update.
type way struct {
	name, environment string
	request           func(s *soak, app, tag, id string) (method, path string, header http.Header, body []byte)
}

var (
	byToken = way{"token", "staging", (*soak).ordered}
	ways    = []way{
		{"github", "dev", (*soak).dispatch}, {"eventbridge", "qa", (*soak).pushedToECR}, {"sns", "qa", (*soak).notified},
		byToken, {"job", "prod", (*soak).orderedByJob},
	}
)

func (s *soak) dispatch(app, tag, id string) (string, string, http.Header, []byte) {
	return signed(id, "repository_dispatch", dispatchBody(app, "dev", tag, 0))
}

// signed is a delivery of GitHub with its signature.
func signed(id, event string, body []byte) (string, string, http.Header, []byte) {
	return http.MethodPost, "/webhooks/github", http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"GitHub-Hookshot/soak"},
		"X-Github-Event": {event}, "X-Github-Delivery": {id}, "X-Hub-Signature-256": {signature(body)},
	}, body
}

// imagePushed is the event of a push to the registry.
func imagePushed(app, tag, id string) []byte {
	return fmt.Appendf(nil, `{"version":"0","id":%q,"detail-type":"ECR Image Action","source":"aws.ecr","account":"123456789012","time":%q,"region":"ap-northeast-2","resources":[],`+
		`"detail":{"result":"SUCCESS","repository-name":%q,"image-digest":"sha256:%064d","action-type":"PUSH","image-tag":%q}}`,
		id, time.Now().UTC().Format(time.RFC3339), app, 7, tag)
}

func (s *soak) pushedToECR(app, tag, id string) (string, string, http.Header, []byte) {
	return http.MethodPost, "/webhooks/ecr", http.Header{"X-Tallyman-Key": {bridgeKey}}, imagePushed(app, tag, id)
}

func (s *soak) notified(app, tag, id string) (string, string, http.Header, []byte) {
	message := s.amazon.Notify("2", id, string(imagePushed(app, tag, id)), time.Now())
	return http.MethodPost, "/webhooks/sns", http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}, message
}

func (s *soak) ordered(app, tag, id string) (string, string, http.Header, []byte) {
	return orderOf(app, "staging", tag, id, opsToken)
}

func (s *soak) orderedByJob(app, tag, id string) (string, string, http.Header, []byte) {
	return orderOf(app, "prod", tag, id, s.issuer.Token(soakAudience, nil))
}

func orderOf(app, environment, tag, id, bearer string) (string, string, http.Header, []byte) {
	header := http.Header{"Authorization": {"Bearer " + bearer}, "Idempotency-Key": {id}}
	return http.MethodPost, "/api/v1/updates", header, fmt.Appendf(nil, `{"app":%q,"environment":%q,"tag":%q}`, app, environment, tag)
}

// sendAll has each app of each way send one update after the other, until stop is closed;
// what was begun is finished.
func (s *soak) sendAll(ctx context.Context, stop <-chan struct{}) {
	var all sync.WaitGroup
	for n, w := range ways {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DialContext: attack.Dialer(validFrom).DialContext, DisableKeepAlives: true, // as GitHub and AWS come: each time anew
		}}
		for app := range s.load.apps {
			all.Go(func() {
				pause := time.NewTicker(s.load.every)
				defer pause.Stop()
				for {
					select {
					case <-pause.C:
						s.update(ctx, client, w, gitserver.App(n*s.load.apps+app), int(s.made.Add(1)), "")
					case <-stop:
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// update sends one update until it is accepted, as its sender would.
func (s *soak) update(ctx context.Context, client *http.Client, w way, app string, n int, file string) {
	e := ledger.Entry{App: app, Environment: w.environment, Tag: fmt.Sprintf("main-%07x", 0xf000000+n), File: file, Sent: time.Now()}
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
	var last string
	for range 10 {
		began := time.Now()
		status, answer, err := s.ask(ctx, client, func() (string, string, http.Header, []byte) { return w.request(s, app, e.Tag, id) })
		took := time.Since(began)
		s.note(func() { s.answered = append(s.answered, took) })
		var d gitops.Delivery
		if status == http.StatusAccepted || status == http.StatusOK {
			if err := json.Unmarshal(answer, &d); err == nil && len(d.Updates) == 1 {
				e.Answered, e.Update = time.Now(), d.Updates[0].ID
				s.note(func() { s.entries = append(s.entries, e) })
				return
			}
		}
		last = fmt.Sprintf("%d %s %v", status, answer, err)
		s.note(func() { count(s.figures.bounced, w.name, status) })
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
	s.note(func() { s.figures.problem("%s of %s to %s was never accepted: %s", w.name, app, e.Tag, last) })
}

// ask makes one attempt to send a delivery with its credential.
func (s *soak) ask(ctx context.Context, client *http.Client, made func() (method, path string, header http.Header, body []byte)) (status int, answer []byte, err error) {
	method, path, header, body := made()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.public+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// landings are how long the updates that were sent during the attack took from their
// acceptance until git had moved the branch, by where each push left it.
func (s *soak) landings(commits []gitserver.Commit) (took []time.Duration) {
	position := make(map[string]int)
	landed := make(map[string]int)
	for n, c := range commits {
		position[c.Hash] = n
		for _, u := range c.Updates {
			landed[u] = n
		}
	}
	for _, e := range s.entries {
		n, ok := landed[e.Update]
		if !ok || e.Sent.Before(s.from) || e.Sent.After(s.to) {
			continue
		}
		for _, tip := range s.tips {
			if at, known := position[tip.commit]; known && at >= n {
				took = append(took, max(0, tip.at.Sub(e.Answered))) // git may be faster than the answer
				break
			}
		}
	}
	return took
}
