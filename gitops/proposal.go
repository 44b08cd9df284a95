package gitops

import (
	"slices"
	"time"
)

// Proposal is the pull request of one app in one environment, as far as it concerns one
// update. Its JSON form is the API's.
type Proposal struct {
	Number   int       `json:"number"`
	URL      string    `json:"url"`      // of its page, for people
	Head     string    `json:"head"`     // hexadecimal name of the commit that has the update
	OpenedAt time.Time `json:"openedAt"` // UTC, by the forge's clock
	// WaitsFor says what keeps it from being merged, while it is open: sentences.
	WaitsFor []string `json:"waitsFor,omitempty"`
	// EndedBy is who merged or closed it, as the forge calls them; "" while it is open, and
	// where the forge does not say.
	EndedBy string    `json:"endedBy,omitempty"`
	EndedAt time.Time `json:"endedAt,omitzero"` // UTC, by the forge's clock
}

// Equal reports whether both say the same.
func (p Proposal) Equal(q Proposal) bool {
	return p.Number == q.Number && p.URL == q.URL && p.Head == q.Head && p.OpenedAt.Equal(q.OpenedAt) &&
		slices.Equal(p.WaitsFor, q.WaitsFor) && p.EndedBy == q.EndedBy && p.EndedAt.Equal(q.EndedAt)
}

// ClosedBefore says that a person has closed a proposal of the same tag of an app in an
// environment before.
type ClosedBefore struct {
	Update string // the id of the update that it was the proposal of
	By     string // who closed it; "" where the forge did not say
	URL    string
	At     time.Time // UTC; when that was reported
}

// ProposalWish is what a lane wants of the proposal of one app in its environment, in the
// place of what it wanted of it before.
type ProposalWish struct {
	// Update is to be proposed, or is proposed already. It is the newest open one of its app
	// that may be written.
	Update Update
	// Expected is as in [WriteTask].
	Expected string
	// Held is what holds the update now: its proposal is not merged by tallyman and says
	// what holds it. An update that is not proposed yet comes only when nothing holds it.
	Held []Block
	// Close is why the update's proposal is to be closed, or not to be opened, as a
	// sentence; "" where it is wanted.
	Close string
}

// ProposalResult is what is known of an update's proposal. What is zero says nothing.
type ProposalResult struct {
	Update string // its id
	// Transition is propose when its pull request is open, and afterwards commit when it was
	// merged, close when a person closed it, cancel when it was closed as the wish said;
	// confirm, supersede and fail are as of a [WriteResult].
	Transition *Transition
	// Blocked is what keeps an update that is pending from being proposed, of kind
	// [BlockProposal]; it lifts when it is tried again.
	Blocked *Block
	// HandEdit says that its file has a tag that was put there by hand: see [WriteResult].
	HandEdit *HandEdit
	// Proposal is what is known of the pull request; nil when that is as before.
	Proposal *Proposal
}
