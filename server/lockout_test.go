package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

// flood sends each request n times from 127.0.0.1, each time on a connection of its own,
// and returns how many answers had which status.
func (r *running) flood(n int, requests ...*http.Request) map[int]int {
	r.t.Helper()
	var all sync.WaitGroup
	statuses := make([]map[int]int, len(requests))
	for i, request := range requests {
		statuses[i] = make(map[int]int)
		var text bytes.Buffer
		if err := request.Write(&text); err != nil {
			r.t.Fatal(err)
		}
		all.Go(func() {
			for range n {
				status, err := r.answerTo(text.Bytes())
				if err != nil {
					r.t.Error(err)
					return
				}
				statuses[i][status]++
			}
		})
	}
	all.Wait()
	sum := make(map[int]int)
	for _, s := range statuses {
		for status, n := range s {
			sum[status] += n
		}
	}
	return sum
}

// answerTo is the status of the answer to a request, after which the server must close
// the connection.
func (r *running) answerTo(request []byte) (status int, err error) {
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	if _, err = io.Copy(io.Discard, answer.Body); err == nil && !answer.Close {
		err = fmt.Errorf("the connection is kept after %s", answer.Status)
	}
	return answer.StatusCode, err
}

// forged are requests with a credential of each kind that is not valid, and to paths and
// with methods that are not served.
func (m *matrix) forged() map[string]*http.Request {
	notify := func(change, to string) *http.Request {
		var fields map[string]any
		m.site.must(json.Unmarshal(m.amazon.Notify("2", "forged", push("forged", "main-1a2b3c4"), now()), &fields))
		fields[change] = to
		body, err := json.Marshal(fields)
		m.site.must(err)
		return m.sns(body)
	}
	other := oidctest.New(m.t)
	other.Rotate()
	return map[string]*http.Request{
		"a signature":           m.github("guess", "forged", aDispatch),
		"no signature":          m.withHeader(m.github("guess", "forged", aDispatch), "X-Hub-Signature-256", ""),
		"a key":                 m.ecr("guess", push("forged", "main-1a2b3c4")),
		"a password":            m.bridge(basicOf("tallyman", "guess"), ""),
		"a bridge's token":      m.bridge("Bearer "+m.token("a guess of 16 characters", now()), ""),
		"a client secret":       m.askToken(basicOf("tallyman", "guess"), "grant_type=client_credentials"),
		"a signature of SNS":    notify("Message", "forged"),
		"another topic":         notify("TopicArn", "arn:aws:sns:eu-central-1:999999999999:ecr-events"),
		"another certificate":   notify("SigningCertURL", "https://"+snstest.Host+"/SimpleNotificationService-00000000000000000000000000000000.pem"),
		"a token":               m.order("guess"),
		"a job's signature":     m.order(other.Token(audience, map[string]any{"iss": m.jobs.URL})),
		"a job of somebody":     m.order(m.jobs.Token(audience, map[string]any{"repository_id": "1"})),
		"a reader's token":      m.withHeader(m.request("GET", "/api/v1/updates", ""), "Authorization", "Bearer guess"),
		"a path":                m.request("GET", "/nowhere", ""),
		"a method":              m.request("PUT", "/webhooks/github", ""),
		"a method without body": m.request("DELETE", "/api/v1/updates", ""),
	}
}

// valid are requests with a valid credential of each kind, and the status of their
// answers.
func (m *matrix) valid(auth ecr.Auth, id string) map[string]struct {
	*http.Request
	status int
} {
	push := push(id, "main-1a2b3c4")
	bridge := map[ecr.Auth]*http.Request{
		ecr.APIKey: m.ecr(bridgeSecret, push),
		ecr.Basic:  m.withHeader(m.ecr("", push), "Authorization", basicOf("tallyman", bridgeSecret)),
		ecr.OAuth:  m.withHeader(m.ecr("", push), "Authorization", "Bearer "+m.token(bridgeSecret, now())),
	}
	requests := map[string]struct {
		*http.Request
		status int
	}{
		"github":  {m.github(oldSecret, id, aDispatch), 202},
		"bridge":  {bridge[auth], 202},
		"sns":     {m.sns(m.amazon.Notify("2", id, push, now())), 202},
		"token":   {m.withHeader(m.order(apiToken), "Idempotency-Key", id), 202},
		"job":     {m.withHeader(m.order(m.jobs.Token(audience, nil)), "Idempotency-Key", id), 202},
		"reading": {m.withHeader(m.request("GET", "/api/v1/updates", ""), "Authorization", "Bearer "+readToken), 200},
	}
	if auth == ecr.OAuth {
		requests["a client"] = struct {
			*http.Request
			status int
		}{m.askToken(basicOf("tallyman", bridgeSecret), "grant_type=client_credentials"), 200}
	}
	return requests
}

