package config

import (
	"cmp"
	"fmt"
)

// maxAlso is how many more files an update may edit: they are all read and parsed for
// each of its app's updates.
const maxAlso = 20

// Target is where updates of one app in one environment are written.
type Target struct {
	Files      []TargetFile // all of them, or none; the first holds the app's tag
	Repository string       // the app's image there, without tag
}

// TargetFile is one file that updates of a target edit.
type TargetFile struct {
	File  string
	Set   Sets
	Field string // the field that Set stands in, for what is wrong with it
	Also  string // the field that the file stands in; "" for the first
}

// RepositoryIn is the app's image in an environment, without tag.
func (a App) RepositoryIn(environment string) string {
	if own, ok := a.Repositories[environment]; ok {
		return own
	}
	return a.Repository
}

// Target finds the files and the scalars of an app in an environment: the app's
// own, else the environment's, else the top level's.
func (c *Config) Target(environment, app string) Target {
	env, a := c.Environments[environment], c.Apps[app]
	first := TargetFile{File: Expand(cmp.Or(a.File, env.File, c.File), app, environment), Set: c.Set, Field: "set"}
	if env.Set != nil {
		first.Set, first.Field = env.Set, "environments."+environment+".set"
	}
	if a.Set != nil {
		first.Set, first.Field = a.Set, "apps."+app+".set"
	}
	also, field := c.Also, "also"
	if env.Also != nil {
		also, field = env.Also, "environments."+environment+".also"
	}
	if a.Also != nil {
		also, field = a.Also, "apps."+app+".also"
	}
	t := Target{Files: make([]TargetFile, 1, 1+len(also)), Repository: a.RepositoryIn(environment)}
	t.Files[0] = first
	for i, more := range also {
		at := fmt.Sprintf("%s[%d]", field, i)
		f := TargetFile{File: Expand(more.File, app, environment), Set: first.Set, Field: first.Field, Also: at + ".file"}
		if more.Set != nil {
			f.Set, f.Field = more.Set, at+".set"
		}
		t.Files = append(t.Files, f)
	}
	return t
}

// checkAlso checks a list of more files by itself.
func checkAlso(report func(field, format string, args ...any), field string, also []Also) {
	if len(also) > maxAlso {
		report(field, "has %d files, and an update may edit %d more than its first: split the app", len(also), maxAlso)
	}
	for i, more := range also {
		at := fmt.Sprintf("%s[%d].file", field, i)
		if more.File == "" {
			report(at, "is missing")
		}
		checkFile(report, at, more.File)
	}
}
