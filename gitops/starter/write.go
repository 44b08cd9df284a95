package starter

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// About says of which repository the proposal is, and how it was read.
type About struct {
	URL, Branch, Commit        string
	TokenFile, Username        string
	SSHKeyFile, KnownHostsFile string
	CAFile                     string
}

// writer writes the lines of a configuration.
type writer struct{ strings.Builder }

func (w *writer) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// comment writes text as lines of a comment.
func (w *writer) comment(indent int, format string, args ...any) {
	const width = 100
	line := ""
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if line != "" && len(line)+1+len(word) > width {
			w.line(indent, "# %s", line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	w.line(indent, "# %s", line)
}

// plainScalar matches what YAML takes for text without quotes, in blocks and in lists of
// one line.
var plainScalar = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./{}@:+-]*$`)

// quote writes a text as a scalar.
func quote(text string) string {
	lower := strings.ToLower(text)
	word := slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n", ".inf", ".nan"}, lower)
	if plainScalar.MatchString(text) && !word && !strings.HasSuffix(text, ":") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// inFlow writes a text as a scalar within braces or brackets.
func inFlow(text string) string {
	if strings.ContainsAny(text, "{},[]") && !strings.HasPrefix(text, "'") {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	return quote(text)
}

func flowList(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, inFlow(name))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// Missing begins a value that only a person knows. A configuration is refused as long as
// one is in it, with what follows up to the >.
const Missing = "<fill in: "

func fill(what string) string { return "'" + Missing + strings.ReplaceAll(what, "'", "''") + ">'" }

// Configuration writes the proposal.
func (f *Findings) Configuration(about About) []byte {
	w := &writer{}
	w.line(0, "# yaml-language-server: $schema=tallyman.schema.json")
	w.comment(0, "Proposed by tallyman init from %s, branch %s at %.12s. Read each line: it is a proposal.", about.URL, about.Branch, about.Commit)
	w.comment(0, `What only you know is marked <fill in>; "tallyman check" names each that is left. Every field is in docs/configuration.md.`)
	w.comment(0, "The first line is for editors that have yaml-language-server. It names a file beside this one:")
	w.line(0, "#   tallyman schema > tallyman.schema.json")
	w.line(0, "")
	w.comment(0, "What was accepted is kept here: a file on a local disk, whose directory must exist; postgres:// for several replicas.")
	w.line(0, "store: sqlite:///var/lib/tallyman/tallyman.db")
	w.line(0, "")
	w.manifests(about)
	accounts, regions := f.ecr()
	w.sources(len(accounts) > 0)
	f.writeAccess(w, accounts, regions)
	f.writeEnvironments(w)
	f.writeDiscover(w)
	f.writeApps(w)
	return []byte(w.String())
}

func (w *writer) manifests(about About) {
	w.line(0, "manifests:")
	w.line(1, "url: %s", quote(about.URL))
	w.line(1, "branch: %s", quote(about.Branch))
	if about.CAFile != "" {
		w.line(1, "caFile: %s", quote(about.CAFile))
	}
	if about.SSHKeyFile != "" {
		w.comment(1, "The key must be allowed to push: a deploy key with write access.")
		w.line(1, "credentials:")
		w.line(2, "sshKeyFile: %s", quote(about.SSHKeyFile))
		w.line(2, "knownHostsFile: %s", quote(about.KnownHostsFile))
	} else {
		w.comment(1, "The token must be allowed to push. A GitHub App in its place (githubApp) makes its own, which live an hour.")
		w.line(1, "credentials:")
		if about.Username != "" {
			w.line(2, "username: %s", quote(about.Username))
		}
		w.line(2, "tokenFile: %s", quote(cmp.Or(about.TokenFile, "/etc/tallyman/token")))
	}
	w.line(0, "")
}

func (w *writer) sources(ecr bool) {
	if ecr {
		w.comment(0, "The images are in ECR: EventBridge reports each push. It sends this secret:")
		w.line(0, "#   openssl rand -hex 32 > /etc/tallyman/eventbridge-key")
		w.line(0, "sources:")
		w.line(1, "eventbridge: {secretFiles: [/etc/tallyman/eventbridge-key]}")
	} else {
		w.comment(0, "The registry reports no pushes to tallyman: a workflow orders with a repository_dispatch, which a GitHub App sends on (tallyman app setup). Its webhook has this secret:")
		w.line(0, "#   openssl rand -hex 32 > /etc/tallyman/webhook-secret")
		w.line(0, "sources:")
		w.line(1, "github: {secretFiles: [/etc/tallyman/webhook-secret]}")
	}
	w.line(0, "")
	w.comment(0, "A token for people and scripts: tallyman status, explain, update.")
	w.line(0, "#   openssl rand -hex 32 > /etc/tallyman/api-token")
	w.line(0, "api:")
	w.line(1, "tokens: [{name: ops, file: /etc/tallyman/api-token}]")
	w.line(0, "")
}

// ecr are the accounts and regions of Amazon ECR that images are in.
func (f *Findings) ecr() (accounts, regions []string) {
	a, r := make(map[string]bool), make(map[string]bool)
	for _, e := range f.entries {
		for _, t := range e.sites {
			if at, ok := policy.ParseECR(t.repository); ok {
				a[at.Account], r[at.Region] = true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(r))
}

func (f *Findings) writeAccess(w *writer, accounts, regions []string) {
	w.comment(0, "Who may do what; what no rule allows is refused. What is pushed or dispatched reaches the first environment alone; people and jobs order in the others.")
	w.line(0, "access:")
	first := f.environments
	if len(first) > 0 {
		first = first[:1]
	} else {
		first = []string{"dev"}
	}
	if rank(first[0]) >= stageOf("prod") {
		w.comment(1, "The first environment is production: without this rule no push reaches it, and each release is ordered.")
	}
	if len(accounts) > 0 {
		var quoted []string
		for _, account := range accounts {
			quoted = append(quoted, `"`+account+`"`)
		}
		w.line(1, "- who: {push: {source: eventbridge, accounts: [%s], regions: %s}}", strings.Join(quoted, ", "), flowList(regions))
		w.line(2, `apps: ["*"]`)
	} else {
		w.comment(1, "One rule for each repository whose workflow orders. Its number is never given to another:")
		w.line(1, "#   gh api repos/OWNER/NAME --jq .id")
		w.line(1, "- who:")
		w.line(3, "dispatch:")
		w.line(4, "repository: %s", fill("OWNER/NAME of the repository that orders"))
		w.line(4, "repositoryID: %s", fill("its number, gh api repos/OWNER/NAME --jq .id"))
		w.line(2, "apps: %s", fill("the apps that it builds, such as [cart, cart-worker]"))
	}
	w.line(2, "may: [order]")
	w.line(2, "environments: %s", flowList(first))
	w.line(1, "- {who: {token: ops}, may: [read]}")
	w.comment(1, "Whoever has the token orders everywhere. For production a job in a GitHub environment with reviewers is better: docs/configuration.md, \"Who may do what\".")
	all := f.environments
	if len(all) == 0 {
		all = first
	}
	w.line(1, "- {who: {token: ops}, may: [order, retry, cancel], environments: %s}", flowList(all))
	w.line(0, "")
}
