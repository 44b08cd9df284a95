package ecr

import (
	"context"
	"strconv"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tallyman-dev/tallyman/gitops"
)

// operation is a call of ECR's API. Its name is that of IAM's action, too.
type operation string

const (
	getAuthorizationToken      operation = "GetAuthorizationToken"
	describeImages             operation = "DescribeImages"
	describeRepositories       operation = "DescribeRepositories"
	describeImageSigningStatus operation = "DescribeImageSigningStatus"
)

// Operations lists every operation that a [Recorder] is given.
func Operations() []string {
	return []string{string(getAuthorizationToken), string(describeImages), string(describeRepositories), string(describeImageSigningStatus)}
}

const (
	failedCredentials = "credentials" // AWS gave none to call with
	failedUnanswered  = "unanswered"  // in time, or at all
)

// Failures lists what a [Recorder] is given in place of an HTTP status.
func Failures() []string { return []string{failedCredentials, failedUnanswered} }

// call does one call of the API about a repository: counted, within its time, and once more with
// new credentials where AWS says that they have expired or were never good.
func (c *Client) call(ctx context.Context, r at, op operation, repository string, do func(ctx context.Context) error) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	err := r.attempt(ctx, do)
	if isExpired(err) {
		if cache, ok := r.credentials.(*awssdk.CredentialsCache); ok {
			cache.Invalidate()
			err = r.attempt(ctx, do)
		}
	}
	if err == nil {
		c.config.Recorder.Request(r.host, string(op), "200", time.Since(began))
		return nil
	}
	explained := explain(err, r, op, repository)
	c.config.Recorder.Request(r.host, string(op), statusLabel(err, explained), time.Since(began))
	return explained
}

func statusLabel(err error, explained *gitops.Error) string {
	status := statusOf(err)
	switch {
	case isNoCredentials(err):
		return failedCredentials
	case status == 0:
		return failedUnanswered
	}
	switch explained.Code {
	case gitops.NotFound:
		status = 404
	case gitops.RateLimited:
		status = 429
	case gitops.Forbidden:
		status = 403
	case gitops.Unauthorized:
		status = 401
	}
	return strconv.Itoa(status)
}

type noRecorder struct{}

func (noRecorder) Request(string, string, string, time.Duration) {}
