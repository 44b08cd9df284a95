package gitops

import "time"

// Act is what an [AuditEntry] records. The set is closed.
type Act string

const (
	ActOrder    Act = "order"    // an update was accepted
	ActRetry    Act = "retry"    // a person's decision, as those below
	ActCancel   Act = "cancel"   //
	ActDismiss  Act = "dismiss"  //
	ActRefuse   Act = "refuse"   // an authenticated principal asked for what it may not do
	ActHold     Act = "hold"     // a hold was placed
	ActLift     Act = "lift"     // a hold was lifted, or replaced by another
	ActRollback Act = "rollback" // a person, or tallyman itself, went back to an earlier tag
	ActOverride Act = "override" // a person's order passed what held it
	ActReport   Act = "report"   // somebody said where an update stands in the cluster
	ActClear    Act = "clear"    // a person wants a file parsed again that was set aside
	ActConfig   Act = "config"   // the program started with another configuration than the last time
	ActSecret   Act = "secret"   // a secret in a file was replaced
)

// Acts lists every [Act].
func Acts() []Act {
	return []Act{ActOrder, ActRetry, ActCancel, ActDismiss, ActHold, ActLift, ActRollback, ActOverride, ActReport, ActClear, ActRefuse, ActConfig, ActSecret}
}

// AuditEntry is one line of the audit: who did what, by which credential and rule.
// Entries are only ever added. Its JSON form is the API's.
type AuditEntry struct {
	Sequence    int64     `json:"sequence"` // rises with each entry
	At          time.Time `json:"at"`       // UTC
	Act         Act       `json:"act"`
	Principal   string    `json:"principal,omitempty"`  // [Principal.ID]; empty for the program itself
	Actor       string    `json:"actor,omitempty"`      // [Principal.Actor]
	Credential  string    `json:"credential,omitempty"` // never the secret
	Remote      string    `json:"remote,omitempty"`     // the address that it came from
	Right       Right     `json:"right,omitempty"`
	Rule        string    `json:"rule,omitempty"` // the access rule that allowed it
	Environment string    `json:"environment,omitempty"`
	App         string    `json:"app,omitempty"`
	Update      string    `json:"update,omitempty"`   // its id
	Delivery    string    `json:"delivery,omitempty"` // source/id
	Reason      string    `json:"reason,omitempty"`   // the person's, or why it was refused
	Before      string    `json:"before,omitempty"`   // what the act changed, as one line
	After       string    `json:"after,omitempty"`
	Config      string    `json:"config,omitempty"` // hash of the configuration in force
}
