package git

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"

	"github.com/tallyman-dev/tallyman/gitops"
)

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// signedCommit pushes a commit with a signature on top of the branch and returns it.
func (o *origin) signedCommit(signing Signing) string {
	o.Helper()
	now := time.Now()
	by, err := signing.Signer(now)
	if err != nil {
		o.Fatal(err)
	}
	r := o.remote()
	on := o.advertised(r, ReceivePack)
	commit := fmt.Sprintf("tree %s\nparent %s\nauthor A <a@b> %d +0000\ncommitter A <a@b> %[3]d +0000\n\nOne line\n\nand more\n", o.hash("main^{tree}"), on.Tip, now.Unix())
	signed, err := SignCommit(Object{KindCommit, []byte(commit)}, by, now)
	if err != nil {
		o.Fatal(err)
	}
	draft := NewDraft()
	name := draft.Put(signed, Base{})
	var w PackWriter
	pack, err := w.Write(draft, true)
	if err == nil {
		err = r.Push(o.Context(), PushRequest{Branch: "main", Old: on.Tip, New: name, Pack: pack, Capabilities: on.Capabilities})
	}
	if err != nil {
		o.Fatal(err)
	}
	if c, err := ParseCommit(signed.Data); err != nil || string(c.Message) != "One line\n\nand more\n" || c.Subject() != "One line" {
		o.Errorf("the message is %q, %v", c.Message, err)
	}
	return name.String()
}

func TestGitVerifiesCommitsSignedWithSSH(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{
		"ed25519": newKey(t),
		"ecdsa":   must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t),
		"rsa":     must(rsa.GenerateKey(rand.Reader, 2048))(t),
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			first := o.git("rev-parse", "main")
			private, public := sshKey(t, key)
			allowed := writeFile(t, "a@b "+public+"\n")
			verify := func(commit string) error {
				_, err := o.repo.Git("-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit)
				return err
			}
			commit := o.signedCommit(Signing{SSHKeyFile: writeFile(t, private)})
			if err := verify(commit); err != nil {
				t.Errorf("%v\n%s", err, o.git("cat-file", "commit", commit))
			}
			if verify(first) == nil {
				t.Error("git also verifies a commit that is not signed")
			}
			if err := o.repo.Fsck(); err != nil {
				t.Error(err)
			}
		})
	}
}

// openPGPKey makes a key and returns both its parts, armoured.
func openPGPKey(t *testing.T) (entity *openpgp.Entity, private, public string) {
	t.Helper()
	entity = must(openpgp.NewEntity("tallyman[bot]", "", "bot@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(-time.Minute) },
	}))(t)
	write := func(kind string, serialize func(*bytes.Buffer) error) string {
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
		return out.String()
	}
	private = write(openpgp.PrivateKeyType, func(b *bytes.Buffer) error { return entity.SerializePrivate(b, nil) })
	public = write(openpgp.PublicKeyType, func(b *bytes.Buffer) error { return entity.Serialize(b) })
	return entity, private, public
}

func TestCommitsSignedWithOpenPGPAreVerified(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	entity, private, public := openPGPKey(t)
	commit := o.signedCommit(Signing{OpenPGPKeyFile: writeFile(t, private)})
	content := o.git("cat-file", "commit", commit) + "\n"
	before, rest, _ := strings.Cut(content, "gpgsig ")
	signature, after, _ := strings.Cut(rest, "\n\n")
	signature = strings.ReplaceAll(signature, "\n ", "\n")
	if _, err := openpgp.CheckArmoredDetachedSignature(openpgp.EntityList{entity}, strings.NewReader(before+"\n"+after), strings.NewReader(signature), nil); err != nil {
		t.Errorf("%v\n%s", err, content)
	}
	t.Run("by git", func(t *testing.T) { o.verifyWithGnuPG(t, public, commit) })
}

