package git

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/tallyman-dev/tallyman/gitops"
)

// sshConn is one connection. Cutting it is the only way to end a call on it in
// time: a session's end waits for the peer to agree.
type sshConn struct {
	*ssh.Client
	gone chan struct{} // closed when the connection has ended
}

// dialSSH connects, and proves both sides' identities, within the limit.
func dialSSH(ctx context.Context, at sshAddress, files SSH, limit time.Duration) (*sshConn, error) {
	key, err := readKey(files.KeyFile)
	if err != nil {
		return nil, err
	}
	host, err := readKnownHosts(files.KnownHostsFile, at.hostPort)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	wire, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", at.hostPort)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = wire.Close() }) // that is the way to end the handshake
	conn, channels, requests, err := ssh.NewClientConn(wire, at.hostPort, &ssh.ClientConfig{
		User:              at.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   host.check,
		HostKeyAlgorithms: host.algorithms(),
		ClientVersion:     "SSH-2.0-" + agent,
	})
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		_ = wire.Close()
		return nil, host.why(err)
	}
	c := &sshConn{Client: ssh.NewClient(conn, channels, requests), gone: make(chan struct{})}
	go func() {
		_ = c.Wait() // always an error; what it means shows in the calls
		close(c.gone)
	}()
	go c.watch()
	return c, nil
}

func (c *sshConn) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// newSession opens a session. The library waits without end for the answer when
// the connection dies at the very moment of asking; nothing but its goroutine
// then stays behind.
func (c *sshConn) newSession(ctx context.Context) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	done := make(chan opened, 1)
	go func() {
		session, err := c.NewSession()
		done <- opened{session, err}
	}()
	select {
	case o := <-done:
		return o.session, o.err
	case <-c.gone:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// within runs what talks over the connection, and cuts the connection when ctx
// ends before it is done.
func (c *sshConn) within(ctx context.Context, talk func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err := talk()
	if !stop() {
		return errors.Join(context.Cause(ctx), err) // what was read may be no more than its beginning
	}
	return err
}

const (
	watchEvery  = 30 * time.Second
	watchAnswer = 15 * time.Second
)

// watch cuts the connection when the server no longer answers: one that died
// unnoticed must not cost a push its whole time. The requests also keep
// everything on the way from forgetting the connection.
func (c *sshConn) watch() {
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		select {
		case <-c.gone:
			return
		case <-every.C:
		}
		late := time.AfterFunc(watchAnswer, func() { _ = c.Close() })
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			return
		}
	}
}

// readKey reads the private key.
func readKey(path string) (ssh.Signer, error) {
	unusable := func(why string, err error) error {
		return gitops.Errorf(gitops.Unauthorized, "the SSH key for the git server %s", why).WithCause(&credentialsError{err})
	}
	content, err := readKeyFile(path)
	if err != nil {
		return nil, unusable("cannot be read", err)
	}
	key, err := ssh.ParsePrivateKey(content)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, unusable("has a passphrase: give one without", err)
	case err != nil:
		return nil, unusable("is no private key that is understood here", err)
	}
	return key, nil
}

// knownHost is what the known_hosts file says of one server, and what came of
// holding the server against it.
type knownHost struct {
	hostPort string
	file     ssh.HostKeyCallback
	refused  *hostKeyError
	accepted bool
}

// hostKeyError says that the server did not prove to be the one that is known.
type hostKeyError struct {
	fingerprint string
	why         error // of package knownhosts
}

func (e *hostKeyError) Error() string { return "host key " + e.fingerprint + ": " + e.why.Error() }
func (e *hostKeyError) Unwrap() error { return e.why }

// advice says what to do about it.
func (e *hostKeyError) advice() string {
	var revoked *knownhosts.RevokedError
	var unknown *knownhosts.KeyError
	switch {
	case errors.As(e.why, &revoked):
		return "is marked as revoked in the known_hosts file"
	case errors.As(e.why, &unknown) && len(unknown.Want) == 0:
		return "is not in the known_hosts file: compare it with what the server's owner publishes, then add it"
	}
	return "is not the one in the known_hosts file: somebody may pose as the server; only if its owner says that the key was replaced, put the new one into the file"
}

func readKnownHosts(path, hostPort string) (*knownHost, error) {
	file, err := knownhosts.New(path)
	if err != nil {
		return nil, gitops.Errorf(gitops.Unavailable, "the known_hosts file for the git server cannot be read").WithCause(&credentialsError{err})
	}
	return &knownHost{hostPort: hostPort, file: file}, nil
}

func (h *knownHost) check(host string, from net.Addr, key ssh.PublicKey) error {
	if err := h.file(host, from, key); err != nil {
		h.refused = &hostKeyError{ssh.FingerprintSHA256(key), err}
		return h.refused
	}
	h.accepted = true
	return nil
}

// algorithms puts those first of which a key is known. A server has keys of
// several kinds, and would else show one that was not compared.
func (h *knownHost) algorithms() []string {
	probe, err := ssh.NewPublicKey(ed25519.PublicKey(bytes.Repeat([]byte{1}, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var known *knownhosts.KeyError
	if !errors.As(h.file(h.hostPort, &net.TCPAddr{}, probe), &known) {
		return nil
	}
	var first []string
	for _, k := range known.Want {
		if k.Key.Type() == ssh.KeyAlgoRSA {
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		first = append(first, k.Key.Type())
	}
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(first, a) {
			first = append(first, a)
		}
	}
	return first
}

// why finds out who is at fault for a handshake that failed.
func (h *knownHost) why(err error) error {
	switch {
	case h.refused != nil:
		return h.refused
	// The library has no type for this one.
	case h.accepted && strings.Contains(err.Error(), "unable to authenticate"):
		return gitops.Errorf(gitops.Unauthorized, "the git server does not accept the SSH key").WithCause(&credentialsError{err})
	}
	return fmt.Errorf("making an SSH connection: %w", err)
}
