package git

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"github.com/tallyman-dev/tallyman/gitops"
)

// MovedError is a redirect.
type MovedError struct {
	from     *url.URL
	location string
}

func (e *MovedError) Error() string { return "the server redirects the request" }

// redirectError is a redirect that is not followed.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "the server redirects to " + e.to }

// credentialsError says that there is nothing to authenticate with.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting the credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// PublicError turns what went wrong with a remote into a [*gitops.Error], whose
// sentence people can act on. The cause is what the sentence does not say already.
func PublicError(err error) error {
	var known *gitops.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var (
		status   *statusError
		redirect *redirectError
		moved    *MovedError
		secret   *credentialsError
		no       *Refusal
		untrusty *tls.CertificateVerificationError
		nameless *net.DNSError
		hostKey  *hostKeyError
		ended    *serviceError
		limit    *LimitError
	)
	switch {
	case errors.As(err, &status):
		return errorForStatus(status)
	case errors.As(err, &no):
		return no.public()
	case errors.As(err, &redirect):
		return gitops.Errorf(gitops.Unavailable, "the git server redirects to %s, where the credentials are not sent: configure its new URL", redirect.to)
	case errors.As(err, &moved):
		return gitops.Errorf(gitops.Unavailable, "the repository has moved").WithCause(err)
	case errors.As(err, &secret):
		return gitops.Errorf(gitops.Unauthorized, "the credentials for the git server cannot be read").WithCause(err)
	case errors.As(err, &hostKey):
		return gitops.Errorf(gitops.Unavailable, "the SSH host key of the git server, %s, %s", hostKey.fingerprint, hostKey.advice()).WithCause(hostKey.why)
	case errors.As(err, &ended):
		return gitops.Errorf(ended.code(), "the git server denied %s: %s", ended.service, ended.said).WithCause(ended.err)
	case errors.As(err, &untrusty):
		return gitops.Errorf(gitops.Unavailable, "the git server's certificate is not trusted here").WithCause(err)
	case errors.As(err, &nameless):
		return gitops.Errorf(gitops.Unavailable, "the git server's name cannot be resolved").WithCause(err)
	case errors.As(err, &limit):
		return gitops.Errorf(gitops.TooLarge, "%s", limit.what)
	case errors.Is(err, errTooMuch):
		return gitops.Errorf(gitops.TooLarge, "the git server's response is too large").WithCause(err)
	case errors.Is(err, context.DeadlineExceeded):
		return gitops.Errorf(gitops.Unavailable, "the git server did not answer in time").WithCause(err)
	}
	return gitops.Errorf(gitops.Unavailable, "the connection to the git server failed").WithCause(err)
}

// RejectedBeforeGit reports whether the server turned the request away before git
// saw it, so that nothing needs to be looked at afterwards.
func RejectedBeforeGit(err error) bool {
	var status *statusError
	var secret *credentialsError
	var hostKey *hostKeyError
	var ended *serviceError
	var open *openError
	return errors.As(err, &open) || errors.As(err, &secret) || errors.As(err, &hostKey) || errors.As(err, &ended) || errors.As(err, &status) && status.code >= 400 && status.code < 500
}

// ResultKnown reports whether git told the result of a push, or was never sent it.
// Otherwise it may have taken it, or do so yet: what turned it away with a status
// may be a proxy that had passed it on.
func ResultKnown(err error) bool {
	var no *Refusal
	var behind *BehindError
	var status *statusError
	var open *openError
	return errors.As(err, &no) || errors.As(err, &behind) || errors.As(err, &open) || RejectedBeforeGit(err) && !errors.As(err, &status)
}

// UnknownToServer reports whether the server says that it does not have, or does
// not give, what a fetch asked for. Over SSH it gives nothing but the tips of
// branches as they are at that moment.
func UnknownToServer(err error) bool {
	var said *pktline.ErrorLine
	return errors.As(err, &said)
}
