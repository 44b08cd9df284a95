package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// dockerConfig is a file as "docker login" writes it (docker/cli, cli/config/configfile).
type dockerConfig struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`
}

type dockerAuth struct {
	Auth          string `json:"auth"` // user:password in base64
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// credential reads the host's credential from its file.
func (h *host) credential() (auth.Credential, error) {
	if h.files.DockerConfigFile == "" {
		return auth.EmptyCredential, nil
	}
	c, err := readDockerConfig(h.files.DockerConfigFile, h.name)
	if err != nil {
		return auth.EmptyCredential, gitops.Errorf(gitops.Unauthorized, "registry %s is not asked: its dockerConfigFile %v", h.name, err)
	}
	return c, nil
}

// CheckDockerConfig says what is wrong with a file that is to have a host's credential, as
// what stands behind the file's name in a sentence. It does not show what is in the file.
func CheckDockerConfig(path, host string) error {
	_, err := readDockerConfig(path, host)
	return err
}

// maxDockerConfig bounds a file: one has an entry of some hundred bytes per registry.
const maxDockerConfig = 1 << 20

// readDockerConfig reads the host's credential. Its errors do not show what is in the file.
func readDockerConfig(path, host string) (auth.Credential, error) {
	file, err := os.Open(path)
	if err != nil {
		return auth.EmptyCredential, errors.New("cannot be read")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxDockerConfig))
	if err != nil {
		return auth.EmptyCredential, errors.New("cannot be read")
	}
	var c dockerConfig
	if json.Unmarshal(text, &c) != nil {
		return auth.EmptyCredential, errors.New(`is not JSON as "docker login" writes it`)
	}
	return c.credential(host)
}

func (c dockerConfig) credential(host string) (auth.Credential, error) {
	for key, helper := range c.CredHelpers {
		if helper != "" && hostOfKey(key) == host {
			return auth.EmptyCredential, fmt.Errorf("names the helper docker-credential-%s for it, which is not executed; write the credentials into auths", gitops.Clip(helper, 50))
		}
	}
	if c.CredsStore != "" {
		return auth.EmptyCredential, fmt.Errorf("names the helper docker-credential-%s in credsStore, which is not executed; write the credentials into auths", gitops.Clip(c.CredsStore, 50))
	}
	entry, ok := c.Auths[host]
	for key, other := range c.Auths {
		if !ok && hostOfKey(key) == host {
			entry, ok = other, true
		}
	}
	if !ok {
		return auth.EmptyCredential, errors.New("has no entry for it in auths")
	}
	return entry.credential()
}

func (a dockerAuth) credential() (auth.Credential, error) {
	c := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
	if a.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return auth.EmptyCredential, errors.New("has an entry for it whose auth is not user:password in base64")
		}
		c.Username, c.Password = user, strings.TrimRight(password, "\x00") // as docker does
	}
	if c.RefreshToken == "" && c.AccessToken == "" && (c.Username == "" || c.Password == "") {
		return auth.EmptyCredential, errors.New("has an entry for it without credentials")
	}
	return c, nil
}

// dockerHub is Docker Hub's name in the names of images.
const dockerHub = "docker.io"

// hostOfKey is the host that a key of the file is for: keys may be addresses, such as
// https://index.docker.io/v1/ of Docker Hub. One with another path is for a part of a
// registry, as Podman writes it, and for no host.
func hostOfKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ := strings.Cut(key, "/")
	switch strings.TrimSuffix(path, "/") {
	case "", "v1", "v2":
	default:
		return ""
	}
	if host == "index.docker.io" || host == image.Endpoint(dockerHub) {
		return dockerHub
	}
	return host
}
