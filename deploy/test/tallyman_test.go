package test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// tallyman is a command of the real program.
func tallyman(args ...string) *exec.Cmd {
	return exec.Command(binary, args...)
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
	return "not-a-real-secret"
}
