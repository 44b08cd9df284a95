package gitserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Repository is one bare repository on the server.
type Repository struct {
	Dir string // on this machine
	URL string // for clients
}

// settings of each repository. No process may outlive the request that started
// it, so nothing is collected by itself.
const settings = `[http]
	receivepack = true
[uploadpack]
	allowFilter = true
[receive]
	autogc = false
[gc]
	auto = 0
`

// CreateRepository makes an empty bare repository that anybody may push to, with
// partial fetches allowed as on the large hosts, and its default branch "main".
// The name is a relative path and may have slashes.
func (s *Server) CreateRepository(name string) (*Repository, error) {
	r := &Repository{Dir: filepath.Join(s.root, filepath.FromSlash(name)), URL: s.URL + "/" + name}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the repository's directory: %w", err)
	}
	if _, err := r.Git("init", "--quiet", "--bare", "--template=", "--initial-branch=main"); err != nil {
		return nil, err
	}
	config, err := os.OpenFile(filepath.Join(r.Dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the repository's configuration: %w", err)
	}
	_, err = config.WriteString(settings)
	if err := errors.Join(err, config.Close()); err != nil {
		return nil, fmt.Errorf("writing the repository's configuration: %w", err)
	}
	return r, nil
}

// Git runs git in the repository and returns its standard output without the
// final newline. An error carries git's standard error.
func (r *Repository) Git(args ...string) (string, error) { return run(r.Dir, nil, args...) }

// Import feeds a stream to git fast-import.
func (r *Repository) Import(stream io.Reader) error {
	_, err := run(r.Dir, stream, "fast-import", "--quiet", "--force")
	return err
}

// Hook installs a hook, a shell script without its first line; an empty script
// removes it.
func (r *Repository) Hook(name, script string) error {
	path := filepath.Join(r.Dir, "hooks", name)
	if script == "" {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the directory of the hooks: %w", err)
	}
	return os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
}

// Change is one commit to be made straight in the repository, as a person's
// push would leave it.
type Change struct {
	Branch  string            // "main" when empty
	Message string            // "A person's change" when empty
	Files   map[string]string // contents by path; they are added or replaced, as 100644
	Delete  []string          // paths to remove
	Modes   map[string]string // for paths in Files that are not 100644: 100755, 120000, or 160000 with a commit's hash for content
	From    string            // the first parent, as a revision; the branch's tip when empty
	Merge   []string          // further parents, as revisions
	Time    time.Time         // author's and committer's; now when zero
}

// Commit makes the change and returns the commit's hash. The branch moves to it
// whatever it was before: a From further back forces the branch back.
func (r *Repository) Commit(c Change) (string, error) {
	c = c.withDefaults()
	var b strings.Builder
	ref := "refs/heads/" + c.Branch
	fmt.Fprintf(&b, "commit %s\ncommitter A Person <person@example.com> %d +0000\n", ref, c.Time.Unix())
	fmt.Fprintf(&b, "data %d\n%s\n", len(c.Message), c.Message)
	from := c.From
	if from == "" {
		from = ref
	}
	if first, err := r.Git("rev-parse", "--verify", "--quiet", from+"^{commit}"); err == nil {
		fmt.Fprintf(&b, "from %s\n", first)
	} else if c.From != "" {
		return "", err
	}
	for _, parent := range c.Merge {
		hash, err := r.Git("rev-parse", "--verify", parent+"^{commit}")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "merge %s\n", hash)
	}
	for _, path := range sortedKeys(c.Files) {
		mode := "100644"
		if m, ok := c.Modes[path]; ok {
			mode = m
		}
		if mode == "160000" {
			fmt.Fprintf(&b, "M %s %s %s\n", mode, c.Files[path], path)
			continue
		}
		fmt.Fprintf(&b, "M %s inline %s\ndata %d\n%s\n", mode, path, len(c.Files[path]), c.Files[path])
	}
	for _, path := range c.Delete {
		fmt.Fprintf(&b, "D %s\n", path)
	}
	if err := r.Import(strings.NewReader(b.String())); err != nil {
		return "", err
	}
	return r.Git("rev-parse", ref)
}

func (c Change) withDefaults() Change {
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.Message == "" {
		c.Message = "A person's change"
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	return c
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Commit is one commit as it stands in the repository.
type Commit struct {
	Hash    string
	Parents []string
	Subject string
	Message string   // whole, without the final newline
	Author  string   // name <email>
	Updates []string // the values of its Tallyman-Update trailers, as git parses trailers
}

// Log returns the commits reachable from a revision, parents before children,
// without those reachable from the revisions in without.
func (r *Repository) Log(revision string, without ...string) ([]Commit, error) {
	args := []string{"log", "--topo-order", "--reverse", "-z",
		"--format=%H%x01%P%x01%s%x01%B%x01%an <%ae>%x01%(trailers:key=Tallyman-Update,valueonly,separator=%x2C)", revision}
	for _, w := range without {
		args = append(args, "^"+w)
	}
	out, err := r.Git(args...)
	if err != nil || out == "" {
		return nil, err
	}
	var commits []Commit
	for record := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		f := strings.Split(record, "\x01")
		if len(f) != 6 {
			return nil, fmt.Errorf("git log answered %q", record)
		}
		commits = append(commits, Commit{
			Hash: f[0], Parents: strings.Fields(f[1]), Subject: f[2], Message: strings.TrimRight(f[3], "\n"), Author: f[4],
			Updates: strings.FieldsFunc(f[5], func(c rune) bool { return c == ',' }),
		})
	}
	return commits, nil
}

// Fsck has git verify every object, as strictly as it can.
func (r *Repository) Fsck() error {
	out, err := r.Git("fsck", "--full", "--strict", "--no-dangling", "--no-progress")
	if err != nil {
		return err
	}
	if out != "" {
		return fmt.Errorf("git fsck: %s", out)
	}
	return nil
}
