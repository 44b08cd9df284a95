package config

import "cmp"

// Target is where updates of one app in one environment are written.
type Target struct {
	File       string
	Set        Sets
	Field      string // the field that Set stands in, for what is wrong with it
	Repository string // the app's image there, without tag
}

// RepositoryIn is the app's image in an environment, without tag.
func (a App) RepositoryIn(environment string) string {
	if own, ok := a.Repositories[environment]; ok {
		return own
	}
	return a.Repository
}

// Target finds the file and the scalars of an app in an environment: the app's
// own, else the environment's, else the top level's.
func (c *Config) Target(environment, app string) Target {
	env, a := c.Environments[environment], c.Apps[app]
	t := Target{File: c.File, Set: c.Set, Field: "set", Repository: a.RepositoryIn(environment)}
	t.File = Expand(cmp.Or(a.File, env.File, t.File), app, environment)
	if env.Set != nil {
		t.Set, t.Field = env.Set, "environments."+environment+".set"
	}
	if a.Set != nil {
		t.Set, t.Field = a.Set, "apps."+app+".set"
	}
	return t
}
