package config

import "time"

// Sources are the senders.
type Sources struct {
	// GitHub takes the webhooks of a GitHub App at /webhooks/github.
	GitHub *GitHub `yaml:"github"`
	// EventBridge takes ECR events at /webhooks/ecr.
	EventBridge *EventBridge `yaml:"eventbridge"`
	// SNS takes ECR events at /webhooks/sns.
	SNS *SNS `yaml:"sns"`
}

// GitHub is a GitHub App's webhook.
type GitHub struct {
	// SecretFiles each hold a webhook secret; a signature by any of them is good,
	// so that one can be replaced without losing a delivery. They are read again
	// when they change. Required.
	SecretFiles []string `yaml:"secretFiles"`
	// EventTypes are the event_types of a repository_dispatch that order an
	// update. Default [update-image].
	EventTypes []string `yaml:"eventTypes"`
	// Allow says which dispatches may order what: one that none of these lets is
	// refused. Default: every dispatch may order everything.
	Allow []Dispatch `yaml:"allow"`
}

// Dispatch is what the dispatches of one repository may order. Everything that it
// names must hold.
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
	// Apps are what may be ordered; "*" is all. Required.
	Apps []string `yaml:"apps"`
	// Environments are where it may be ordered. Required.
	Environments []string `yaml:"environments"`
}

// EventBridge is an EventBridge API destination.
type EventBridge struct {
	// Auth is how its connection authenticates: apiKey, basic or oauth. Default
	// apiKey. With oauth its tokens are given at /webhooks/ecr/token.
	Auth string `yaml:"auth"`
	// Header is the header that carries the secret of apiKey. Default
	// "X-Tallyman-Key".
	Header string `yaml:"header"`
	// Username is the user of basic, and the client's id of oauth. Default
	// "tallyman".
	Username string `yaml:"username"`
	// SecretFiles each hold a value that the header may have, a password, or a
	// client's secret. They are read again when they change. Required.
	SecretFiles []string `yaml:"secretFiles"`
	// Accounts are the AWS accounts whose events count. Default: all.
	Accounts []string `yaml:"accounts"`
	// Regions are the AWS regions whose events count. Default: all.
	Regions []string `yaml:"regions"`
}

// SNS is Amazon SNS with a subscription over HTTPS. It signs what it sends, so
// there is no secret.
type SNS struct {
	// Topics are the ARNs of the topics that are listened to; a subscription of one
	// of them is confirmed by itself. Required.
	Topics []string `yaml:"topics"`
	// Accounts are the AWS accounts whose events count. Default: all.
	Accounts []string `yaml:"accounts"`
	// Regions are the AWS regions whose events count. Default: all.
	Regions []string `yaml:"regions"`
}

// API is who may use /api/v1.
type API struct {
	// Tokens are bearer tokens, each for one who asks.
	Tokens []Token `yaml:"tokens"`
	// OIDC lets jobs of GitHub Actions order updates with the token that GitHub
	// signs for them, without a stored secret.
	OIDC *OIDC `yaml:"oidc"`
}

// OIDC says whose jobs are authenticated, and what they may order.
type OIDC struct {
	// Audience is what a job names when it asks for its token: a URL of yours that no
	// other service uses. Required.
	Audience string `yaml:"audience"`
	// Issuers are those whose tokens are accepted, exactly as in their iss claim.
	// Default [https://token.actions.githubusercontent.com], which is github.com's.
	Issuers []string `yaml:"issuers"`
	// MaxAge is how long after it was made a token is taken, whatever its own end.
	// Default 10m.
	MaxAge time.Duration `yaml:"maxAge"`
	// CAFile holds certificates in PEM that are trusted besides the system's, for the
	// issuers. It is read when the program starts.
	CAFile string `yaml:"caFile"`
	// Rules say which jobs may order what: one that none of these lets may order
	// nothing. Required.
	Rules []Job `yaml:"rules"`
}

// Job is what the jobs of one repository may order. Everything that it names must
// hold.
type Job struct {
	// Issuer is whose numbers the two ids are. Required where there is more than one
	// issuer.
	Issuer string `yaml:"issuer"`
	// Repository is owner/name, for people: what counts are the numbers. Required.
	Repository string `yaml:"repository"`
	// RepositoryID is the repository's number, which GitHub never gives out again.
	// Required.
	RepositoryID int64 `yaml:"repositoryID"`
	// OwnerID is the number of the repository's owner. Required.
	OwnerID int64 `yaml:"ownerID"`
	// Refs are patterns of the branches and tags that the job may run on, such as
	// refs/heads/main and refs/tags/v*. Required without githubEnvironment.
	Refs []string `yaml:"refs"`
	// GitHubEnvironment is the GitHub environment that the job must run in, so that
	// its required reviewers stand before the order.
	GitHubEnvironment string `yaml:"githubEnvironment"`
	// Workflows are those that the job may belong to, by path, as in
	// .github/workflows/release.yml, or reusable ones that it may stand in, as in
	// OWNER/NAME/.github/workflows/FILE@REF. Default: all.
	Workflows []string `yaml:"workflows"`
	// Events are what may have started the workflow; those of pull requests never
	// may. Default [push, workflow_dispatch, release].
	Events []string `yaml:"events"`
	// Apps are what may be ordered; "*" is all. Required.
	Apps []string `yaml:"apps"`
	// Environments are where it may be ordered. Required.
	Environments []string `yaml:"environments"`
}

// Token is a bearer token of the API.
type Token struct {
	// Name says whose it is, in the log and in what it orders: a name as those of
	// apps. Required.
	Name string `yaml:"name"`
	// File holds the token, of at least 20 characters. It is read again for each
	// request. Required.
	File string `yaml:"file"`
	// Can are its rights: read, order, retry and cancel. Default [read].
	Can []string `yaml:"can"`
	// Environments are where it may order, retry and cancel. Default: every
	// environment.
	Environments []string `yaml:"environments"`
	// Apps are what it may order, retry and cancel. Default: every app.
	Apps []string `yaml:"apps"`
}
