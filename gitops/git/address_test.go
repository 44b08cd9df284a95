package git

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestURLsForSSH(t *testing.T) {
	good := map[string]sshAddress{
		"git@github.com:acme/manifests.git":          {"git", "github.com:22", "acme/manifests.git"},
		"git@[::1]:acme/manifests.git":               {"git", "[::1]:22", "acme/manifests.git"},
		"git@host:/srv/git/x.git":                    {"git", "host:22", "/srv/git/x.git"},
		"ssh://git@host/acme/manifests.git":          {"git", "host:22", "/acme/manifests.git"},
		"ssh://git@host:2222/acme/manifests.git":     {"git", "host:2222", "/acme/manifests.git"},
		"ssh://git@[::1]:2222/~tally/manifests.git":  {"git", "[::1]:2222", "~tally/manifests.git"},
		"ssh://AKIA0@codecommit.example/v1/repos/my": {"AKIA0", "codecommit.example:22", "/v1/repos/my"},
	}
	for from, want := range good {
		if !isSSH(from) {
			t.Errorf("%s is not taken for SSH", from)
		} else if got, err := parseSSH(from); err != nil || got != want {
			t.Errorf("%s: %+v and %v, want %+v", from, got, err, want)
		}
	}
	for _, from := range []string{
		"ssh://host/x.git", "ssh://git:secret@host/x.git", "ssh://git@host", "ssh://git@host/", "ssh://git@host/x?y=z", "ssh://git@-h/x",
		"ssh://-o@host/x", "@host:x.git", "git@host:", "git@-oProxyCommand=x:y", "git@host:a\nb",
	} {
		var e *gitops.Error
		if _, err := NewRemote(Config{URL: from, SSH: SSH{"key", "hosts"}}); !errors.As(err, &e) || e.Field != "url" || strings.Contains(e.Error(), "secret") {
			t.Errorf("%q: %v, want an error on url", from, err)
		}
	}
	if got, want := (sshAddress{path: "it's!"}).command(UploadPack), `git-upload-pack 'it'\''s'\!''`; got != want {
		t.Errorf("the command is %s, want %s", got, want)
	}
	for field, c := range map[string]Config{
		"credentials.sshKeyFile":     {URL: "git@host:x", SSH: SSH{"", "hosts"}},
		"credentials.knownHostsFile": {URL: "git@host:x", SSH: SSH{"key", ""}},
		"credentials":                {URL: "git@host:x", SSH: SSH{"key", "hosts"}, Credentials: TokenFile{}},
	} {
		var e *gitops.Error
		if _, err := NewRemote(c); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%v, want an error on %s", err, field)
		}
	}
	var e *gitops.Error
	if _, err := NewRemote(Config{URL: "https://host/x", SSH: SSH{"key", "hosts"}}); !errors.As(err, &e) || e.Field != "credentials.sshKeyFile" {
		t.Errorf("a key over https: %v", err)
	}
}
