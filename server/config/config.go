// Package config is the configuration file: its fields, their defaults, and the
// checks that name the field at fault. docs/configuration.md says the same for
// people; a test holds the two together.
package config

import "time"

// Config is the whole file. Every field may be left out unless it says
// otherwise; an unknown field is an error.
type Config struct {
	// Listen is where receivers listen, host:port. Default ":8080".
	Listen string `yaml:"listen" reload:"restart"`
	// AdminListen is where /metrics is served, and /debug/pprof with PProf, host:port. It
	// asks for no credential, so keep it off the networks that others are on. Default
	// "127.0.0.1:9090".
	AdminListen string `yaml:"adminListen" reload:"restart"`
	// PProf says that AdminListen serves /debug/pprof, too: profiles, which hold what is in
	// the process's memory, and its command line. Default false.
	PProf bool `yaml:"pprof" reload:"restart"`
	// ProbeListen is where /livez and /readyz are served, and nothing else, host:port.
	// Default ":8081".
	ProbeListen string `yaml:"probeListen" reload:"restart"`
	// Store is where deliveries and updates are kept: sqlite:// and the absolute
	// path of a file whose directory exists, or postgres:// and what libpq's form of
	// an address may say but for the password. Required.
	Store string `yaml:"store" reload:"restart"`
	// StorePasswordFile holds the password for a store of PostgreSQL. It is read
	// again for each connection.
	StorePasswordFile string `yaml:"storePasswordFile" reload:"restart"`
	// Lease is how long an environment's lane stays with a replica that is paused, or
	// dead without the store's knowledge, before another takes it, as in "30s"; and
	// how long a replica works on that does not reach the store. Default 30s.
	Lease time.Duration `yaml:"lease" reload:"restart"`
	// Retention says how long the store remembers.
	Retention Retention `yaml:"retention" reload:"restart"`
	// Backup says where serve writes backups of the store from time to time.
	Backup Backup `yaml:"backup" reload:"restart"`
	// Log says how to log.
	Log Log `yaml:"log" reload:"restart"`
	// Shutdown says how to stop.
	Shutdown Shutdown `yaml:"shutdown" reload:"restart"`
	// Manifests is the repository that is written. Required.
	Manifests Manifests `yaml:"manifests"`
	// Repositories are more manifest repositories, or other branches of one, by name.
	// What one leaves out is as in manifests. The name default is that of manifests.
	Repositories map[string]Repository `yaml:"repositories"`
	// Registries say how registries are asked for images, for environments with image.
	// Those of ECR, and those that answer without credentials, need none.
	Registries []Registry `yaml:"registries"`
	// ArgoCD are the instances of Argo CD that are asked whether what was written runs.
	// Default: none is asked.
	ArgoCD []ArgoCD `yaml:"argocd"`
	// Sources are the senders that are listened to. At least one is required.
	Sources Sources `yaml:"sources"`
	// Limits bound what unauthenticated senders can take.
	Limits Limits `yaml:"limits" reload:"restart"`
	// API says how callers of /api/v1 are authenticated. Without tokens and oidc it is
	// not served.
	API API `yaml:"api"`
	// Access says who may do what; what no rule allows is forbidden. A source, a token
	// or an issuer that no rule names is an error. Required.
	Access []Access `yaml:"access"`
	// File is the path of the file that an update edits, from the repository's
	// root. {app} and {env} stand for the update's names. Default
	// "charts/{app}/values-{env}.yaml".
	File string `yaml:"file"`
	// Set lists the scalars that an update sets in its file, all of them or none;
	// or it is the name of a common list: helm, helm-digest, kustomize,
	// kustomize-digest or image.
	// Default helm, which is one scalar: key .image.tag, value "{tag}".
	Set Sets `yaml:"set"`
	// Also lists more files that the same update edits, in the same commit: all of them
	// or none. Default: none.
	Also []Also `yaml:"also"`
	// Environments are the environments, by name. At least one is required.
	Environments map[string]Environment `yaml:"environments"`
	// Freezes are times in which nothing is written, by the clocks of a zone.
	Freezes []Freeze `yaml:"freezes"`
	// Holds bounds the pins that people place.
	Holds Holds `yaml:"holds"`
	// Notify are who is told what happens to updates, each on its own.
	Notify []Notifier `yaml:"notify"`
	// Discover names apps by files that are on the branches of manifest repositories. They
	// come and go with the files, while tallyman runs.
	Discover []Discover `yaml:"discover"`
	// Apps are the apps, by name. At least one is required where Discover is not set. One
	// that Discover finds, too, and that has no file of its own, refines what was found:
	// what it says comes before what the file or its entry of Discover does.
	Apps map[string]App `yaml:"apps"`
}

