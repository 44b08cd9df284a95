package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/contain"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/guard"
	"github.com/tallyman-dev/tallyman/gitops/history"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/topic"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/holds"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// repository is what reaches one manifest repository. It outlives the configuration that
// it was made for, as long as the ones after it say the same of it.
type repository struct {
	name     string
	settings config.Manifests
	files    [][]byte // contents of those that are read when it is made
	writer   *manifest.Writer
	past     *history.Reader
	revision *contain.Reader // tells what a revision has of an update
	app      *githubapp.App  // as whom it is written; nil unless one is configured
	forge    proposals.Forge // where its pull requests are, and topics their branches; nil without an App
	topics   *topic.Branches
	lanes    *routing.Repository
}

// repositories are the manifest repositories of one configuration, by name.
type repositories map[string]*repository

// sorted are the repositories, sorted by name.
func (all repositories) sorted() []*repository {
	return slices.SortedFunc(maps.Values(all), func(a, b *repository) int { return cmp.Compare(a.name, b.name) })
}

// release says that a configuration does not use them any more.
func (all repositories) release() {
	for _, r := range all {
		r.lanes.Release()
	}
}

// byLanes are the repositories as lanes write them.
func (all repositories) byLanes() map[string]*routing.Repository {
	lanes := make(map[string]*routing.Repository, len(all))
	for name, r := range all {
		lanes[name] = r.lanes
	}
	return lanes
}

// manifestMaker makes what reaches manifest repositories, and has what they share.
type manifestMaker struct {
	current func() *generation
	router  *routing.Router
	prover  *proof.Prover // has no keys until the store is open
	holds   *holds.Book   // asked before each push
	files   *guard.Guard  // stands before all that is parsed; notes nothing until then
	metrics repositoryMetrics
	pulls   proposalMetrics
	logger  *slog.Logger
}

func newManifestMaker(current func() *generation, book *holds.Book, metrics *metrics, logger *slog.Logger) *manifestMaker {
	m := &manifestMaker{current: current, holds: book, prover: proof.New(), metrics: metrics.repositories, pulls: metrics.proposals, logger: logger}
	m.files = guard.New(current().shares.Parsers, logger)
	m.router = routing.New(m.routes)
	return m
}

// close closes every repository, also one whose last write or request has not ended.
func (m *manifestMaker) close(context.Context) error {
	m.router.Close()
	return nil
}

// make makes the repositories of a configuration, and keeps those of the one before of
// which it says the same. It does not use the network. After an error none is used.
func (m *manifestMaker) make(c config.Config, before repositories) (repositories, error) {
	all := make(repositories)
	var problems []error
	settings := c.ManifestRepositories()
	for _, name := range c.ManifestRepositoryNames() {
		r := m.describe(name, settings[name])
		if was := before[name]; was != nil && r.sameAs(was) {
			was.lanes.Keep()
			all[name] = was
			continue
		}
		if err := m.connect(r, c); err != nil {
			problems = append(problems, err)
			continue
		}
		all[name] = r
	}
	if err := errors.Join(problems...); err != nil {
		all.release()
		return nil, err
	}
	return all, nil
}

// describe reads the files that a repository is made of. One that cannot be read is an
// error when it is made.
func (m *manifestMaker) describe(name string, settings config.Manifests) *repository {
	r := &repository{name: name, settings: settings}
	for _, path := range []string{settings.CAFile, settings.Signing.SSHKeyFile, settings.Signing.OpenPGPKeyFile} {
		text, _ := os.ReadFile(path)
		r.files = append(r.files, text)
	}
	return r
}

func (r *repository) sameAs(other *repository) bool {
	return reflect.DeepEqual(r.settings, other.settings) && slices.EqualFunc(r.files, other.files, bytes.Equal)
}

