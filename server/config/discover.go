package config

import "fmt"

// Discover names apps by the files that are on a branch.
type Discover struct {
	// File is a pattern of the paths of the apps' files, from the repository's root.
	// {app} and {env} stand for names within one segment of the path, and * for any text
	// within one. Where it lacks {app} or {env}, the first key of Set names it, and the
	// file's content says which there are. Required.
	File string `yaml:"file"`
	// Exclude are patterns of files that name no app, and of directories in which nothing
	// does; * stands for any text within one segment, and ** for any number of segments.
	Exclude []string `yaml:"exclude"`
	// Environments are those whose names {env} stands for. Default: every environment.
	Environments []string `yaml:"environments"`
	// Repository is the apps' image without tag; {app} in it stands for the app's name in
	// small letters. Default: only orders name the apps.
	Repository string `yaml:"repository"`
	// RepositoryKey is a key of each app's file that holds its image without tag, in place
	// of Repository.
	RepositoryKey string `yaml:"repositoryKey"`
	// Source is the repository on GitHub that the apps' images are built from, as of an app;
	// {app} in it stands for the app's name. Default: GitHub is not told.
	Source string `yaml:"source"`
	// Set is what updates set in the files. Default: as for other apps, the environment's
	// set, else the top level's.
	Set Sets `yaml:"set"`
	// Also lists more files of each update, as the top level's. A path may have * for the
	// directories that it shares with File. An environment's and the top level's Also do
	// not count for what is discovered.
	Also []Also `yaml:"also"`
	// Manifests is the name of the manifest repository whose branch is looked at. Default
	// "default".
	Manifests string `yaml:"manifests"`
	// AppFile is the path of a file beside those, in which an app's people may say file,
	// set, also, repository and tags of their app, and nothing else. {app} stands for the
	// app's name. Default: none is read.
	AppFile string `yaml:"appFile"`
}

// DiscoverField is the field of one entry.
func DiscoverField(i int) string { return fmt.Sprintf("discover[%d]", i) }

// DiscoversIn reports whether the branch of a manifest repository names apps.
func (c *Config) DiscoversIn(manifests string) bool {
	for _, d := range c.Discover {
		if d.Manifests == manifests {
			return true
		}
	}
	return false
}

// checkDiscover checks what the entries say by themselves. Patterns and keys are checked
// by what uses them.
func (c *Config) checkDiscover(report reporter) {
	for i, d := range c.Discover {
		field := DiscoverField(i)
		if d.File == "" {
			report(field+".file", "is missing: a pattern such as charts/{app}/values-{env}.yaml")
		}
		if d.Environments != nil && len(d.Environments) == 0 {
			report(field+".environments", "must name at least one environment; without the field it is for all of them")
		}
		if d.Repository != "" && d.RepositoryKey != "" {
			report(field, "has both a repository and a repositoryKey: take one")
		}
		checkSource(report, field+".source", d.Source, true)
		c.checkRepositoryName(report, field+".manifests", d.Manifests)
	}
}
