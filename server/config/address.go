package config

import (
	"cmp"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// address is where a repository is, in one spelling: hosts in lower case, no port that is
// the scheme's own, no .git. Owners and names count as the same in capitals, as on
// GitHub, GitLab and Bitbucket.
type address struct {
	scheme     string // http, https or ssh
	host, path string // the host with a port that is not the scheme's own
	name       string // the host without its port
}

// scpForm is git's short form for SSH, user@host:path.
var scpForm = regexp.MustCompile(`^[^@:/]+@(\[[0-9A-Fa-f:.]+\]|[^@:/]+):(.*)$`)

var ownPorts = map[string]string{"http": "80", "https": "443", "ssh": "22"}

// overHTTPS are hosts that forges have for SSH alone, where the port for SSH is closed.
var overHTTPS = map[string]string{"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com", "altssh.bitbucket.org": "bitbucket.org"}

// addressOf reads a URL; what cannot be read has no host, and is reported elsewhere.
func addressOf(from string) (a address) {
	port := ""
	if scp := scpForm.FindStringSubmatch(from); scp != nil {
		a = address{scheme: "ssh", name: strings.Trim(scp[1], "[]"), path: scp[2]}
	} else if u, err := url.Parse(from); err == nil {
		a = address{scheme: strings.ToLower(u.Scheme), name: u.Hostname(), path: u.Path}
		port = u.Port()
	}
	a.name = strings.ToLower(a.name)
	if a.host = a.name; port != "" && port != ownPorts[a.scheme] {
		a.host = net.JoinHostPort(a.name, port)
	}
	a.path = strings.Trim(path.Clean("/"+strings.ToLower(a.path)), "/")
	a.path = strings.TrimSuffix(a.path, ".git")
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
func (a address) place() string {
	host := strings.TrimSuffix(a.name, ".")
	return cmp.Or(overHTTPS[host], host) + "/" + a.path
}

// samePlace reports whether two addresses may be of one repository. Each way into a server
// has a port of its own; of one way two ports are two servers.
func (a address) samePlace(b address) bool {
	return a.place() == b.place() && (a.scheme != b.scheme || a.name != b.name || a.host == b.host)
}
