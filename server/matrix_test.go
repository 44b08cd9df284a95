package server

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

// matrix is a server with every way in, each of which takes what is good.
type matrix struct {
	*running
	site   *site
	jobs   *oidctest.Issuer
	amazon *snstest.Amazon
	secret string // of EventBridge
}

// newMatrix is one whose API destination authenticates in one of the three ways.
func newMatrix(t *testing.T, auth ecr.Auth) *matrix {
	t.Helper()
	return newMatrixOf(t, auth, func(*site) {})
}

// newMatrixOf is one whose configuration is edited.
func newMatrixOf(t *testing.T, auth ecr.Auth, edit func(*site)) *matrix {
	t.Helper()
	s, issuer := newJobSite(t)
	s.edit("eventbridge: {", "sns: {topics: ['"+snstest.Topic+"']}\n  eventbridge: {auth: "+string(auth)+", ")
	s.edit("access:\n", "access:\n  - {who: {push: {source: sns}}, may: [order], apps: ['*'], environments: [dev]}\n")
	edit(s)
	server, err := s.newServer()
	s.must(err)
	amazon := snstest.New(t)
	client := sns.NewClient()
	client.Transport = amazon
	server.current().receivers["/webhooks/sns"], err = sns.New(sns.Config{Topics: []string{snstest.Topic}, Client: client, Logger: s.logger(), Now: now})
	s.must(err)
	s.must(server.Start(t.Context()))
	m := &matrix{running: &running{Server: server, t: t}, site: s, jobs: issuer, amazon: amazon, secret: bridgeSecret}
	t.Cleanup(m.stop)
	return m
}

// The bodies that each way in takes.
var (
	aDispatch = order("api", "dev", "main-1a2b3c4")
	anOrder   = `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`
)

func (m *matrix) sns(body []byte) *http.Request {
	req := m.request("POST", "/webhooks/sns", string(body))
	req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	return req
}

func (m *matrix) withHeader(req *http.Request, name, value string) *http.Request {
	if req.Header.Set(name, value); value == "" {
		req.Header.Del(name)
	}
	return req
}

func (m *matrix) order(bearer string) *http.Request {
	if signature := bearer[strings.LastIndexByte(bearer, '.')+1:]; len(signature) > 20 {
		said.Forbid(signature)
	}
	req := m.request("POST", "/api/v1/updates", anOrder)
	req.Header.Set("Idempotency-Key", "cell")
	return m.withHeader(req, "Authorization", "Bearer "+bearer)
}

func (m *matrix) bridge(authorization, key string) *http.Request {
	req := m.ecr(key, push("cell", "main-1a2b3c4"))
	req.Header.Set("Authorization", authorization)
	return req
}

// token is one that an API destination was given at a time.
func (m *matrix) token(secret string, at time.Time) string {
	m.t.Helper()
	r, err := ecr.New(ecr.Config{Auth: ecr.OAuth, Username: "tallyman", Secrets: func() [][]byte { return [][]byte{[]byte(secret)} }, Now: func() time.Time { return at }})
	m.site.must(err)
	header := http.Header{}
	(&http.Request{Header: header}).SetBasicAuth("tallyman", secret)
	token, err := r.IssueToken(header, nil)
	m.site.must(err)
	said.Forbid(token.AccessToken)
	return token.AccessToken
}

// askToken asks for a token as an API destination does.
func (m *matrix) askToken(authorization, form string) *http.Request {
	req := m.request("POST", "/webhooks/ecr/token", form)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return m.withHeader(req, "Authorization", authorization)
}

