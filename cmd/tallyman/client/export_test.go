package client

import (
	"io"
	"net/http"
	"strings"
)

// AskThrough has a function give the tokens in the runner's place.
func AskThrough(j *JobTokens, give func(*http.Request) string) {
	j.http.Transport = roundTrip(give)
}

type roundTrip func(*http.Request) string

func (give roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(`{"value": "` + give(r) + `"}`))}, nil
}