// forgedInAll is how many forged requests the longer round sends: make forged sends
// 30,000.
func forgedInAll(t *testing.T) int {
	text := os.Getenv("TALLYMAN_FORGED")
	if text == "" {
		return 1600
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("TALLYMAN_FORGED: ", err)
	}
	return n
}

// Forged requests of every kind, to every route, from the address of valid senders, lock
// none of those out: not after 300 of each kind, and not after many more.
func TestForgedRequestsLockNobodyOut(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	for round, all := range []int{300 * len(m.forged()), forgedInAll(t)} {
		forged := slices.Collect(maps.Values(m.forged()))
		each := 1 + all/len(forged)
		statuses := m.flood(each, forged...)
		t.Logf("%d forged requests of each of %d kinds were answered %v", each, len(forged), statuses)
		if round > 0 && statuses[429] < each*len(forged)*9/10 {
			t.Errorf("%v were answered 429", statuses)
		}
		m.takesValid(ecr.APIKey, fmt.Sprint("valid", round))
	}
	counted := gather(t, m.Server)
	if n := counted[`tallyman_over_limit_requests_total{credential="valid"}`]; n < 5 {
		t.Errorf("%v are counted as valid", n)
	}
	if n := counted[`tallyman_over_limit_requests_total{credential="invalid"}`]; n < 1000 {
		t.Errorf("%v are counted as not valid", n)
	}
	if lines := m.site.log.Lines("too many requests without a valid credential", `"remote":"127.0.0.1"`); len(lines) != 1 {
		t.Errorf("logged %d times", len(lines))
	}
}

// The same for the other ways in which an API destination authenticates.
func TestForgedDestinationsLockNobodyOut(t *testing.T) {
	for _, auth := range []ecr.Auth{ecr.Basic, ecr.OAuth} {
		m := newMatrix(t, auth)
		forged := m.forged()
		m.flood(300, forged["a key"], forged["a password"], forged["a bridge's token"], forged["a client secret"])
		m.takesValid(auth, "valid")
	}
}

// takesValid sends a request with a valid credential of each kind.
func (m *matrix) takesValid(auth ecr.Auth, id string) {
	m.t.Helper()
	for kind, request := range m.valid(auth, id) {
		if answer := m.do(request.Request); answer.StatusCode != request.status {
			m.t.Errorf("%s: a valid one is answered %s %s", kind, answer.Status, answer.body)
		}
	}
}

// A valid credential whose key is not here yet is fetched for a sender whose address is
// over the limit, too.
func TestKeysAreFetchedOverTheLimit(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	m.flood(400, m.sns([]byte("{}")), m.order("guess"))
	if asked, fetched := len(m.amazon.Asked()), m.jobs.Fetches(); asked+fetched > 0 {
		t.Errorf("what is forged had %d certificates and %d keys fetched", asked, fetched)
	}
	for _, kind := range []string{"sns", "job"} {
		m.do(m.valid(ecr.APIKey, "first")[kind].Request).delivery(t, 202)
	}
}

// Who waits for keys over the limit does not keep others from being checked.
func TestWaitingForKeysDelaysNobodyElse(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	m.flood(400, m.order("guess"))
	answered := make(chan struct{})
	m.jobs.Hold(answered)
	var waiting sync.WaitGroup
	for i := range 20 {
		request := m.withHeader(m.order(m.jobs.Token(audience, nil)), "Idempotency-Key", fmt.Sprint("job", i))
		waiting.Go(func() { m.do(request).delivery(t, 202) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // the keys are waited for for 10 s
	defer cancel()
	for i := range 50 {
		request := m.withHeader(m.order(apiToken), "Idempotency-Key", fmt.Sprint("token", i))
		m.do(request.WithContext(ctx)).delivery(t, 202)
	}
	close(answered)
	waiting.Wait()
}

// Over the limit a signature is checked over so much of a body, and no further.
func TestLargeBodiesAreNotReadOverTheLimit(t *testing.T) {
	m := newMatrix(t, ecr.APIKey)
	m.flood(400, m.github("guess", "forged", aDispatch))
	large := strings.Replace(aDispatch, `"action"`, `"padding": "`+strings.Repeat("x", maxSignedDispatch)+`", "action"`, 1)
	answer := m.do(m.github(oldSecret, "large", large))
	if answer.problem(t, 429); !answer.Close {
		t.Error("the connection is kept, so the body is read")
	}
	most := strings.Replace(aDispatch, `"action"`, `"padding": "`+strings.Repeat("x", maxSignedDispatch-1000)+`", "action"`, 1)
	m.do(m.github(oldSecret, "most", most)).delivery(t, 202)
}
