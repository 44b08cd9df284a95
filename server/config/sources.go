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
}

// SNS is Amazon SNS with a subscription over HTTPS. It signs what it sends, so
// there is no secret.
type SNS struct {
	// Topics are the ARNs of the topics that are listened to; a subscription of one
	// of them is confirmed by itself. Required.
	Topics []string `yaml:"topics"`
}

// API is how callers of /api/v1 are authenticated.
type API struct {
	// Tokens are bearer tokens.
	Tokens []Token `yaml:"tokens"`
	// OIDC authenticates jobs of GitHub Actions by the token that GitHub signs for
	// them, without a stored secret.
	OIDC *OIDC `yaml:"oidc"`
}

// OIDC says whose jobs are authenticated.
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
}

// Token is a bearer token of the API.
type Token struct {
	// Name says whose it is, in access, in the log and in what it orders: a name as
	// those of apps. While a token is replaced, two entries have the same name.
	// Required.
	Name string `yaml:"name"`
	// File holds the token, of at least 20 characters. It is read again for each
	// request. Required.
	File string `yaml:"file"`
	// Expires is when the token stops being valid: a date, at whose start in UTC it
	// ends, or an RFC 3339 time, in quotes. Default: never.
	Expires string `yaml:"expires"`
}

// Expiry is [Token.Expires] as a time; zero is never. The second result is false
// when it is neither a date nor a time.
func (t Token) Expiry() (time.Time, bool) {
	if t.Expires == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, t.Expires); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}
