package ecr

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tallyman-dev/tallyman/gitops"
)

// newRetryer gives a call a second attempt, soon, where a kept connection was found closed or AWS
// had a fault. It has no third, and none after it was throttled: whoever looks at images or
// scans tags waits longer than a call can, and for all calls to a host together.
func newRetryer() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.MaxBackoff = 100 * time.Millisecond
		o.RateLimiter = ratelimit.None
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableConnectionError{},
			retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
		}
	})
}

// noCredentials is that the chain gave none.
type noCredentials struct{ cause error }

func (e *noCredentials) Error() string { return e.cause.Error() }
func (e *noCredentials) Unwrap() error { return e.cause }

func isNoCredentials(err error) bool {
	var without *noCredentials
	return errors.As(err, &without)
}

// AWS's names for credentials that were good, and for those that never were.
var (
	expired  = []string{"ExpiredTokenException", "ExpiredToken", "RequestExpired"}
	unknown  = []string{"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "MissingAuthenticationTokenException", "MissingAuthenticationToken", "IncompleteSignature", "InvalidIdentityToken"}
	denied   = []string{"AccessDeniedException", "AccessDenied", "BlockedByOrganizationPolicyException"}
	throttle = retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}
)

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func isExpired(err error) bool {
	return slices.Contains(expired, codeOf(err)) || slices.Contains(unknown, codeOf(err))
}

// explain makes the error of a call one of ours: what AWS did not do, why, and the way out. AWS's
// own texts are for the log.
func explain(err error, r at, op operation, repository string) *gitops.Error {
	if isNoCredentials(err) {
		return explainCredentials(err).WithCause(err)
	}
	api := fmt.Sprintf("ECR's API in %s", r.Region)
	code := codeOf(err)
	var missing *types.RepositoryNotFoundException
	switch status := statusOf(err); {
	case isEnded(err):
		return gitops.Errorf(gitops.Unavailable, "%s did not answer %s in time", api, op).WithCause(err)
	case errors.As(err, &missing):
		return gitops.Errorf(gitops.NotFound, "registry %s has no repository %s", r.host, repository).WithCause(err)
	case isThrottled(err, status):
		e := gitops.Errorf(gitops.RateLimited, "%s throttles %s", api, op).WithCause(err)
		e.RetryAfter = retryAfterOf(err)
		return e
	case slices.Contains(denied, code):
		return explainDenied(err, r, op, repository)
	case slices.Contains(expired, code):
		return gitops.Errorf(gitops.Unauthorized, "%s answered that the AWS credentials have expired (%s)", api, code).WithCause(err)
	case slices.Contains(unknown, code):
		return gitops.Errorf(gitops.Unauthorized, "%s does not accept the AWS credentials (%s): check that they are of this partition of AWS, and this machine's clock", api, code).WithCause(err)
	case code != "":
		return gitops.Errorf(gitops.Unavailable, "%s answered %s with %s (status %d)", api, op, gitops.Clip(code, 100), status).WithCause(err)
	case status != 0:
		return gitops.Errorf(gitops.Unavailable, "%s answered %s with status %d", api, op, status).WithCause(err)
	}
	return gitops.Errorf(gitops.Unavailable, "%s cannot be reached", api).WithCause(err)
}

var deniedPrincipal = regexp.MustCompile(`^User: (arn:[a-z0-9-]+:[a-z0-9-]+::([0-9]{12}):[^\s]{1,300}) `)

// explainDenied names what has to be allowed, and to whom.
func explainDenied(err error, r at, op operation, repository string) *gitops.Error {
	resource := "*"
	if repository != "" {
		resource = r.RepositoryARN(repository)
	}
	whom, where := "tallyman's AWS principal", "its IAM policy"
	var api smithy.APIError
	if errors.As(err, &api) {
		if m := deniedPrincipal.FindStringSubmatch(api.ErrorMessage()); m != nil {
			whom = m[1]
			if m[2] != r.Account && repository != "" {
				where += fmt.Sprintf(", and in the repository's policy, as it is account %s's", r.Account)
			}
		}
	}
	return gitops.Errorf(gitops.Forbidden, "AWS denies ecr:%s on %s to %s: allow it in %s", op, resource, whom, where).WithCause(err)
}

// explainCredentials says which kind of credentials this process was given, and what it is that did
// not give any: the environment tells, and has no secret that is repeated here.
func explainCredentials(err error) *gitops.Error {
	code, status := codeOf(err), statusOf(err)
	switch {
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		role := gitops.Clip(os.Getenv("AWS_ROLE_ARN"), 300)
		switch {
		case isThrottled(err, status):
			return gitops.Errorf(gitops.RateLimited, "AWS STS throttles the credentials of role %s", role)
		case slices.Contains(denied, code), slices.Contains(unknown, code), slices.Contains(expired, code):
			return gitops.Errorf(gitops.Forbidden, "AWS STS gives no credentials for role %s (%s): its trust policy must name the cluster's OIDC provider and this service account (IRSA)", role, code)
		case !canRead(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")):
			return gitops.Errorf(gitops.Unauthorized, "the token file that AWS_WEB_IDENTITY_TOKEN_FILE names cannot be read: check the pod's service account (IRSA)")
		}
		return gitops.Errorf(gitops.Unavailable, "AWS STS does not answer for role %s (IRSA)%s", role, because(code, status))
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "", os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "":
		if status >= 400 && status < 500 {
			return gitops.Errorf(gitops.Forbidden, "the pod identity agent gives no credentials%s: check the service account's pod identity association and its role", because(code, status))
		}
		return gitops.Errorf(gitops.Unavailable, "the pod identity agent does not answer%s", because(code, status))
	}
	const wayOut = "annotate the service account with a role (IRSA), associate a role with it (EKS Pod Identity), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	if isEnded(err) {
		return gitops.Errorf(gitops.Unavailable, "AWS credentials did not come in time, and the environment names none: %s", wayOut)
	}
	return gitops.Errorf(gitops.Unauthorized, "there are no AWS credentials: %s", wayOut)
}

// isEnded: the call's time was over, or its caller gave up.
func isEnded(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func canRead(file string) bool {
	f, err := os.Open(file)
	if err == nil {
		err = f.Close()
	}
	return err == nil
}

func because(code string, status int) string {
	switch {
	case code != "":
		return " (" + gitops.Clip(code, 100) + ")"
	case status != 0:
		return fmt.Sprintf(" (status %d)", status)
	}
	return ""
}

func isThrottled(err error, status int) bool {
	return status == 429 || throttle.IsErrorThrottle(err) == awssdk.TrueTernary
}

// statusOf is the status of an answer; 0 where there was none.
func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}

// longestRetryAfter bounds what an answer may ask for, as that of a registry's own protocol is.
const longestRetryAfter = 24 * time.Hour

// retryAfterOf reads X-Amz-Retry-After, in milliseconds, and without it the older
// Retry-After, in seconds. ECR seldom sends either.
func retryAfterOf(err error) time.Duration {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) {
		return 0
	}
	header := response.Response.Header
	if after := inUnits(header.Get("X-Amz-Retry-After"), time.Millisecond); after > 0 {
		return after
	}
	return inUnits(header.Get("Retry-After"), time.Second)
}

// inUnits reads a number of units; 0 for other text.
func inUnits(text string, unit time.Duration) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, uint64(longestRetryAfter/unit))) * unit
}
