package gitserver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSH is the side of a [Server] that speaks SSH. It has the server's
// repositories, faults, latency and counts. Safe for concurrent use.
type SSH struct {
	URL            string // ssh://git@127.0.0.1:port, without a slash at its end
	KeyFile        string // the private key that is let in
	KnownHostsFile string // with one of the host keys

	server   *Server
	listener net.Listener
	client   ssh.PublicKey

	mu       sync.Mutex
	hostKeys []ssh.Signer
	refusing bool
	conns    map[net.Conn]bool
	closed   bool
	sessions sync.WaitGroup
}

// ServeSSH serves the same repositories over SSH, until Close. The files for
// clients are written into dir, which must exist.
func (s *Server) ServeSSH(dir string) (*SSH, error) {
	h := &SSH{
		KeyFile: filepath.Join(dir, "id_ed25519"), KnownHostsFile: filepath.Join(dir, "known_hosts"),
		server: s, conns: make(map[net.Conn]bool),
	}
	if err := h.writeKey(); err != nil {
		return nil, err
	}
	if err := h.ReplaceHostKeys(); err != nil {
		return nil, err
	}
	var err error
	if h.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	address := h.listener.Addr().String()
	h.URL = "ssh://git@" + address
	// Only the second kind is known, which clients would not ask for by themselves.
	line := knownhosts.Line([]string{knownhosts.Normalize(address)}, h.hostKeys[1].PublicKey())
	if err := os.WriteFile(h.KnownHostsFile, []byte(line+"\n"), 0o600); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.ssh = append(s.ssh, h)
	s.mu.Unlock()
	h.sessions.Go(h.accept)
	return h, nil
}

func (h *SSH) writeKey() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if h.client, err = ssh.NewPublicKey(public); err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	return os.WriteFile(h.KeyFile, pem.EncodeToMemory(block), 0o600)
}

// ReplaceHostKeys gives the server new host keys, of two kinds, from the next
// connection on. The file of known hosts stays as it was.
func (h *SSH) ReplaceHostKeys() error {
	first, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var keys []ssh.Signer
	for _, private := range []any{first, second} {
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			return err
		}
		keys = append(keys, signer)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hostKeys = keys
	return nil
}

// RefuseKeys makes the server let nobody in from the next connection on, or
// again whoever has the key.
func (h *SSH) RefuseKeys(refuse bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusing = refuse
}

// Drop cuts every connection.
func (h *SSH) Drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for conn := range h.conns {
		_ = conn.Close() // it is gone either way
	}
}

// close stops listening, cuts every connection, and waits for the git processes.
func (h *SSH) close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	err := h.listener.Close()
	h.Drop()
	h.sessions.Wait()
	return err
}

func (h *SSH) accept() {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				panic(fmt.Sprintf("gitserver stopped serving: %v", err)) // a test tool: nobody is left to tell
			}
			return
		}
		if !h.enter(conn) {
			_ = conn.Close()
			return
		}
		h.sessions.Go(func() {
			defer h.leave(conn)
			h.serve(conn)
		})
	}
}

// enter takes note of a connection, unless the server is closed.
func (h *SSH) enter(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.conns[conn] = true
		h.server.counters.connections.Add(1)
	}
	return !h.closed
}

func (h *SSH) leave(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, conn)
	_ = conn.Close() // most are closed by now
}

// serve speaks with one client until it goes.
func (h *SSH) serve(conn net.Conn) {
	h.mu.Lock()
	config := &ssh.ServerConfig{PublicKeyCallback: h.admit}
	for _, key := range h.hostKeys {
		config.AddHostKey(key)
	}
	h.mu.Unlock()
	connect, _ := h.server.latencies()
	pause(connect, nil)
	over, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // a client that was not let in, or did not like our host key
	}
	go answerKeepalives(requests)
	gone := make(chan struct{})
	go func() {
		_ = over.Wait()
		close(gone)
	}()
	var sessions sync.WaitGroup
	for asked := range channels {
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.UnknownChannelType, "only sessions are served here")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			continue
		}
		sessions.Go(func() { (&sshSession{h.server, conn, gone, channel}).serve(requests) })
	}
	sessions.Wait()
}

func (h *SSH) admit(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refusing || subtle.ConstantTimeCompare(key.Marshal(), h.client.Marshal()) != 1 {
		return nil, errors.New("this key is not let in")
	}
	return nil, nil
}

// answerKeepalives answers what asks only whether we are there.
func answerKeepalives(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil) // a client that has gone shows elsewhere
		}
	}
}
