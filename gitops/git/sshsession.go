package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/crypto/ssh"

	"github.com/tallyman-dev/tallyman/gitops"
)

// sshSession is one service at work.
type sshSession struct {
	ctx     context.Context // of the call that the session is for
	release func()

	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	said    serverWords
}

// open makes the session and starts the command in it.
func (s *sshSession) open(ctx context.Context, on *sshConn, command string) (err error) {
	if s.session, err = on.newSession(ctx); err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	s.session.Stderr = &s.said
	if s.in, err = s.session.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.session.StdoutPipe(); err != nil {
		return err
	}
	if err := s.session.Start(command); err != nil {
		return fmt.Errorf("starting git's service: %w", err)
	}
	return nil
}

// send writes the one thing that is asked in this session.
func (s *sshSession) send(body []byte) error {
	_, err := s.in.Write(body)
	return errors.Join(err, s.in.Close())
}

// drain reads what is left of an answer: what a server's post-receive hook has to
// say is not waited for, but a hook whose words are not read would stop. It
// ends the session and its context.
func (s *sshSession) drain(cancel context.CancelFunc) {
	defer cancel()
	defer s.end()
	defer context.AfterFunc(s.ctx, s.end)()
	_, _ = io.Copy(io.Discard, io.LimitReader(s.out, maxReportBytes)) // what breaks now has been answered before
}

func (s *sshSession) close() {
	if s.session != nil {
		_ = s.session.Close() // of one that has ended already it is an error, and none for us
	}
}

// end closes the session and makes room for another. It may be called more than
// once.
func (s *sshSession) end() {
	s.close()
	s.release()
}

// whyEnded makes an error of a service that ended instead of listing its refs.
// A service that says why, or that has an exit status, was ended by the server;
// anything else by the connection.
func (s *sshSession) whyEnded(service string, err error) error {
	if serverSaid(err) {
		return err
	}
	_ = s.in.Close() // what talks nonsense may be a shell that waits for a command
	_, _ = io.Copy(io.Discard, io.LimitReader(s.out, maxReportBytes))
	var exit *ssh.ExitError
	if ended := s.session.Wait(); errors.As(ended, &exit) || s.said.String() != "" {
		return &serviceError{service: service, said: cmp.Or(s.said.String(), "it does not say why"), err: err}
	}
	return err
}

// serviceError says that the server ended git's service before it began.
type serviceError struct {
	service string
	said    string
	err     error
}

func (e *serviceError) Error() string {
	return fmt.Sprintf("%s ended: %s: %v", e.service, e.said, e.err)
}
func (e *serviceError) Unwrap() error { return e.err }

// code guesses from the words what is wrong, because SSH has no statuses. It
// decides only under which name an error is counted: each of these is tried
// again and shown with the words.
func (e *serviceError) code() gitops.Code {
	said := strings.ToLower(e.said)
	for _, guess := range []struct {
		code  gitops.Code
		words []string
	}{
		{gitops.Forbidden, []string{"denied", "read only", "read-only", "not granted", "not allowed", "forbidden"}},
		{gitops.NotFound, []string{"not found", "does not exist", "not appear to be a git repository", "could not be found"}},
	} {
		for _, w := range guess.words {
			if strings.Contains(said, w) {
				return guess.code
			}
		}
	}
	return gitops.Unavailable
}

// serverSaid reports whether the error is what the server says, so that asking
// over another connection would bring the same.
func serverSaid(err error) bool {
	var said *pktline.ErrorLine
	var ended *serviceError
	var ours *gitops.Error
	return errors.As(err, &said) || errors.As(err, &ended) || errors.As(err, &ours)
}
