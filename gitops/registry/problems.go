package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Why there was no answer. Each is a metric's label, in place of a status.
const (
	failedTimeout  = "timeout"
	failedDNS      = "dns"
	failedTLS      = "tls"
	failedRefused  = "refused"
	failedClosed   = "closed"   // the connection, before the answer was complete
	failedCanceled = "canceled" // by us
	failedOther    = "other"
)

// Failures lists what a [Recorder] is given in place of an HTTP status.
func Failures() []string {
	return []string{failedTimeout, failedDNS, failedTLS, failedRefused, failedClosed, failedCanceled, failedOther}
}

func failureOf(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return failedDNS
	case errors.Is(err, context.Canceled):
		return failedCanceled
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return failedTimeout
	case isTLS(err):
		return failedTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return failedRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failedClosed
	}
	return failedOther
}

func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch)
}

// sentences say why there was no answer; the registry's name is before them.
var sentences = map[string]string{
	failedTimeout: "did not answer in time",
	failedDNS:     "is not known to DNS",
	failedRefused: "refuses connections",
	failedClosed:  "closed the connection before its answer was complete",
	failedOther:   "cannot be reached",
}

// problem turns an error of an exchange into one for the caller. The cause is for the log, without
// addresses: those of storage are signed.
func (h *host) problem(ctx context.Context, x *exchange, err error) error {
	var ours *gitops.Error
	var answered *errcode.ErrorResponse
	var tooLarge *http.MaxBytesError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &answered):
		return h.statusProblem(x, answered.StatusCode).WithCause(codesOf(answered))
	case errors.As(err, &tooLarge):
		return gitops.Errorf(gitops.Unavailable, "registry %s answered with more than %d MiB", h.name, tooLarge.Limit>>20)
	case errors.Is(err, errRedirect):
		return gitops.Errorf(gitops.Unavailable, "registry %s redirects without end, or away from TLS", h.name)
	}
	failure := failureOf(err)
	status, _ := x.last()
	switch {
	case failure == failedTLS:
		return gitops.Errorf(gitops.Unavailable, "registry %s is not trusted: %s", h.name, h.tlsSentence(err)).WithCause(withoutURL(err))
	case failure == failedOther && status == http.StatusUnauthorized:
		return gitops.Errorf(gitops.Unavailable, "registry %s answered 401 and names a token server that no credentials are sent to", h.name).WithCause(withoutURL(err))
	case failure == failedOther && status == http.StatusOK:
		return gitops.Errorf(gitops.Unavailable, "registry %s sent an answer that cannot be read", h.name).WithCause(withoutURL(err))
	}
	return gitops.Errorf(gitops.Unavailable, "registry %s %s", h.name, sentences[failure]).WithCause(withoutURL(err))
}

func (h *host) tlsSentence(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority) && h.files.CAFile != "":
		return "its certificate is signed by an authority that is not in its caFile as it was read; put it there, and have the configuration reloaded"
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority; set caFile in its entry of registries"
	case errors.As(err, &name):
		return "its certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS, and only loopback hosts are asked without"
	}
	return "the TLS handshake failed"
}

// statusProblem is what a status means that is not 200.
func (h *host) statusProblem(x *exchange, status int) *gitops.Error {
	_, retryAfter := x.last()
	e := gitops.Errorf(gitops.Unavailable, "registry %s answered %d", h.name, status)
	switch status {
	case http.StatusTooManyRequests:
		e = gitops.Errorf(gitops.RateLimited, "registry %s answered 429: rate limited", h.name)
	case http.StatusUnauthorized:
		e = gitops.Errorf(gitops.Unauthorized, "registry %s answered 401: %s", h.name, h.wayIn(status, x.operation))
	case http.StatusForbidden:
		e = gitops.Errorf(gitops.Forbidden, "registry %s answered 403: %s", h.name, h.wayIn(status, x.operation))
	}
	e.RetryAfter = retryAfter
	return e
}

// wayIn says what to do about a registry that denies the read.
func (h *host) wayIn(status int, operation string) string {
	switch {
	case h.ecr && status == http.StatusUnauthorized:
		return "it rejects the password that AWS gave for it; the AWS role must be of an account that may use the registry"
	case h.ecr:
		return "the AWS role needs " + action(operation) + " on the repository"
	case h.files.DockerConfigFile == "":
		return "it is asked without credentials; set dockerConfigFile in its entry of registries"
	case status == http.StatusUnauthorized:
		return "it rejects the credentials in its dockerConfigFile"
	}
	return "the credentials in its dockerConfigFile may not pull this image"
}

// action is what IAM calls an operation ("Actions, resources, and condition keys for Amazon
// Elastic Container Registry").
func action(operation string) string {
	switch operation {
	case opBlob:
		return "ecr:GetDownloadUrlForLayer"
	case opTags:
		return "ecr:ListImages"
	}
	return "ecr:BatchGetImage"
}

// tokenProblem is what an error of a registry's token server means.
func (h *host) tokenProblem(ctx context.Context, x *exchange, err error) error {
	var answered *errcode.ErrorResponse
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return h.statusProblem(x, http.StatusUnauthorized)
	case errors.As(err, &answered):
		e := h.statusProblem(x, answered.StatusCode)
		if e.Code == gitops.Unavailable {
			e.Message = "the token server of " + e.Message
		}
		return e.WithCause(codesOf(answered))
	}
	return h.problem(ctx, x, err)
}

// notAManifest is what an answer is that must be one.
func (h *host) notAManifest() *gitops.Error {
	return gitops.Errorf(gitops.Unavailable, "registry %s answered with something that is not a manifest", h.name)
}

// codesOf returns the codes of a registry's errors, for the log. Its messages may say anything,
// a secret too, and are left out.
func codesOf(answered *errcode.ErrorResponse) error {
	text := http.StatusText(answered.StatusCode)
	for _, e := range answered.Errors {
		text += " " + gitops.Clip(e.Code, 40)
	}
	return errors.New(gitops.Clip(text, 200))
}

// withoutURL drops what net/http and oras put before each error: addresses of storage are
// signed.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
