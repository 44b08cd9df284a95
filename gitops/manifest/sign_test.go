package manifest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

func writeKey(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sshKey returns the private key in OpenSSH's format, and the public one as a line
// of authorized_keys.
func sshKey(t *testing.T, key crypto.Signer) (private []byte, public string) {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}

// signedCommits makes commits of one update, of a batch, and, after a lost race,
// of one made again.
func (o *origin) signedCommits(signing git.Signing) []string {
	o.Helper()
	w := o.writer(squashing("dev"), func(c *Config) { c.Signing = signing })
	all := o.write(w, o.update("prod", "shop", "v1.0.0"))
	all = append(all, o.write(w, o.update("dev", "shop", "main-0000001"), o.update("dev", "cart", "main-0000001"))...)
	o.commit(gitserver.Change{Files: map[string]string{"README.md": "theirs\n"}})
	all = append(all, o.write(w, o.update("dev", "mail", "main-0000001"))...)
	again := o.writer(func(c *Config) { c.Signing = signing })
	all = append(all, o.write(again, takenOver(o.updates[all[1].Update]))...)
	o.check(all...) // with messages that are as ever
	return []string{all[0].Commit, all[1].Commit, all[3].Commit}
}

func TestEveryCommitIsSigned(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, public := sshKey(t, key)
	allowed := writeKey(t, []byte("1+tallyman[bot]@users.noreply.github.com "+public+"\n"))
	for _, commit := range o.signedCommits(git.Signing{SSHKeyFile: writeKey(t, private)}) {
		if _, err := o.repo.Git("-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit); err != nil {
			t.Errorf("%v\n%s", err, o.git("cat-file", "commit", commit))
		}
	}
}

// A key that expires while the program runs costs no update.
func TestAKeyThatExpiresMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	entity, err := openpgp.NewEntity("bot", "", "bot@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600})
	if err != nil {
		t.Fatal(err)
	}
	var private bytes.Buffer
	if err := entity.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	var later atomic.Int64
	w := o.writer(func(c *Config) {
		c.Signing.OpenPGPKeyFile = writeKey(t, private.Bytes())
		c.Now = func() time.Time { return time.Now().Add(time.Minute + time.Duration(later.Load())) }
	})
	o.check(o.write(w, o.update("dev", "shop", "main-0000001"))...)
	later.Store(int64(2 * time.Hour))
	u := o.update("dev", "shop", "main-0000002")
	if settled, err := writeAll(t.Context(), w, u); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "cannot be signed") || len(settled) != 0 {
		t.Errorf("got %v and %v, want nothing and unavailable", settled, err)
	}
	o.check(o.write(o.writer(), u)...)
}
