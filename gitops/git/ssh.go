package git

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// SSH is how to get in over SSH. Both files are read again for each connection.
type SSH struct {
	// KeyFile holds the private key, without a passphrase. There is no agent and
	// no password.
	KeyFile string

	// KnownHostsFile holds the server's host keys, as ssh-keyscan(1) prints them
	// (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). A server whose key is not in it is
	// not talked to. Certificate authorities in it do not count.
	KnownHostsFile string
}

// sshRemote speaks git's protocol, version 0, over SSH: one connection, and a
// session of it for each call. A session begins with the server's refs, so a push
// that would lose sees so before anything is sent.
type sshRemote struct {
	at       sshAddress
	files    SSH
	timeouts Timeouts
	conn     *sshConn // nil before the first call, and after it was found dead
	// sessions has an entry for each that is open. Those of pushes stay open for as
	// long as the server's hooks run.
	sessions chan struct{}
	draining sync.WaitGroup
}

// maxSessions is how many sessions are open at once. OpenSSH takes 10 of one
// connection (MaxSessions in sshd_config(5)).
const maxSessions = 8

func newSSHRemote(at sshAddress, c Config) *sshRemote {
	return &sshRemote{at: at, files: c.SSH, timeouts: c.Timeouts, sessions: make(chan struct{}, maxSessions)}
}

func (r *sshRemote) Close() {
	waitBriefly(&r.draining)
	if r.conn != nil {
		_ = r.conn.Close() // nothing is under way on it
	}
}

func (r *sshRemote) Refs(ctx context.Context, service, branch string, below ...string) (Advertisement, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Refs)
	s, seen, err := r.begin(ctx, service, branch, below...)
	if err != nil {
		cancel()
		return seen, err
	}
	r.leave(s, cancel)
	return seen, nil
}

func (r *sshRemote) Fetch(ctx context.Context, w FetchRequest, held Source) (map[Hash]Object, error) {
	body, err := w.request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Fetch)
	defer cancel()
	s, _, err := r.begin(ctx, UploadPack, "")
	if err != nil {
		return nil, err
	}
	defer s.end()
	var objects map[Hash]Object
	err = r.conn.within(ctx, func() error {
		sendErr := s.send(body)
		if objects, err = w.read(ctx, s.out, held); err == nil {
			return nil // an answer says better than the sending whether the server heard enough
		}
		return errors.Join(err, sendErr)
	})
	if err != nil {
		return nil, err
	}
	return objects, nil
}

func (r *sshRemote) Push(ctx context.Context, u PushRequest) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeouts.Push)
	s, seen, err := r.begin(ctx, ReceivePack, u.Branch)
	if err != nil {
		cancel()
		return err
	}
	if seen.Tip != u.Old {
		r.leave(s, cancel)
		return &BehindError{seen}
	}
	u.Capabilities = seen.Capabilities
	body, err := u.request()
	if err != nil {
		r.leave(s, cancel)
		return err
	}
	err = r.conn.within(ctx, func() error {
		sendErr := s.send(body)
		err := u.readReport(s.out)
		if errors.Is(err, errNoReport) {
			return errors.Join(err, sendErr)
		}
		return err
	})
	r.draining.Go(func() { s.drain(cancel) })
	return err
}

// leave ends a session in which nothing more is asked for.
func (r *sshRemote) leave(s *sshSession, cancel context.CancelFunc) {
	r.draining.Go(func() {
		_ = s.send(pktline.FlushPkt) // a server that is gone needs no good-bye
		s.drain(cancel)
	})
}

// begin starts the service in a session of its own and reads the refs that it
// begins with. A connection that turns out to be dead is replaced: nothing has
// been asked of the server before the session is there.
func (r *sshRemote) begin(ctx context.Context, service, branch string, below ...string) (*sshSession, Advertisement, error) {
	select {
	case r.sessions <- struct{}{}:
	case <-ctx.Done():
		return nil, Advertisement{}, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-r.sessions })
	for {
		kept := r.conn != nil && r.conn.alive()
		if !kept {
			var err error
			if r.conn, err = dialSSH(ctx, r.at, r.files, r.timeouts.Connect); err != nil {
				release()
				return nil, Advertisement{}, err
			}
		}
		s := &sshSession{ctx: ctx, release: release}
		seen, err := r.start(s, service, branch, below)
		if err == nil {
			return s, seen, nil
		}
		s.close()
		if !kept || ctx.Err() != nil || serverSaid(err) {
			release()
			return nil, seen, err
		}
		_ = r.conn.Close() // dead, or as good as that
		r.conn = nil
	}
}

// start opens the session, and reads the refs.
func (r *sshRemote) start(s *sshSession, service, branch string, below []string) (seen Advertisement, err error) {
	opening, cancel := context.WithTimeout(s.ctx, r.timeouts.Connect)
	defer cancel()
	if err := r.conn.within(opening, func() error { return s.open(opening, r.conn, r.at.command(service)) }); err != nil {
		return seen, err
	}
	reading, cancel := context.WithTimeout(s.ctx, r.timeouts.Refs)
	defer cancel()
	err = r.conn.within(reading, func() error {
		seen, err = readAdvertisement(io.LimitReader(s.out, maxRefsBytes), branch, below)
		if err != nil {
			return s.whyEnded(service, err)
		}
		return nil
	})
	return seen, err
}
