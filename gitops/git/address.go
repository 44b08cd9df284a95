package git

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// sshAddress is where a repository is, over SSH.
type sshAddress struct {
	user     string
	hostPort string
	path     string // on the server; one without a slash at its beginning is the server's to understand
}

// command is the command line that starts one of git's services, quoted for the
// server's shell as git quotes it.
func (a sshAddress) command(service string) string {
	return service + " '" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(a.path) + "'"
}

// isSSH reports whether the URL is one of the two forms that git has for SSH:
// ssh://user@host:port/path and user@host:path (git-fetch(1), "GIT URLS").
func isSSH(from string) bool {
	return strings.HasPrefix(from, "ssh://") || scpForm.MatchString(from)
}

var (
	scpForm = regexp.MustCompile(`^([^@:/]*)@(\[[0-9A-Fa-f:.]+\]|[^@:/\[\]]+):(.*)$`)
	sshUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	sshHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
)

// errNotAddress has no word of the address, which may have a password.
var errNotAddress = gitops.FieldErrorf("url", "is not the address of a repository: it must begin with https:// or ssh://, or be like git@host:path")

// parseSSH reads a URL for which isSSH holds.
func parseSSH(from string) (a sshAddress, err error) {
	var host, port string
	if scp := scpForm.FindStringSubmatch(from); scp != nil && !strings.HasPrefix(from, "ssh://") {
		a.user, host, port, a.path = scp[1], strings.Trim(scp[2], "[]"), "", scp[3]
	} else {
		at, err := url.Parse(from)
		if err != nil {
			return a, errNotAddress
		}
		if _, secret := at.User.Password(); secret {
			return a, gitops.FieldErrorf("url", "must not carry a password: SSH is for keys here")
		}
		if at.RawQuery != "" || at.Fragment != "" {
			return a, gitops.FieldErrorf("url", "must not have a query or a fragment")
		}
		a.user, host, port, a.path = at.User.Username(), at.Hostname(), at.Port(), at.Path
		if strings.HasPrefix(a.path, "/~") {
			a.path = a.path[1:] // somebody's home, as git has it
		}
	}
	_, notIP := netip.ParseAddr(host)
	switch {
	case !sshUser.MatchString(a.user):
		return a, gitops.FieldErrorf("url", "must name the user that the server takes git's sessions for, such as git@")
	case notIP != nil && !sshHost.MatchString(host):
		return a, gitops.FieldErrorf("url", "has no name that a host can have")
	case strings.Trim(a.path, "/") == "" || strings.ContainsAny(a.path, "\x00\r\n"):
		return a, gitops.FieldErrorf("url", "must have the repository's path")
	}
	if port == "" {
		port = "22"
	}
	a.hostPort = net.JoinHostPort(host, port)
	return a, nil
}
