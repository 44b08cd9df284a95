package git

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Signing is how commits are signed: with the key of one of the two files, or,
// without any, not at all. A key has no passphrase. It is read once, by [New]: a
// key that cannot sign is found before anything waits for it.
type Signing struct {
	SSHKeyFile     string // a private key as ssh-keygen(1) makes it
	OpenPGPKeyFile string // a private key as gpg --export-secret-keys writes it, armoured or not
}

// Signer makes the signature of a commit that git keeps in its header.
type Signer interface {
	Sign(commit []byte, at time.Time) ([]byte, error)
}

// Signer reads the key. It is nil when commits are not signed.
func (s Signing) Signer(now time.Time) (Signer, error) {
	field, path, parse := "signing.sshKeyFile", s.SSHKeyFile, parseSSHSigner
	switch {
	case s == Signing{}:
		return nil, nil
	case s.SSHKeyFile != "" && s.OpenPGPKeyFile != "":
		return nil, gitops.FieldErrorf("signing", "has two keys: a commit has one signature")
	case s.OpenPGPKeyFile != "":
		field, path, parse = "signing.openPGPKeyFile", s.OpenPGPKeyFile, parseOpenPGPSigner
	}
	content, err := readKeyFile(path)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "cannot be read").WithCause(err)
	}
	key, err := parse(content)
	if err == nil {
		_, err = key.Sign([]byte("a trial"), now)
	}
	switch {
	case errors.Is(err, errLocked):
		return nil, gitops.FieldErrorf(field, "has a passphrase: give one without").WithCause(err)
	case err != nil:
		return nil, gitops.FieldErrorf(field, "holds no private key that can sign").WithCause(err)
	}
	return key, nil
}

var errLocked = errors.New("the key has a passphrase")

// readKeyFile reads no more of a file than a key can have.
func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const longest = 64 << 10
	return io.ReadAll(io.LimitReader(file, longest))
}

// sshSigner signs as ssh-keygen -Y sign does.
type sshSigner struct{ key ssh.Signer }

func parseSSHSigner(content []byte) (Signer, error) {
	key, err := ssh.ParsePrivateKey(content)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		err = fmt.Errorf("%w: %w", errLocked, err)
	}
	return sshSigner{key}, err
}

// Sign makes an armoured signature (PROTOCOL.sshsig in OpenSSH's sources) in the
// namespace that git has for commits and tags.
func (s sshSigner) Sign(commit []byte, _ time.Time) ([]byte, error) {
	const magic, namespace, algorithm = "SSHSIG", "git", "sha512"
	digest := sha512.Sum512(commit)
	signed := append([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Algorithm string
		Digest                         []byte
	}{namespace, "", algorithm, digest[:]})...)
	signature, err := s.signature(signed)
	if err != nil {
		return nil, err
	}
	blob := append([]byte(magic), ssh.Marshal(struct {
		Version                        uint32
		PublicKey                      []byte
		Namespace, Reserved, Algorithm string
		Signature                      []byte
	}{1, s.key.PublicKey().Marshal(), namespace, "", algorithm, ssh.Marshal(signature)})...)
	return pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob}), nil
}

// signature signs. Of an RSA key a signature with SHA-1, which a plain Sign makes,
// is not accepted in this place.
func (s sshSigner) signature(data []byte) (*ssh.Signature, error) {
	if rsa, ok := s.key.(ssh.AlgorithmSigner); ok && s.key.PublicKey().Type() == ssh.KeyAlgoRSA {
		return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	}
	return s.key.Sign(rand.Reader, data)
}

// openPGPSigner signs as gpg --detach-sign does.
type openPGPSigner struct{ key *openpgp.Entity }

func parseOpenPGPSigner(content []byte) (Signer, error) {
	read := openpgp.ReadKeyRing
	if bytes.Contains(content, []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(content))
	switch {
	case err != nil:
		return nil, err
	case len(keys) != 1:
		return nil, fmt.Errorf("the file holds %d keys", len(keys))
	}
	locked := keys[0].PrivateKey != nil && keys[0].PrivateKey.Encrypted
	for _, k := range keys[0].Subkeys {
		locked = locked || k.PrivateKey != nil && k.PrivateKey.Encrypted
	}
	if locked {
		return nil, errLocked
	}
	return openPGPSigner{keys[0]}, nil
}

func (s openPGPSigner) Sign(commit []byte, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	err := openpgp.ArmoredDetachSign(&out, s.key, bytes.NewReader(commit), &packet.Config{Time: func() time.Time { return at }})
	return out.Bytes(), err
}

// SignCommit returns the commit with its signature, which git keeps at the end of the
// header, each further line of it behind a space.
func SignCommit(commit Object, by Signer, at time.Time) (Object, error) {
	if by == nil {
		return commit, nil
	}
	signature, err := by.Sign(commit.Data, at)
	if err != nil {
		return Object{}, gitops.Errorf(gitops.Unavailable, "the commit cannot be signed: has the key expired?").WithCause(err)
	}
	header, message, _ := bytes.Cut(commit.Data, []byte("\n\n"))
	lines := bytes.ReplaceAll(bytes.TrimRight(signature, "\n"), []byte("\n"), []byte("\n "))
	data := bytes.Join([][]byte{header, append([]byte("gpgsig "), lines...)}, []byte("\n"))
	return Object{KindCommit, append(append(data, "\n\n"...), message...)}, nil
}