// Retention says how long the store remembers.
type Retention struct {
	// Keep is how long a delivery is kept after it arrived and its updates ended,
	// as in "2160h", at least 168h. Default 2160h, which is 90 days.
	Keep time.Duration `yaml:"keep"`
}

// Log says how to log; logs go to standard error.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level string `yaml:"level" oneOf:"debug,info,warn,error"`
	// Format is json or text. Default json.
	Format string `yaml:"format" oneOf:"json,text"`
}

// Shutdown says how to stop after SIGTERM or SIGINT.
type Shutdown struct {
	// Deadline is how long the whole stop may take, as in "25s": finishing
	// requests, then the batches that are being written. What is not done by then
	// is given back and done after the next start. Default 25s, which fits the
	// 30 s that Kubernetes gives by default.
	Deadline time.Duration `yaml:"deadline"`
}

// Limits bound what unauthenticated senders can take from authenticated ones.
type Limits struct {
	// TrustedProxies are the ranges of addresses of the proxies in front, whose
	// X-Forwarded-For says whose request it is. Default: none, and the header counts
	// for nothing.
	TrustedProxies []string `yaml:"trustedProxies"`
	// RefusedPerMinute is how many requests from one address to one route may be refused
	// in a minute before only those with a valid credential pass there, and the others are
	// answered 429. Requests that are accepted do not count. Default 300.
	RefusedPerMinute int64 `yaml:"refusedPerMinute"`
	// Memory is how much the process may take, as in "400MiB", at least 192MiB. It is
	// divided among connections, bodies, parsers, the snapshot and the others that take
	// memory at somebody's wish. Default: GOMEMLIMIT, else 80 % of the limit of the
	// process's cgroup, else 409 MiB.
	Memory Bytes `yaml:"memory"`
	// Connections is how many may be open. Default: as many as fit the share of Memory
	// that is theirs.
	Connections int64 `yaml:"connections"`
	// ConnectionsPerAddress is how many of them may come from one address that is not a
	// trusted proxy's. Default: a quarter of Connections.
	ConnectionsPerAddress int64 `yaml:"connectionsPerAddress"`
	// File bounds one file of the manifest repository. One that is over a bound is not
	// read: its updates fail, and others go on.
	File FileLimits `yaml:"file"`
	// Snapshot is how many bytes the branch may take in memory: a quarter for its
	// directories, the rest for the files that updates can change. Default, and at most:
	// half of the share of Memory that is for it, since two states of the branch are
	// held while it moves.
	Snapshot Bytes `yaml:"snapshot"`
}

// FileLimits bound one file of the manifest repository.
type FileLimits struct {
	// Bytes is how large it may be, at most 5MiB. Default 1MiB.
	Bytes Bytes `yaml:"bytes"`
	// Nodes is how many lines and values it may have, as they are counted before it is
	// parsed, and how many values its aliases may stand for; at most 400000. Default
	// 200000, or as many as fit the share of Memory that is for parsing.
	Nodes int64 `yaml:"nodes"`
}

