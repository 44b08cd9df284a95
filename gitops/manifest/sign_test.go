package manifest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
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

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
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

func TestGitVerifiesCommitsSignedWithSSH(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"ed25519": ed,
		"ecdsa":   must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t),
		"rsa":     must(rsa.GenerateKey(rand.Reader, 2048))(t),
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			private, public := sshKey(t, key)
			allowed := writeKey(t, []byte("1+tallyman[bot]@users.noreply.github.com "+public+"\n"))
			verify := func(commit string) error {
				_, err := o.repo.Git("-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit)
				return err
			}
			for _, commit := range o.signedCommits(git.Signing{SSHKeyFile: writeKey(t, private)}) {
				if err := verify(commit); err != nil {
					t.Errorf("%v\n%s", err, o.git("cat-file", "commit", commit))
				}
			}
			if verify(o.first) == nil {
				t.Error("git also verifies a commit that is not signed")
			}
		})
	}
}

// openPGPKey makes a key and returns both its parts, armoured.
func openPGPKey(t *testing.T) (entity *openpgp.Entity, private, public []byte) {
	t.Helper()
	entity = must(openpgp.NewEntity("tallyman[bot]", "", "bot@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(-time.Minute) },
	}))(t)
	write := func(kind string, serialize func(*bytes.Buffer) error) []byte {
		var raw, out bytes.Buffer
		if err := serialize(&raw); err != nil {
			t.Fatal(err)
		}
		w := must(armor.Encode(&out, kind, nil))(t)
		if _, err := w.Write(raw.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	private = write(openpgp.PrivateKeyType, func(b *bytes.Buffer) error { return entity.SerializePrivate(b, nil) })
	public = write(openpgp.PublicKeyType, func(b *bytes.Buffer) error { return entity.Serialize(b) })
	return entity, private, public
}

func TestCommitsSignedWithOpenPGPAreVerified(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	entity, private, public := openPGPKey(t)
	commits := o.signedCommits(git.Signing{OpenPGPKeyFile: writeKey(t, private)})
	for _, commit := range commits {
		content := o.git("cat-file", "commit", commit) + "\n"
		before, rest, _ := strings.Cut(content, "gpgsig ")
		signature, after, _ := strings.Cut(rest, "\n\n")
		signature = strings.ReplaceAll(signature, "\n ", "\n")
		if _, err := openpgp.CheckArmoredDetachedSignature(openpgp.EntityList{entity}, strings.NewReader(before+"\n"+after), strings.NewReader(signature), nil); err != nil {
			t.Errorf("%v\n%s", err, content)
		}
	}
	t.Run("by git", func(t *testing.T) {
		gpg, err := exec.LookPath("gpg")
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("there is no gpg: install gnupg")
			}
			t.Skip("SKIPPED: there is no gpg, and the library alone has verified the signatures; install gnupg")
		}
		home := t.TempDir()
		run := func(stdin []byte, name string, args ...string) (string, error) {
			command := exec.Command(name, args...)
			command.Dir = o.repo.Dir
			command.Env = append(os.Environ(), "GNUPGHOME="+home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
			command.Stdin = bytes.NewReader(stdin)
			out, err := command.CombinedOutput()
			return string(out), err
		}
		if out, err := run(public, gpg, "--batch", "--quiet", "--no-autostart", "--import"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, commit := range commits {
			if out, err := run(nil, "git", "verify-commit", commit); err != nil || !strings.Contains(out, "Good signature from \"tallyman[bot] <bot@example.com>\"") {
				t.Errorf("%v: %s", err, out)
			}
		}
		if out, err := run(nil, "git", "verify-commit", o.first); err == nil {
			t.Errorf("git also verifies a commit that is not signed: %s", out)
		}
	})
}

// A key that cannot sign is found before the program starts, and nothing of it is
// in the error.
func TestASigningKeyThatCannotSign(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, public := sshKey(t, ed)
	locked := pem.EncodeToMemory(must(ssh.MarshalPrivateKeyWithPassphrase(ed, "", []byte("s3cret")))(t))
	entity, pgp, pgpPublic := openPGPKey(t)
	if err := entity.EncryptPrivateKeys([]byte("s3cret"), nil); err != nil {
		t.Fatal(err)
	}
	var pgpLocked bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&pgpLocked, nil); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		signing git.Signing
		field   string
		says    string
	}{
		{"two", git.Signing{SSHKeyFile: writeKey(t, good), OpenPGPKeyFile: writeKey(t, pgp)}, "signing", "has two keys"},
		{"no file", git.Signing{SSHKeyFile: filepath.Join(t.TempDir(), "none")}, "signing.sshKeyFile", "cannot be read"},
		{"no OpenPGP file", git.Signing{OpenPGPKeyFile: filepath.Join(t.TempDir(), "none")}, "signing.openPGPKeyFile", "cannot be read"},
		{"an empty one", git.Signing{SSHKeyFile: writeKey(t, nil)}, "signing.sshKeyFile", "holds no private key"},
		{"an empty OpenPGP one", git.Signing{OpenPGPKeyFile: writeKey(t, nil)}, "signing.openPGPKeyFile", "holds no private key"},
		{"locked", git.Signing{SSHKeyFile: writeKey(t, locked)}, "signing.sshKeyFile", "has a passphrase"},
		{"a locked OpenPGP one", git.Signing{OpenPGPKeyFile: writeKey(t, pgpLocked.Bytes())}, "signing.openPGPKeyFile", "has a passphrase"},
		{"public", git.Signing{SSHKeyFile: writeKey(t, []byte(public))}, "signing.sshKeyFile", "holds no private key"},
		{"a public OpenPGP one", git.Signing{OpenPGPKeyFile: writeKey(t, pgpPublic)}, "signing.openPGPKeyFile", "holds no private key"},
		{"the other kind", git.Signing{SSHKeyFile: writeKey(t, pgp)}, "signing.sshKeyFile", "holds no private key"},
		{"the other kind of OpenPGP", git.Signing{OpenPGPKeyFile: writeKey(t, good)}, "signing.openPGPKeyFile", "holds no private key"},
	}
	for _, tt := range tests {
		c := Config{URL: "https://git.example/x.git", Author: git.Signature{Name: "bot", Email: "bot@example.com"}, Target: testTarget, Prover: testProver, Signing: tt.signing}
		w, err := New(c)
		if err == nil {
			_ = w.Close()
		}
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != tt.field || !strings.Contains(e.Message, tt.says) {
			t.Errorf("%s: %v, want %s %s", tt.name, err, tt.field, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error has the key: %v", tt.name, err)
		}
	}
}

// A key that expires while the program runs costs no update.
func TestAKeyThatExpiresMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	entity := must(openpgp.NewEntity("bot", "", "bot@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600}))(t)
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
