// Package discover finds apps in a manifest repository: patterns of paths say where the
// files of apps are, and what the branch's tip has there is an app. It is pure: it walks
// over a [git.Directory] and asks its caller for the contents of files.
//
// # Patterns
//
// An [Entry] names the files of apps by a path in which {app} and {env} stand for names
// and * for any text, each within one segment: charts/{app}/values-{env}.yaml. A name
// that stands in the path more than once is the same each time. Environments are known
// names, so {env} is one of those; text in its place that is a name and is not among
// them is counted in [Result.Unknown]. A path that can be read in more than one way
// names no app, and is a problem that has the readings.
//
// Where the path lacks a name, the first key of what is set has it, and the file's
// content says which there are; see [values.Invert]. An app's own file says more of the
// app, and reaches nothing outside its directory.
//
// # What is wrong
//
// What cannot work for any repository is an error of [Compile]. What is wrong with one
// file or app at the tip is a [Problem], and stops that app alone. Whoever can commit to
// the repository decides what is in it, so the work, what is held of it, and the texts
// that come from it are bounded.
//
// # What a look costs
//
// A [Rules] remembers what it found in each directory by the directory's hash. A look at
// a new tip goes into the directories that changed and passes over the others, and a
// file's content is asked for again only when it changed.
package discover

import (
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// Config is what the apps of one manifest repository are found by.
type Config struct {
	Entries []Entry
	// Environments are the names of all environments.
	Environments []string
	// Set is what an update writes in an environment where neither the entry nor the app
	// says so. The keys may name {app}, {env} and {repository}.
	Set func(environment string) []values.Target
	// Limits bound the files that are read.
	Limits values.Limits
}

// Entry says where the files of some apps are.
type Entry struct {
	// Field is what the entry is called in the configuration: "discover[2]".
	Field string
	// File is the pattern of the paths. Where it does not name {app} or {env}, the first
	// key of Set does, and the file's content says which there are. An entry of one
	// environment need not name it.
	File string
	// Exclude are globs of paths: * stands for any text within a segment, ** for any
	// number of segments. What matches is left out, a directory with all that is in it.
	Exclude []string
	// Environments are those that the entry is for; nil is all.
	Environments []string
	// Repository is the image of its apps, in which {app} and {env} stand for the names in
	// lower case.
	Repository string
	// RepositoryKey is the key of the file that holds the image.
	RepositoryKey string
	// Set is what an update writes; nil is what [Config.Set] says.
	Set []values.Target
	// Also are more files of the same update. The directories that a path has in common
	// with File may have *.
	Also []File
	// AppFile is the path of an app's own file. Its directory is one of File's, with {app}.
	AppFile string
}

// File is one more file of an update.
type File struct {
	Path string
	Set  []values.Target // nil: as in the update's first file
}

// Read has a file's content parsed: parse is called with it once, and its error is
// returned. Whatever guards parsers stands around that. An error of [gitops.Unavailable]
// says that the content is not here yet.
type Read func(path string, file *git.File, parse func(text []byte) error) error

// Result is what one look found. It does not change.
type Result struct {
	// Found are the targets, each at most once.
	Found []*Found
	// Problems are what is wrong, at most [MaxProblems]; More counts the others, of which
	// each may be of an app that has no other.
	Problems []Problem
	More     int
	// Needs are the files whose contents are not here yet. What depends on them is
	// neither found nor a problem: look again when they are.
	Needs []string
	// Unknown are the environments that files name and nobody configured, by name.
	Unknown []Unknown
}

// Found is an app in an environment. It does not change, and is the same from look to
// look as long as it says the same.
type Found struct {
	App, Environment string
	Entry            int             // the index in [Config.Entries]
	File             string          // the path of the first file of an update
	Also             []File          // more files of the same update
	Set              []values.Target // from the app's own file; nil: as its entry says
	Image            string          // without tag; "" when it is not known
	Tags             Tags            // from the app's own file
	Origin           string          // the entry's field, or the path of the app's own file
}

// Tags narrows which tags are taken, as in the configuration. It is not checked.
type Tags struct{ Match, Semver string }

// Problem is what is wrong with an app or a file.
type Problem struct {
	App, Environment string   // "" when it is not one
	Files            []string // paths that have to do with it
	Message          string   // what is wrong, the rule, and the way out
	HidesApps        bool     // it is about apps that it cannot name: that they are not found does not mean that they are gone
}

// Unknown is a name in the place of an environment's that is not configured.
type Unknown struct {
	Environment string
	Files       int
}

// What is kept of a tip at most.
const (
	MaxProblems = 1_000
	// maxFound is how many targets there may be: 20,000 apps in 5 environments.
	maxFound = 100_000
	// maxUnknown is how many unknown environments are counted.
	maxUnknown = 100
	// maxSteps bounds what a look at one entry takes: a step for each entry of a directory
	// and for each try to match a name, and keep for each directory, file and target that
	// is kept. A tree may stand in another many times, so a few small ones can have more
	// paths than anyone can look at.
	maxSteps = 3_000_000
	keep     = 16
)