// Environment is one environment.
type Environment struct {
	// Tags says which tags the environment takes. Required.
	Tags Tags `yaml:"tags"`
	// Coalesce is "none", and every accepted update becomes its own commit, or
	// "newest", and of an app's pending updates only the newest is written, which
	// supersedes the others. Default none; with write: pull-request newest, and nothing else.
	Coalesce string `yaml:"coalesce" oneOf:"none,newest"`
	// Commits is "one-per-update", or "one-per-batch", and the updates that go out
	// together become one commit, which names each. Default one-per-update.
	Commits string `yaml:"commits" oneOf:"one-per-update,one-per-batch"`
	// Downgrades is "supersede", and where tags has semver a version that is pushed does
	// not reach an app that has, or waits for, a higher one, or "allow", and what was
	// pushed last is written. An order is written in either case. Default supersede.
	Downgrades string `yaml:"downgrades" oneOf:"supersede,allow"`
	// HandEdits is "respect", and a tag that somebody commits to an app's file by hand is
	// kept like a pin of holds.pinFor, or "overwrite", and the next update replaces it. An
	// order of a person replaces it in either case. Default respect.
	HandEdits string `yaml:"handEdits" oneOf:"respect,overwrite"`
	// AfterHold is "newest", and of an app's updates that a pin, a freeze, a stop or a bad
	// mark held only the newest is written when it ends, or "all", and each of them is, in
	// their order. Default newest.
	AfterHold string `yaml:"afterHold" oneOf:"newest,all"`
	// Write is "push", and updates are pushed to the branch, or "pull-request", and each app
	// has a pull request with its newest update, which people or the forge's rules merge.
	// Default push.
	Write string `yaml:"write" oneOf:"push,pull-request"`
	// PullRequest says how the pull requests are made, with write: pull-request.
	PullRequest *PullRequest `yaml:"pullRequest"`
	// Image says what images must be before they are written; {} is that they are in
	// their registry. Default: images are written without being looked for.
	Image *Image `yaml:"image"`
	// Rollout says how it is found out whether what was written runs.
	Rollout Rollout `yaml:"rollout"`
	// Manifests is the name of the manifest repository that has this environment's
	// files. Default: default, which is that of manifests.
	Manifests string `yaml:"manifests"`
	// File overrides the top-level file for this environment.
	File string `yaml:"file"`
	// Set overrides the top-level set for this environment.
	Set Sets `yaml:"set"`
	// Also overrides the top-level also for this environment; an empty list means none.
	Also []Also `yaml:"also"`
}

// Also is one more file that an update edits.
type Also struct {
	// File is the path of the file, as the top level's. It is not one that the update
	// edits already. Required.
	File string `yaml:"file"`
	// Set lists what the update sets in it. Default: what it sets in its first file.
	Set Sets `yaml:"set"`
}

// Tags says which tags are taken: match, semver, or both at once.
// The tag "latest" is never taken.
type Tags struct {
	// Match is a regular expression (RE2) that must match the whole tag.
	Match string `yaml:"match"`
	// Semver is a version constraint, as in ">=1.0.0" or "^1.2". Only tags with
	// all three numbers, with or without a leading v, are versions; a pre-release
	// needs a constraint that names one, as in ">=1.0.0-0".
	Semver string `yaml:"semver"`
}

// App is one app.
type App struct {
	// Repository is the app's image without tag. ECR pushes to it are updates of
	// the app; without it, only dispatches that name the app are.
	Repository string `yaml:"repository"`
	// Repositories are the app's images by environment, for those that have a registry
	// of their own. Default: Repository.
	Repositories map[string]string `yaml:"repositories"`
	// Environments are where the app runs. Default: every environment.
	Environments []string `yaml:"environments"`
	// Tags narrows which tags are taken of the app: the environment's rule and this one
	// must both take a tag. Default: what the environment takes.
	Tags *Tags `yaml:"tags"`
	// Source is the repository on GitHub that the app's image is built from, as owner/name:
	// it is told what happens to the app's updates. Default: GitHub is not told.
	Source string `yaml:"source"`
	// ArgoCD are the Applications of Argo CD that deploy the app, by environment, each as
	// PROJECT/APPLICATION or PROJECT/NAMESPACE/APPLICATION. Default: they are found by the
	// app's files.
	ArgoCD map[string]string `yaml:"argocd"`
	// Manifests is the name of the manifest repository that has this app's files.
	// Default: the environment's.
	Manifests string `yaml:"manifests"`
	// File overrides the environment's file for this app.
	File string `yaml:"file"`
	// Set overrides the environment's set for this app.
	Set Sets `yaml:"set"`
	// Also overrides the environment's also for this app; an empty list means none.
	Also []Also `yaml:"also"`
}
