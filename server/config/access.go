package config

// Access allows something. Everything that it names must hold.
type Access struct {
	// Who is allowed it: exactly one of push, dispatch, job, token, poll and revert. Required.
	Who Who `yaml:"who"`
	// May are the rights: order for push, dispatch and poll; order, read and report for a
	// job; rollback for revert; read, order, retry, cancel, rollback, hold, stop, override
	// and report for a token. Required.
	May []string `yaml:"may"`
	// Apps are the apps that it reaches; "*" is all. Required but for a token, where
	// the default is all.
	Apps []string `yaml:"apps"`
	// Environments are those that it reaches; "*" is all. Required but for a token,
	// where the default is all.
	Environments []string `yaml:"environments"`
}

// Who is one kind of principal.
type Who struct {
	// Push is the events of a registry.
	Push *Push `yaml:"push"`
	// Dispatch is the dispatches of a GitHub repository.
	Dispatch *Dispatch `yaml:"dispatch"`
	// Job is the jobs of GitHub Actions of a repository.
	Job *Job `yaml:"job"`
	// Token is a name in api.tokens.
	Token string `yaml:"token"`
	// Poll is what tallyman finds in registries, where an environment has image.poll.
	Poll *PollAccess `yaml:"poll"`
	// Revert is tallyman itself, which goes back from what failed, where an environment has
	// rollout.revert; {} is all that there is to say.
	Revert *RevertAccess `yaml:"revert"`
}

// Push is the events of a registry.
type Push struct {
	// Source is eventbridge or sns. Required.
	Source string `yaml:"source"`
	// Accounts are the AWS accounts that the image was pushed in. Default: any.
	Accounts []string `yaml:"accounts"`
	// Regions are the AWS regions that the image was pushed in. Default: any.
	Regions []string `yaml:"regions"`
	// Topics are ARNs of sources.sns.topics that it came by. Default: any of them.
	Topics []string `yaml:"topics"`
}

// PollAccess is what tallyman finds in registries.
type PollAccess struct {
	// Registries are their hosts, as the names of images begin with them: ghcr.io,
	// registry.example.com:5000. Required.
	Registries []string `yaml:"registries"`
}

// RevertAccess is tallyman itself, which goes back from what failed. It has no fields.
type RevertAccess struct{}

// Dispatch is the dispatches of one GitHub repository.
type Dispatch struct {
	// Repository is owner/name, for people: what counts is the number. Required.
	Repository string `yaml:"repository"`
	// RepositoryID is the repository's number, which GitHub never gives out again.
	// Required.
	RepositoryID int64 `yaml:"repositoryID"`
	// InstallationID is the number of the App's installation on it. Default: any.
	InstallationID int64 `yaml:"installationID"`
	// Senders are the logins of who may dispatch. Default: whoever may write the
	// repository.
	Senders []string `yaml:"senders"`
	// SenderIDs are the numbers of who may dispatch, which GitHub never gives out
	// again. Default: any.
	SenderIDs []int64 `yaml:"senderIDs"`
}

// Job is the jobs of GitHub Actions of one repository.
type Job struct {
	// Issuer is whose numbers the ids are. Required where api.oidc has more than one.
	Issuer string `yaml:"issuer"`
	// Repository is owner/name, for people: what counts are the numbers. Required.
	Repository string `yaml:"repository"`
	// RepositoryID is the repository's number, which GitHub never gives out again.
	// Required.
	RepositoryID int64 `yaml:"repositoryID"`
	// OwnerID is the number of the repository's owner. Required.
	OwnerID int64 `yaml:"ownerID"`
	// Refs are patterns of the branches and tags that the job may run on, such as
	// refs/heads/main and refs/tags/v*, where * is anything but a slash. Required.
	Refs []string `yaml:"refs"`
	// RefProtected demands that a branch protection or a ruleset covers the ref.
	// Default false.
	RefProtected bool `yaml:"refProtected"`
	// GitHubEnvironment is the GitHub environment that the job must run in, so that
	// its protection rules, such as required reviewers, stand before the order.
	// Default: any, or none.
	GitHubEnvironment string `yaml:"githubEnvironment"`
	// Workflows are the workflows that were started, by path, as in
	// .github/workflows/release.yml. Default: any.
	Workflows []string `yaml:"workflows"`
	// JobWorkflows are the files that the job must be in, as reusable workflows are.
	// Default: any.
	JobWorkflows []JobWorkflow `yaml:"jobWorkflows"`
	// Events are what may have started the workflow; those of pull requests never
	// may. Default [push, workflow_dispatch, release].
	Events []string `yaml:"events"`
	// RunnerEnvironment is github-hosted or self-hosted. Default: either.
	RunnerEnvironment string `yaml:"runnerEnvironment"`
	// ActorIDs are the numbers of who may have started the run. Default: anybody's.
	ActorIDs []int64 `yaml:"actorIDs"`
}

// JobWorkflow is a file that a job is in.
type JobWorkflow struct {
	// Ref is OWNER/NAME/.github/workflows/FILE@REF. Required.
	Ref string `yaml:"ref"`
	// SHA is the commit that the file must be of. Default: any.
	SHA string `yaml:"sha"`
}
