package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// JobTokens are the tokens of the job of GitHub Actions that the program runs in: it
// needs no secret. Facts: GitHub's documentation, "OpenID Connect reference". Safe for
// concurrent use.
type JobTokens struct {
	request *url.URL // with the audience
	bearer  string
	http    *http.Client

	mu    sync.Mutex
	token string
	given time.Time
}

// jobTokenAge is the age at which a token is replaced: GitHub's last five minutes.
const jobTokenAge = 4 * time.Minute

// NewJobTokens makes a source of tokens for an audience. request and bearer are what
// the runner has in ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN.
func NewJobTokens(request, bearer, audience string) (*JobTokens, error) {
	at, err := parseAddress("ACTIONS_ID_TOKEN_REQUEST_URL", request)
	if err != nil {
		return nil, err
	}
	if bearer == "" {
		return nil, gitops.FieldErrorf("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "is missing: the job needs permissions: {id-token: write}")
	}
	query := at.Query()
	query.Set("audience", audience)
	at.RawQuery = query.Encode()
	return &JobTokens{request: at, bearer: bearer, http: newHTTP()}, nil
}

// Token returns the job's token, a new one when the last is too old.
func (j *JobTokens) Token(ctx context.Context) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.token != "" && time.Since(j.given) < jobTokenAge {
		return j.token, nil
	}
	token, err := j.ask(ctx)
	if err != nil {
		return "", err
	}
	j.token, j.given = token, time.Now()
	return token, nil
}

// Refused forgets a token.
func (j *JobTokens) Refused(token string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.token == token {
		j.token = ""
	}
	return true
}

func (j *JobTokens) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.request.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+j.bearer)
	resp, err := j.http.Do(req)
	if err != nil {
		return "", unreachable(err, j.request.Host)
	}
	defer resp.Body.Close()
	var answer struct {
		Value string `json:"value"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer)
	if resp.StatusCode != http.StatusOK || err != nil || answer.Value == "" {
		return "", gitops.Errorf(gitops.Unavailable, "GitHub gave this job no token: %s answers HTTP %s", j.request.Host, resp.Status).WithCause(err)
	}
	return answer.Value, nil
}
