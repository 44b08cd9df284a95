package config

import (
	"net/url"
	"regexp"
	"strings"
)

// Manifests is the manifest repository on its server.
type Manifests struct {
	// URL is the repository's https:// address, without credentials, or its address
	// for SSH: ssh://git@host:port/path or git@host:path. Plain http:// is refused
	// together with credentials, except to a loopback address. Required.
	URL string `yaml:"url"`
	// Branch is the branch that is written. Default "main".
	Branch string `yaml:"branch"`
	// Credentials are what git is asked with; none means anonymous.
	Credentials Credentials `yaml:"credentials"`
	// CAFile holds certificates in PEM that are trusted besides the system's, for the
	// repository's server and for GitHub's API. It is read when the program starts and
	// when the configuration is reloaded.
	CAFile string `yaml:"caFile"`
	// Author is the bot: author and committer of every commit.
	Author Author `yaml:"author"`
	// Signing is the key that commits are signed with; none means that they are not.
	Signing Signing `yaml:"signing"`
	// Subject is the first line of a commit's message. {app}, {tag}, {env},
	// {digest} and {repository} stand for the update's. Default
	// "chore: bump {app} to {tag} ({env})".
	Subject string `yaml:"subject"`
	// BatchSubject is the first line of a commit of more than one update, which
	// environments with commits: one-per-batch have. {count} and {env} stand for how
	// many updates and where. Default "chore: {count} updates ({env})".
	BatchSubject string `yaml:"batchSubject"`
}

// Credentials are how to authenticate to the manifest repository's server: a
// token in a file, a GitHub App, or a key for SSH.
type Credentials struct {
	// GitHubApp makes the App's own short-lived tokens, which are not stored.
	GitHubApp *GitHubApp `yaml:"githubApp"`
	// TokenFile holds a token with the right to write the repository. It is read
	// again when it changes.
	TokenFile string `yaml:"tokenFile"`
	// Username goes with the token. Default "x-access-token", which GitHub takes.
	Username string `yaml:"username"`
	// SSHKeyFile holds the private key, without a passphrase, for a URL of SSH,
	// where it is required. It is read again for each connection.
	SSHKeyFile string `yaml:"sshKeyFile"`
	// KnownHostsFile holds the host keys of the server, in the format of OpenSSH's
	// known_hosts. Required for a URL of SSH. It is read again for each connection.
	KnownHostsFile string `yaml:"knownHostsFile"`
}

// GitHubApp is a GitHub App that is installed on the manifest repository.
type GitHubApp struct {
	// AppID is the App's number. Required.
	AppID int64 `yaml:"appID"`
	// InstallationID is the number of its installation. Default: GitHub is asked.
	InstallationID int64 `yaml:"installationID"`
	// PrivateKeyFile holds the App's private key, as GitHub lets it be downloaded. It
	// is read again each time it is used. Required.
	PrivateKeyFile string `yaml:"privateKeyFile"`
	// APIURL is where GitHub's REST API is. Default: https://api.github.com for
	// github.com, https://api.NAME.ghe.com for NAME.ghe.com, and https://HOST/api/v3
	// for every other host of the repository. Plain http:// is refused, except to a
	// loopback address.
	APIURL string `yaml:"apiURL"`
}

// Signing names the file of one private key, without a passphrase. It is read when
// the program starts and when the configuration is reloaded.
type Signing struct {
	// SSHKeyFile holds a key for SSH signatures, in the format of OpenSSH.
	SSHKeyFile string `yaml:"sshKeyFile"`
	// OpenPGPKeyFile holds a key for OpenPGP signatures, as gpg exports it.
	OpenPGPKeyFile string `yaml:"openPGPKeyFile"`
}

// Author is a git identity.
type Author struct {
	// Name defaults to the GitHub App's bot, else to "tallyman[bot]".
	Name string `yaml:"name"`
	// Email defaults to the noreply address of the GitHub App's bot, else to
	// "tallyman[bot]@users.noreply.github.com".
	Email string `yaml:"email"`
}

// setDefaults fills in the defaults of one repository.
func (m *Manifests) setDefaults() {
	byDefault(&m.Branch, "main")
	byDefault(&m.Credentials.Username, "x-access-token")
	if m.Credentials.GitHubApp == nil { // which has a name of its own
		byDefault(&m.Author.Name, "tallyman[bot]")
		byDefault(&m.Author.Email, "tallyman[bot]@users.noreply.github.com")
	}
	byDefault(&m.Subject, "chore: bump {app} to {tag} ({env})")
	byDefault(&m.BatchSubject, "chore: {count} updates ({env})")
}

// reporter takes what is wrong with a field.
type reporter = func(field, format string, args ...any)

// sshURL matches the two forms that git has for SSH.
var sshURL = regexp.MustCompile(`^(ssh://|[^@:/]+@[^@:/]+:)`)

// check reports what is wrong with the repository that the field describes, but not
// what it has from another one, which is reported there; from is nil for the first.
func (m Manifests) check(report reporter, field string, from *Manifests) {
	own := func(same func(of Manifests) bool) bool { return from == nil || !same(*from) }
	if own(func(of Manifests) bool { return of.URL == m.URL }) {
		m.checkURL(report, field)
	}
	if creds := m.Credentials; creds.GitHubApp != nil && creds.TokenFile != "" && own(func(of Manifests) bool { return of.Credentials == creds }) {
		report(field+".credentials", "has both a githubApp and a tokenFile: take one")
	}
	oneLine := func(name, subject string) {
		if strings.ContainsAny(subject, "\r\n") {
			report(field+"."+name, "must be one line")
		}
	}
	if own(func(of Manifests) bool { return of.Subject == m.Subject }) {
		oneLine("subject", m.Subject)
	}
	if own(func(of Manifests) bool { return of.BatchSubject == m.BatchSubject }) {
		oneLine("batchSubject", m.BatchSubject)
	}
}

func (m Manifests) checkURL(report reporter, field string) {
	if m.URL == "" {
		report(field+".url", "is missing")
	} else if sshURL.MatchString(m.URL) {
		// The writer knows what may be in it.
	} else if u, err := url.Parse(m.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		report(field+".url", "must be an https:// or ssh:// address, or one like git@host:path")
	} else if u.User != nil {
		report(field+".url", "must not hold credentials: use %s.credentials", field)
	}
}
