package config

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// address is where a repository is, in one spelling: hosts in lower case, no port that is
// the scheme's own, no .git. Owners and names count as the same in capitals, as on
// GitHub, GitLab and Bitbucket.
type address struct {
	scheme     string // http, https or ssh
	host, path string
}

// scpForm is git's short form for SSH, user@host:path.
var scpForm = regexp.MustCompile(`^[^@:/]+@(\[[0-9A-Fa-f:.]+\]|[^@:/]+):(.*)$`)

var ownPorts = map[string]string{"http": "80", "https": "443", "ssh": "22"}

// addressOf reads a URL; what cannot be read has no host, and is reported elsewhere.
func addressOf(from string) (a address) {
	if scp := scpForm.FindStringSubmatch(from); scp != nil {
		a = address{scheme: "ssh", host: strings.Trim(scp[1], "[]"), path: scp[2]}
	} else if u, err := url.Parse(from); err == nil {
		a = address{scheme: strings.ToLower(u.Scheme), host: u.Hostname(), path: u.Path}
		if port := u.Port(); port != "" && port != ownPorts[a.scheme] {
			a.host = net.JoinHostPort(a.host, port)
		}
	}
	a.host = strings.ToLower(a.host)
	a.path = strings.TrimSuffix(strings.Trim(strings.ToLower(a.path), "/"), ".git")
	return a
}

// server is the scheme and the host.
func (a address) server() string { return a.scheme + "://" + a.host }

// sameServer reports whether two repositories have the same scheme and host.
func sameServer(a, b string) bool { return addressOf(a).server() == addressOf(b).server() }

// sameOwner reports whether two repositories of a server have the same owner.
func sameOwner(a, b string) bool {
	first, _, _ := strings.Cut(addressOf(a).path, "/")
	second, _, _ := strings.Cut(addressOf(b).path, "/")
	return first == second
}

// place is the repository whatever it is reached by.
func (a address) place() string { return a.host + "/" + a.path }