func basicOf(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func (m *matrix) signed(secret, signedBody, body string) *http.Request {
	req := m.github(secret, "cell", signedBody)
	forged := m.github("unused", "cell", body)
	forged.Header.Set("X-Hub-Signature-256", req.Header.Get("X-Hub-Signature-256"))
	return forged
}

// cut is a credential without its end.
func cut(text string) string { return text[:len(text)-8] }

// Every way in, with a credential that is missing, wrong, expired, replayed,
// truncated, and another's: each is 401 or 403, and leaves no trace but a counter
// and a line.
func TestNoWayInWithoutACredential(t *testing.T) {
	const gone = "s3cret-that-was-replaced"
	said.Forbid(gone)
	push64 := push("cell", "main-1a2b3c4")
	sources := []struct {
		name, source string
		auth         ecr.Auth
		cells        func(m *matrix) map[string]*http.Request
		good         func(m *matrix) *http.Request
	}{
		{"github", "github", ecr.APIKey, func(m *matrix) map[string]*http.Request {
			old := hmac.New(sha1.New, []byte(oldSecret))
			old.Write([]byte(aDispatch))
			return map[string]*http.Request{
				"missing":           m.withHeader(m.github(oldSecret, "cell", aDispatch), "X-Hub-Signature-256", ""),
				"wrong":             m.github("guess", "cell", aDispatch),
				"expired":           m.github(gone, "cell", aDispatch),
				"replayed":          m.signed(oldSecret, order("api", "dev", "main-0000000"), aDispatch),
				"truncated":         m.withHeader(m.github(oldSecret, "cell", aDispatch), "X-Hub-Signature-256", cut(m.github(oldSecret, "x", aDispatch).Header.Get("X-Hub-Signature-256"))),
				"a truncated body":  m.signed(oldSecret, aDispatch, cut(aDispatch)),
				"foreign":           m.github(bridgeSecret, "cell", aDispatch),
				"of an older kind":  m.withHeader(m.withHeader(m.github(oldSecret, "cell", aDispatch), "X-Hub-Signature-256", ""), "X-Hub-Signature", "sha1="+hex.EncodeToString(old.Sum(nil))),
				"under no secret":   m.github("", "cell", aDispatch),
				"a bearer's token":  m.withHeader(m.withHeader(m.github(oldSecret, "cell", aDispatch), "X-Hub-Signature-256", ""), "Authorization", "Bearer "+apiToken),
				"in the wrong form": m.withHeader(m.github(oldSecret, "cell", aDispatch), "X-Hub-Signature-256", "sha1=00"),
			}
		}, func(m *matrix) *http.Request { return m.github(oldSecret, "good", aDispatch) }},
		{"an API key", "eventbridge", ecr.APIKey, func(m *matrix) map[string]*http.Request {
			return map[string]*http.Request{
				"missing": m.bridge("", ""), "wrong": m.bridge("", "guess"), "expired": m.bridge("", gone), "truncated": m.bridge("", cut(bridgeSecret)),
				"foreign": m.bridge("", oldSecret), "replayed elsewhere": m.bridge("Bearer "+bridgeSecret, ""),
			}
		}, func(m *matrix) *http.Request { return m.ecr(bridgeSecret, push("good", "main-1a2b3c4")) }},
		{"a user and password", "eventbridge", ecr.Basic, func(m *matrix) map[string]*http.Request {
			return map[string]*http.Request{
				"missing": m.bridge("", ""), "wrong": m.bridge(basicOf("tallyman", "guess"), ""), "expired": m.bridge(basicOf("tallyman", gone), ""),
				"truncated": m.bridge(cut(basicOf("tallyman", bridgeSecret)), ""), "foreign": m.bridge(basicOf("tallyman", oldSecret), ""),
				"another user": m.bridge(basicOf("admin", bridgeSecret), ""), "replayed elsewhere": m.bridge("", bridgeSecret),
			}
		}, func(m *matrix) *http.Request {
			return m.withHeader(m.ecr("", push("good", "main-1a2b3c4")), "Authorization", basicOf("tallyman", bridgeSecret))
		}},
		{"a token for a secret", "eventbridge", ecr.OAuth, func(m *matrix) map[string]*http.Request {
			return map[string]*http.Request{
				"missing": m.bridge("", ""), "wrong": m.bridge("Bearer guess", ""), "expired": m.bridge("Bearer "+m.token(bridgeSecret, now().Add(-2*time.Hour)), ""),
				"truncated": m.bridge("Bearer "+cut(m.token(bridgeSecret, now())), ""), "foreign": m.bridge("Bearer "+m.token(oldSecret, now()), ""),
				"asked for with nothing":   m.askToken("", ""),
				"asked for with a guess":   m.askToken(basicOf("tallyman", "guess"), ""),
				"asked for in a form":      m.askToken("", "client_id=tallyman&client_secret="+oldSecret),
				"asked for in none":        m.askToken("", "%zz"),
				"of a secret that is gone": m.bridge("Bearer "+m.token(gone, now()), ""), "replayed elsewhere": m.bridge("Bearer "+bridgeSecret, ""),
			}
		}, func(m *matrix) *http.Request {
			return m.withHeader(m.ecr("", push("good", "main-1a2b3c4")), "Authorization", "Bearer "+m.token(bridgeSecret, now()))
		}},
		{"sns", "sns", ecr.APIKey, func(m *matrix) map[string]*http.Request {
			body := m.amazon.Notify("2", "cell", push64, now())
			with := func(field string, value any) []byte {
				var fields map[string]any
				m.site.must(json.Unmarshal(body, &fields))
				if fields[field] = value; value == nil {
					delete(fields, field)
				}
				changed, err := json.Marshal(fields)
				m.site.must(err)
				return changed
			}
			return map[string]*http.Request{
				"missing":         m.sns(with("Signature", nil)),
				"wrong":           m.sns(with("Signature", "AAAA")),
				"expired":         m.sns(m.amazon.Notify("2", "cell", push64, now().Add(-3*time.Hour))),
				"replayed":        m.sns(with("Message", strings.Replace(push64, "1a2b3c4", "0000000", 1))),
				"truncated":       m.sns(body[:len(body)/2]),
				"foreign":         m.sns(with("TopicArn", "arn:aws:sns:eu-central-1:999999999999:ecr-events")),
				"another's key":   m.sns(with("SigningCertURL", "https://evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem")),
				"in the raw":      m.withHeader(m.sns([]byte(push64)), "X-Amz-Sns-Rawdelivery", "true"),
				"a bearer's":      m.withHeader(m.sns(with("Signature", nil)), "Authorization", "Bearer "+apiToken),
				"of another kind": m.sns(with("Type", "SubscriptionConfirmation")),
			}
		}, func(m *matrix) *http.Request { return m.sns(m.amazon.Notify("1", "good", push64, now())) }},
		{"a token of the API", "api", ecr.APIKey, func(m *matrix) map[string]*http.Request {
			return map[string]*http.Request{
				"missing": m.withHeader(m.order("x"), "Authorization", ""), "wrong": m.order("guess"), "expired": m.order(gone), "truncated": m.order(cut(apiToken)),
				"foreign": m.order(oldSecret), "without the right": m.order(readToken), "replayed elsewhere": m.withHeader(m.order("x"), "Authorization", basicOf("ops", apiToken)),
			}
		}, func(m *matrix) *http.Request { return m.withHeader(m.order(apiToken), "Idempotency-Key", "good") }},
		{"a job's token", "api", ecr.APIKey, func(m *matrix) map[string]*http.Request {
			spent := m.jobs.Token(audience, nil)
			m.do(m.withHeader(m.order(spent), "Idempotency-Key", "first")).delivery(m.t, 202)
			other := oidctest.New(m.t)
			return map[string]*http.Request{
				"missing":            m.withHeader(m.order("x"), "Authorization", "Bearer"),
				"wrong":              m.order(other.Token(audience, map[string]any{"iss": m.jobs.URL})),
				"expired":            m.order(m.jobs.Token(audience, map[string]any{"exp": now().Unix() - 1})),
				"too old":            m.order(m.jobs.Token(audience, map[string]any{"iat": now().Unix() - 1200, "exp": now().Unix() + 3600})),
				"replayed":           m.order(spent),
				"truncated":          m.order(cut(m.jobs.Token(audience, nil))),
				"foreign":            m.order(other.Token(audience, nil)),
				"for another":        m.order(m.jobs.Token("https://other.example", nil)),
				"another repository": m.order(m.jobs.Token(audience, map[string]any{"repository_id": "1"})),
				"a pull request":     m.order(m.jobs.Token(audience, map[string]any{"event_name": "pull_request"})),
				"another branch":     m.order(m.jobs.Token(audience, map[string]any{"ref": "refs/heads/mine"})),
			}
		}, func(m *matrix) *http.Request {
			return m.withHeader(m.order(m.jobs.Token(audience, nil)), "Idempotency-Key", "good")
		}},
	}
	for _, source := range sources {
		t.Run(source.name, func(t *testing.T) {
			m := newMatrix(t, source.auth)
			cells := source.cells(m)
			counter := `tallyman_deliveries_total{outcome="unauthorized",source="` + source.source + `"}`
			for name, req := range cells {
				before, counted, lines := m.kept(), gather(t, m.Server)[counter], len(m.site.log.Lines(`"outcome":"unauthorized"`, `"remote":"127.0.0.1"`))
				answer := m.do(req)
				if p := answer.problem(t, answer.StatusCode); answer.StatusCode != 401 && answer.StatusCode != 403 {
					t.Errorf("%s: answered %s: %+v", name, answer.Status, p)
				}
				if after := m.kept(); !slices.Equal(before, after) {
					t.Errorf("%s: was kept: %q became %q", name, before, after)
				}
				if n := gather(t, m.Server)[counter]; n != counted+1 {
					t.Errorf("%s: counted %v, then %v", name, counted, n)
				}
				if n := len(m.site.log.Lines(`"outcome":"unauthorized"`, `"remote":"127.0.0.1"`)); n != lines+1 {
					t.Errorf("%s: %d lines, then %d", name, lines, n)
				}
			}
			// What is good is taken, and the same once more is no new work.
			m.do(source.good(m)).delivery(t, 202)
			taken := m.kept()
			m.do(source.good(m)).delivery(t, 200)
			if again := m.kept(); !slices.Equal(taken, again) {
				t.Errorf("sent twice: %q became %q", taken, again)
			}
		})
	}
}

// kept is all that the store has.
func (m *matrix) kept() (all []string) {
	m.t.Helper()
	found, _, err := m.store.Deliveries(m.t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 100})
	m.site.must(err)
	for _, d := range found {
		all = append(all, fmt.Sprintf("%s %d", d.Key(), len(d.Updates)))
	}
	return all
}