// verifyWithGnuPG has git and gpg verify a commit that is signed with the public key's
// private one.
func (o *origin) verifyWithGnuPG(t *testing.T, public, commit string) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no gpg: install gnupg")
		}
		t.Skip("SKIPPED: there is no gpg, and the library alone has verified the signature; install gnupg")
	}
	home := t.TempDir()
	run := func(stdin, name string, args ...string) (string, error) {
		command := exec.Command(name, args...)
		command.Dir = o.repo.Dir
		command.Env = append(os.Environ(), "GNUPGHOME="+home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		command.Stdin = strings.NewReader(stdin)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := run(public, gpg, "--batch", "--quiet", "--no-autostart", "--import"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run("", "git", "verify-commit", commit); err != nil || !strings.Contains(out, "Good signature from \"tallyman[bot] <bot@example.com>\"") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run("", "git", "verify-commit", commit+"^"); err == nil {
		t.Errorf("git also verifies a commit that is not signed: %s", out)
	}
}

// A commit that nothing signs stays as it is, and a key that has expired is an
// outage and not the commit's fault.
func TestAKeyThatHasExpired(t *testing.T) {
	commit := Object{KindCommit, []byte("tree x\n\nmessage\n")}
	if same, err := SignCommit(commit, nil, time.Now()); err != nil || !bytes.Equal(same.Data, commit.Data) {
		t.Errorf("without a key: %q, %v", same.Data, err)
	}
	entity := must(openpgp.NewEntity("bot", "", "bot@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 3600}))(t)
	var private bytes.Buffer
	if err := entity.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	by := must(Signing{OpenPGPKeyFile: writeFile(t, private.String())}.Signer(time.Now().Add(time.Minute)))(t)
	if _, err := SignCommit(commit, by, time.Now().Add(2*time.Hour)); gitops.CodeOf(err) != gitops.Unavailable || !strings.Contains(gitops.PublicOf(err), "cannot be signed") {
		t.Errorf("got %v, want unavailable", err)
	}
}

// A key that cannot sign is found when it is read, and nothing of it is
// in the error.
func TestASigningKeyThatCannotSign(t *testing.T) {
	ed := newKey(t)
	good, public := sshKey(t, ed)
	locked := string(pem.EncodeToMemory(must(ssh.MarshalPrivateKeyWithPassphrase(ed, "", []byte("s3cret")))(t)))
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
		signing Signing
		field   string
		says    string
	}{
		{"two", Signing{SSHKeyFile: writeFile(t, good), OpenPGPKeyFile: writeFile(t, pgp)}, "signing", "has two keys"},
		{"no file", Signing{SSHKeyFile: filepath.Join(t.TempDir(), "none")}, "signing.sshKeyFile", "cannot be read"},
		{"no OpenPGP file", Signing{OpenPGPKeyFile: filepath.Join(t.TempDir(), "none")}, "signing.openPGPKeyFile", "cannot be read"},
		{"an empty one", Signing{SSHKeyFile: writeFile(t, "")}, "signing.sshKeyFile", "holds no private key"},
		{"an empty OpenPGP one", Signing{OpenPGPKeyFile: writeFile(t, "")}, "signing.openPGPKeyFile", "holds no private key"},
		{"locked", Signing{SSHKeyFile: writeFile(t, locked)}, "signing.sshKeyFile", "has a passphrase"},
		{"a locked OpenPGP one", Signing{OpenPGPKeyFile: writeFile(t, pgpLocked.String())}, "signing.openPGPKeyFile", "has a passphrase"},
		{"public", Signing{SSHKeyFile: writeFile(t, public)}, "signing.sshKeyFile", "holds no private key"},
		{"a public OpenPGP one", Signing{OpenPGPKeyFile: writeFile(t, pgpPublic)}, "signing.openPGPKeyFile", "holds no private key"},
		{"the other kind", Signing{SSHKeyFile: writeFile(t, pgp)}, "signing.sshKeyFile", "holds no private key"},
		{"the other kind of OpenPGP", Signing{OpenPGPKeyFile: writeFile(t, good)}, "signing.openPGPKeyFile", "holds no private key"},
	}
	for _, tt := range tests {
		_, err := tt.signing.Signer(time.Now())
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Field != tt.field || !strings.Contains(e.Message, tt.says) {
			t.Errorf("%s: %v, want %s %s", tt.name, err, tt.field, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: the error has the key: %v", tt.name, err)
		}
	}
}
