package gitserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshSession is one session: a client's look at the refs, and what it asks for
// after that. Only the one or the other is counted, as it turns out to be. A
// fault for the look happens before the refs are sent; one for the push or the
// fetch when the client has begun to ask.
type sshSession struct {
	server  *Server
	conn    net.Conn
	gone    <-chan struct{} // closed when the client's connection has ended
	channel ssh.Channel
}

// serve runs the one command of the session.
func (s *sshSession) serve(requests <-chan *ssh.Request) {
	defer s.channel.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil) // what asks for an environment or a terminal can do without
			continue
		}
		go answerKeepalives(requests)
		var exec struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &exec); err != nil {
			_ = r.Reply(false, nil)
			return
		}
		_ = r.Reply(true, nil)
		s.run(exec.Command)
		return
	}
}

// run is git's service, from the refs to its exit.
func (s *sshSession) run(command string) {
	_, each := s.server.latencies()
	pause(each, s.gone)
	service, name, _ := strings.Cut(command, " ")
	look, work := FetchRefs, Fetch
	switch service {
	case "git-receive-pack":
		look, work = PushRefs, Push
	case "git-upload-pack":
	default:
		s.exit(127, service+": not found here")
		return
	}
	replace, goOn := s.before(look)
	if !goOn {
		return
	}
	dir := filepath.Join(s.server.root, filepath.FromSlash(path.Clean("/"+strings.Trim(name, "'"))))
	git, err := startService(strings.TrimPrefix(service, "git-"), dir, s.server.refusesThin())
	if err != nil {
		s.exit(1, err.Error())
		return
	}
	refs, err := readToFlush(git.out)
	if err != nil {
		s.server.counters.request(look)
		s.exit(git.end())
		return
	}
	s.write(replace(refs))
	var begin [4]byte
	if _, err := io.ReadFull(s.channel, begin[:]); err != nil || string(begin[:]) == "0000" {
		s.server.counters.request(look)
		_, _ = git.in.Write([]byte("0000")) // one that has failed says so in its exit
		s.exit(git.end())
		return
	}
	s.server.counters.request(work)
	s.work(work, git, io.MultiReader(bytes.NewReader(begin[:]), s.channel))
}

// before applies what was injected for the look. It reports whether git is asked
// at all.
func (s *sshSession) before(look Operation) (replace func([]byte) []byte, goOn bool) {
	replace = func(answer []byte) []byte { return answer }
	f := s.server.take(look)
	if f == nil {
		return replace, true
	}
	f.begin(s.gone)
	if f.Replace != nil {
		replace = f.Replace
	}
	wait(f.Hold, s.gone)
	if f.Cut || f.Status != 0 {
		s.server.counters.request(look)
		s.fail(f, nil)
		return nil, false
	}
	return replace, true
}

// work has git do what the client asks for, and applies what was injected.
func (s *sshSession) work(operation Operation, git *service, asked io.Reader) {
	in := &countingReader{asked, &s.server.counters.bytesIn}
	f := s.server.take(operation)
	if f != nil {
		f.begin(s.gone)
	}
	if f == nil || f.passes() {
		go git.feed(in)
		_, _ = io.Copy(writerFunc(s.write), git.out) // a client that has gone does not stop git
		s.exit(git.end())
		return
	}
	var answer []byte
	if f.Apply || f.Replace != nil {
		go git.feed(in)
		answer, _ = io.ReadAll(git.out) // what there is of it goes on
	} else {
		go func() { _, _ = io.Copy(io.Discard, in) }()
	}
	git.end()
	wait(f.Hold, s.gone)
	s.fail(f, answer)
}

// fail ends the session as the fault says.
func (s *sshSession) fail(f *Fault, answer []byte) {
	switch {
	case f.Cut:
		_ = s.conn.Close()
	case f.Status == 200:
		s.write([]byte(f.Body))
		s.exit(0, "")
	case f.Status != 0:
		s.exit(1, f.Body)
	case f.Replace != nil:
		s.write(f.Replace(answer))
		s.exit(0, "")
	}
}

// write sends to the client. One that has gone shows in what it reads.
func (s *sshSession) write(p []byte) {
	n, _ := s.channel.Write(p)
	s.server.counters.bytesOut.Add(int64(n))
}

// exit ends the session with a status, and words on the client's standard error.
func (s *sshSession) exit(status int, said string) {
	_, _ = io.WriteString(s.channel.Stderr(), said)
	_ = s.channel.CloseWrite()
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
}

// service is git's own process.
type service struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	errs    bytes.Buffer
}

func startService(name, dir string, whole bool) (g *service, err error) {
	args := []string{name}
	if whole && name == "receive-pack" {
		args = append(args, "--reject-thin-pack-for-testing") // the switch that git's own tests use
	}
	g = &service{command: exec.Command("git", append(args, dir)...)}
	g.command.Env = isolated()
	g.command.Stderr = &g.errs
	if g.in, err = g.command.StdinPipe(); err != nil {
		return nil, err
	}
	if g.out, err = g.command.StdoutPipe(); err != nil {
		return nil, err
	}
	return g, g.command.Start()
}

// feed gives git what the client sends.
func (g *service) feed(from io.Reader) {
	_, _ = io.Copy(g.in, from) // git says itself what it misses
	_ = g.in.Close()
}

// end lets git finish and returns its exit status and what it had to say.
func (g *service) end() (status int, said string) {
	_ = g.in.Close()
	_, _ = io.Copy(io.Discard, g.out)
	var failed *exec.ExitError
	if err := g.command.Wait(); errors.As(err, &failed) {
		status = failed.ExitCode()
	}
	return status, g.errs.String()
}

// readToFlush reads packets up to the first that is empty, as they are.
func readToFlush(from io.Reader) ([]byte, error) {
	var all []byte
	for {
		var length [4]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return all, err
		}
		var n int
		if _, err := fmt.Sscanf(string(length[:]), "%04x", &n); err != nil {
			return all, err
		}
		all = append(all, length[:]...)
		if n == 0 {
			return all, nil
		}
		at := len(all)
		all = append(all, make([]byte, n-4)...)
		if _, err := io.ReadFull(from, all[at:]); err != nil {
			return all, err
		}
	}
}

type countingReader struct {
	io.Reader
	read *atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// pause waits, unless the client goes.
func pause(d time.Duration, gone <-chan struct{}) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-gone:
	}
}