// connect makes a repository's parts.
func (m *manifestMaker) connect(r *repository, c config.Config) error {
	field := config.RepositoryField(r.name)
	roots, rootsErr := readRoots(field+".caFile", r.settings.CAFile)
	var appErr error
	if r.settings.Credentials.GitHubApp != nil {
		r.app, appErr = newApp(r.settings, roots, m.logger)
		appErr = gitops.PrefixField(field+".credentials.githubApp", appErr)
	}
	at := remoteOf(r.settings, r.app, roots)
	breaker := git.NewBreaker(time.Now) // a pause that the server asks for is everybody's
	var writerErr, pastErr, topicsErr, containErr error
	r.writer, writerErr = m.newWriter(r, c, at, breaker)
	if writerErr == nil { // what is wrong with the address is said once
		r.past, pastErr = m.newPast(r, c, at, breaker)
		topicsErr = m.newTopics(r, c, at, breaker)
		containErr = m.newContain(r, c, at, breaker)
	}
	if err := errors.Join(rootsErr, appErr, gitops.PrefixField(field, writerErr), gitops.PrefixField(field, pastErr), gitops.PrefixField(field, topicsErr), gitops.PrefixField(field, containErr)); err != nil {
		if r.writer != nil {
			err = errors.Join(err, r.writer.Close())
		}
		r.free()
		return err
	}
	r.lanes = m.router.Add(r.name, r.writer, r.free, m.metrics, m.logger)
	return nil
}

// view is the branch as it was no longer than maxAge ago.
func (r *repository) view(ctx context.Context, maxAge time.Duration) (*manifest.View, error) {
	return r.writer.View(ctx, maxAge)
}

// free frees what is beside the writer.
func (r *repository) free() {
	if r.past != nil {
		r.past.Close()
	}
	if r.revision != nil {
		r.revision.Close()
	}
	if r.topics != nil {
		r.topics.Close()
	}
	if r.app != nil {
		_ = r.app.Close() // which has no error
	}
}

// remoteOf says where the repository is, and how to get in.
func remoteOf(c config.Manifests, app *githubapp.App, roots *x509.CertPool) git.Config {
	at := git.Config{
		URL:     c.URL,
		RootCAs: roots,
		SSH:     git.SSH{KeyFile: c.Credentials.SSHKeyFile, KnownHostsFile: c.Credentials.KnownHostsFile},
	}
	if file := c.Credentials.TokenFile; file != "" {
		at.Credentials = git.TokenFile{Path: file, User: c.Credentials.Username}
	}
	if c.Credentials.GitHubApp != nil { // also one that is wrong: what else is wrong is found as well
		at.Credentials = app
	}
	return at
}

// searchMemory is what each of those may take that read history: the reader of a branch, what
// looks at revisions, and what follows its pull requests. All of them together take the share
// of the memory that is for searches.
func (m *manifestMaker) searchMemory() int64 {
	g := m.current()
	readers := 0
	for _, r := range g.repositories {
		if readers += 2; r.topics != nil {
			readers++
		}
	}
	return g.shares.Search / int64(max(1, readers))
}

// newPast makes the reader of the branch's history.
func (m *manifestMaker) newPast(r *repository, c config.Config, at git.Config, breaker *git.Breaker) (*history.Reader, error) {
	remote, err := git.NewRemote(at)
	if err != nil {
		return nil, err
	}
	return history.New(breaker.Guard(remote), r.settings.Branch, m.prover, history.Limits{
		Memory:    m.searchMemory,
		FileBytes: int64(c.Limits.File.Bytes),
		Enter: func(ctx context.Context, o gitops.ParsedObject) (func(), error) {
			return m.files.Enter(ctx, o, 0, true)
		},
	}), nil
}

// Without it an App would go on with a token that was revoked.
var _ git.Invalidator = (*githubapp.App)(nil)

func newApp(c config.Manifests, roots *x509.CertPool, logger *slog.Logger) (*githubapp.App, error) {
	return githubapp.New(githubapp.Config{
		AppID:          c.Credentials.GitHubApp.AppID,
		InstallationID: c.Credentials.GitHubApp.InstallationID,
		PrivateKeyFile: c.Credentials.GitHubApp.PrivateKeyFile,
		RepositoryURL:  c.URL,
		APIURL:         c.Credentials.GitHubApp.APIURL,
		RootCAs:        roots,
		Logger:         logger,
	})
}

// readRoots returns the system's certificates and those of the file, or nil for
// no file, which means the system's.
func readRoots(field, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, gitops.FieldErrorf(field, "%s cannot be read", file).WithCause(err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, gitops.FieldErrorf(field, "%s holds no certificate in PEM", file)
	}
	return roots, nil
}
