package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// DefaultRepository is the name of the manifest repository that manifests describes.
const DefaultRepository = "default"

// Repository is one more manifest repository, or another branch of one. After Load
// everything that it inherits from manifests is in it.
type Repository struct {
	// URL is as that of manifests. Default: that of manifests.
	URL string `yaml:"url"`
	// Branch is the branch that is written. Default: that of manifests.
	Branch string `yaml:"branch"`
	// Credentials are what git is asked with; {} means anonymous. Default: those of
	// manifests, where the URL has the same scheme and host. Elsewhere it is required,
	// unless manifests has none: a token is sent to no other server than its own.
	Credentials *Credentials `yaml:"credentials"`
	// CAFile is as that of manifests. Default: that of manifests.
	CAFile string `yaml:"caFile"`
	// Author is the bot: author and committer of every commit. Default: that of
	// manifests.
	Author Author `yaml:"author"`
	// Signing is the key that commits are signed with; {} means that they are not.
	// Default: that of manifests.
	Signing *Signing `yaml:"signing"`
	// Subject is as that of manifests. Default: that of manifests.
	Subject string `yaml:"subject"`
	// BatchSubject is as that of manifests. Default: that of manifests.
	BatchSubject string `yaml:"batchSubject"`
}

// ManifestsOf is the name of the manifest repository that the files of an app in an
// environment are in: the app's, else the environment's, else [DefaultRepository].
func (c *Config) ManifestsOf(environment, app string) string {
	if own := c.Apps[app].Manifests; own != "" {
		return own
	}
	if own := c.Environments[environment].Manifests; own != "" {
		return own
	}
	return DefaultRepository
}

// ManifestRepositories are all manifest repositories by name, each with what it
// inherits.
func (c *Config) ManifestRepositories() map[string]Manifests {
	all := make(map[string]Manifests, 1+len(c.Repositories))
	all[DefaultRepository] = c.Manifests
	for name, r := range c.Repositories {
		all[name] = r.manifests()
	}
	return all
}

// ManifestRepositoryNames are the names of all manifest repositories, sorted.
func (c *Config) ManifestRepositoryNames() []string {
	names := append(slices.Collect(maps.Keys(c.Repositories)), DefaultRepository)
	slices.Sort(names)
	return names
}

// RepositoryField is the field that describes a manifest repository.
func RepositoryField(name string) string {
	if name == DefaultRepository {
		return "manifests"
	}
	return "repositories." + name
}

// manifests is the repository as manifests has it. Credentials that it lacks are none.
func (r Repository) manifests() Manifests {
	m := Manifests{URL: r.URL, Branch: r.Branch, CAFile: r.CAFile, Author: r.Author, Subject: r.Subject, BatchSubject: r.BatchSubject}
	if r.Credentials != nil {
		m.Credentials = *r.Credentials
	}
	if r.Signing != nil {
		m.Signing = *r.Signing
	}
	return m
}

// inherit fills in what r leaves out from manifests as the file has it, then the
// defaults.
func (r *Repository) inherit(from Manifests) {
	byDefault(&r.URL, from.URL)
	byDefault(&r.Branch, from.Branch)
	byDefault(&r.CAFile, from.CAFile)
	byDefault(&r.Author.Name, from.Author.Name)
	byDefault(&r.Author.Email, from.Author.Email)
	byDefault(&r.Subject, from.Subject)
	byDefault(&r.BatchSubject, from.BatchSubject)
	if r.Signing == nil {
		r.Signing = &from.Signing
	}
	if r.Credentials == nil && (from.Credentials == Credentials{} || sameServer(r.URL, from.URL)) {
		r.Credentials = from.Credentials.forRepository(r.URL, from.URL)
	}
	full := r.manifests()
	full.setDefaults()
	r.Branch, r.Author, r.Subject, r.BatchSubject = full.Branch, full.Author, full.Subject, full.BatchSubject
	if r.Credentials != nil {
		r.Credentials = &full.Credentials
	}
}

// forRepository is a copy for another repository of the same server. An installation of
// a GitHub App is one owner's: for another owner GitHub is asked for its number.
func (c Credentials) forRepository(url, from string) *Credentials {
	if c.GitHubApp != nil && !sameOwner(url, from) {
		app := *c.GitHubApp
		app.InstallationID = 0
		c.GitHubApp = &app
	}
	return &c
}

// checkRepositories checks the names of manifest repositories, where they are used, and
// what each says. Of two names for one branch the writers would only disturb each other.
func (c *Config) checkRepositories(report reporter) {
	c.Manifests.check(report, "manifests", nil)
	written := []writtenBranch{{addressOf(c.Manifests.URL), c.Manifests.Branch, "manifests"}}
	same := gitops.SameButCase(maps.Keys(c.Repositories))
	for _, name := range slices.Sorted(maps.Keys(c.Repositories)) {
		field, r := RepositoryField(name), c.Repositories[name]
		if strings.EqualFold(name, DefaultRepository) {
			report("repositories."+name, "is the name of the repository that manifests describes: take another name, or say it in manifests")
			continue
		}
		if err := gitops.CheckName(field, name); err != nil {
			report(field, "%s", err.(*gitops.Error).Message)
		}
		if other := same[name]; other != "" {
			report(field, "differs from %s in capitals alone: rename one of them", RepositoryField(other))
		}
		if r.Credentials == nil && r.URL != "" && c.Manifests.URL != "" {
			report(field+".credentials", "is missing: those of manifests are for %s and are not sent to %s. Give this repository its own, or {} to use none",
				addressOf(c.Manifests.URL).server(), addressOf(r.URL).server())
		}
		r.manifests().check(report, field, &c.Manifests)
		at := writtenBranch{addressOf(r.URL), r.Branch, field}
		if twice := slices.IndexFunc(written, at.same); twice >= 0 && r.URL != "" {
			report(field, "is branch %s of %s, as is %s: use one name for it, or write another branch", at.branch, at.place(), written[twice].field)
			continue
		}
		written = append(written, at)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Environments)) {
		c.checkRepositoryName(report, "environments."+name+".manifests", c.Environments[name].Manifests)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		c.checkRepositoryName(report, "apps."+name+".manifests", c.Apps[name].Manifests)
	}
}

// writtenBranch is one branch of one repository, and the field that describes it.
type writtenBranch struct {
	address
	branch, field string
}

func (b writtenBranch) same(other writtenBranch) bool {
	return b.branch == other.branch && b.samePlace(other.address)
}

// checkRepositoryName checks a field that names a manifest repository, or nothing.
func (c *Config) checkRepositoryName(report reporter, field, name string) {
	if _, known := c.Repositories[name]; !known && name != "" && name != DefaultRepository {
		report(field, "%q is not in repositories; there are %s", name, strings.Join(c.ManifestRepositoryNames(), ", "))
	}
}
