package rollout

import (
	"net/url"
	"regexp"
	"strings"
)

// scpForm is git's short form for SSH, user@host:path.
var scpForm = regexp.MustCompile(`^(?:[^@:/]+@)?(\[[0-9A-Fa-f:.]+\]|[^@:/\[\]]+):([^/].*|/[^/].*)$`)

// sameRepository reports whether two URLs are of one repository: over HTTP or SSH, with a user
// or without, at whatever port, with .git or without, in capitals or not.
func sameRepository(one, other string) bool {
	return one != "" && (one == other || repositoryName(one) == repositoryName(other))
}

// repositoryName is HOST/PATH of a repository, which its URLs have in common.
func repositoryName(from string) string {
	from = strings.TrimSpace(from)
	host, path := "", from
	if at, err := url.Parse(from); err == nil && at.Host != "" {
		host, path = at.Hostname(), at.Path
	} else if scp := scpForm.FindStringSubmatch(from); scp != nil && !strings.Contains(from, "://") {
		host, path = strings.Trim(scp[1], "[]"), scp[2]
	}
	host = strings.ToLower(host)
	if host == "ssh.github.com" || host == "altssh.gitlab.com" || host == "altssh.bitbucket.org" { // SSH at the port of HTTPS
		host = host[strings.Index(host, ".")+1:]
	}
	path = strings.ToLower(strings.Trim(path, "/"))
	return host + "/" + strings.Trim(strings.TrimSuffix(path, ".git"), "/")
}
