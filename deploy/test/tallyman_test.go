package test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// tallyman is a command of the real program.
func tallyman(args ...string) *exec.Cmd {
	return exec.Command(binary, args...)
}

// addresses are where the real program listens, each as host:port.
type addresses struct{ Msg, Listen, Admin, Probes string }

// serve starts the real program and returns where it listens, once it is ready. It is
// stopped when the test ends.
func serve(t *testing.T, config string) addresses {
	t.Helper()
	command := tallyman("serve", "--config", config)
	log, err := command.StderrPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan addresses, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line addresses
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
				ready <- line
			}
		}
	}()
	t.Cleanup(func() {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ended
		if err := command.Wait(); err != nil {
			t.Errorf("tallyman ended with %v", err)
		}
	})
	select {
	case at := <-ready:
		return at
	case <-ended:
		t.Fatal("tallyman ended before it was ready")
		return addresses{}
	}
}

// exampleSecret is something that can stand in a secret's file, by its path.
func exampleSecret(t *testing.T, path string) string {
	t.Helper()
	if strings.HasSuffix(path, "/known_hosts") || strings.HasSuffix(path, "/id_ed25519") {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "/known_hosts") {
			return "github.com " + string(ssh.MarshalAuthorizedKey(key))
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(block))
	}
	if strings.HasSuffix(path, ".pem") {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "-bundle.pem") {
			self := &x509.Certificate{SerialNumber: big.NewInt(1)}
			certificate, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
	return "this-is-not-a-real-secret"
}
