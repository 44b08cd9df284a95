package ecr

import (
	"context"
	"time"
)

// NewPace is a pace without a client.
func NewPace(every time.Duration) *pace { return &pace{every: every} }

func (p *pace) Wait(ctx context.Context) error { return p.wait(ctx) }

// Matches is how a wildcard of an exclusion filter is held against a tag.
var Matches = matches

// RetryAfterOf is how long an answer asks to be left alone.
var RetryAfterOf = retryAfterOf
