package githubtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Source is a repository that images are built from, with its Deployments. Safe for
// concurrent use.
type Source struct {
	server      *Server
	name        string
	commits     []string          // full names
	refs        map[string]string // commits by ref: tags/NAME, heads/NAME
	contexts    map[string]bool   // commits with a check that has not succeeded
	behind      bool              // commits lack what the default branch has
	deployments []*Deployment     // in their order
}

// Deployment is a Deployment of a source.
type Deployment struct {
	ID                    int64
	SHA, Ref, Task        string
	Environment           string
	Description           string
	Payload               any
	Transient, Production bool
	CreatedAt             time.Time
	Statuses              []DeploymentStatus // in their order
}

// DeploymentStatus is a status of a Deployment.
type DeploymentStatus struct {
	State, Description, LogURL string
	CreatedAt                  time.Time
}

// State is that of the newest status; "" where it has no status.
func (d Deployment) State() string {
	if len(d.Statuses) == 0 {
		return ""
	}
	return d.Statuses[len(d.Statuses)-1].State
}

// Source gives a repository, owner/name, commits.
func (s *Server) Source(name string, commits ...string) *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := &Source{server: s, name: name, commits: commits, refs: make(map[string]string), contexts: make(map[string]bool)}
	s.sources[strings.ToLower(name)] = source
	return source
}

// Ref has a ref, as tags/v1.0.0 or heads/main, name a commit.
func (o *Source) Ref(ref, commit string) {
	o.server.mu.Lock()
	defer o.server.mu.Unlock()
	o.refs[ref] = commit
}

// Fail gives a commit a check that fails.
func (o *Source) Fail(commit string) {
	o.server.mu.Lock()
	defer o.server.mu.Unlock()
	o.contexts[commit] = true
}

// FallBehind gives the default branch commits that no other commit has.
func (o *Source) FallBehind() {
	o.server.mu.Lock()
	defer o.server.mu.Unlock()
	o.behind = true
}

// Delete deletes a Deployment, as people can.
func (o *Source) Delete(id int64) {
	o.server.mu.Lock()
	defer o.server.mu.Unlock()
	o.deployments = slices.DeleteFunc(o.deployments, func(d *Deployment) bool { return d.ID == id })
}

// Deployments are all, in their order.
func (o *Source) Deployments() (all []Deployment) {
	o.server.mu.Lock()
	defer o.server.mu.Unlock()
	for _, d := range o.deployments {
		copied := *d
		copied.Statuses = slices.Clone(d.Statuses)
		all = append(all, copied)
	}
	return all
}

// commit is the one that a ref names, as GitHub looks for it: a branch or a tag first, and
// then the one whose name begins with it; "" where no commit's does, or several do.
func (o *Source) commit(ref string) string {
	for _, prefix := range []string{"", "heads/", "tags/"} {
		if found, ok := o.refs[prefix+ref]; ok {
			return found
		}
	}
	found := ""
	for _, commit := range o.commits {
		if len(ref) < 4 || !strings.HasPrefix(commit, ref) {
			continue
		}
		if found != "" {
			return ""
		}
		found = commit
	}
	return found
}

// sourceCalls are the calls about sources, by method and the path below the repository, with
// the permissions that each takes.
var sourceCalls = map[string]struct {
	need   string
	answer func(c *sourceCall)
}{
	"GET commits":                 {"contents=read", (*sourceCall).getCommit},
	"GET deployments":             {"deployments=read", (*sourceCall).list},
	"POST deployments":            {"deployments=write", (*sourceCall).create},
	"GET deployments/_/statuses":  {"deployments=read", (*sourceCall).listStatuses},
	"POST deployments/_/statuses": {"deployments=write", (*sourceCall).createStatus},
}

// sourceCall is one call.
type sourceCall struct {
	*Source
	call
	rest []string // of the path, below the repository
}

// answerSource answers a call about a source, and reports whether it was one.
func (s *Server) answerSource(w http.ResponseWriter, r *http.Request, holder *token, parts []string) bool {
	if len(parts) < 4 || parts[0] != "repos" {
		return false
	}
	rest := parts[3:]
	shaped := r.Method + " " + rest[0]
	switch {
	case rest[0] == "deployments" && len(rest) == 3:
		shaped += "/_/" + rest[2]
	case rest[0] == "deployments" && len(rest) != 1, rest[0] == "commits" && len(rest) < 2:
		return false
	}
	known, ok := sourceCalls[shaped]
	if !ok {
		return false
	}
	name := parts[1] + "/" + parts[2]
	source := s.sources[strings.ToLower(name)]
	if _, reaches := holder.installation.reaches(name); source == nil || !reaches {
		s.refuse(w, r, http.StatusNotFound, "Not Found")
		return true
	}
	if s.admit(w, r, holder, []string{known.need}) {
		known.answer(&sourceCall{source, call{Repository: &Repository{server: s, name: name}, w: w, r: r, holder: holder, parts: parts}, rest})
	}
	return true
}
