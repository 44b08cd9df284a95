package postgres

import (
	"encoding/json"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// proposalArg is what is known of an update's pull request, as the function report takes it.
type proposalArg struct {
	Update   string          `json:"update"`
	Proposal gitops.Proposal `json:"proposal"`
	OpenedAt *time.Time      `json:"opened_at"`
}

func proposalArgs(known []queue.Proposed) []proposalArg {
	args := make([]proposalArg, len(known))
	for i, k := range known {
		p := storedProposal(k.Proposal)
		args[i] = proposalArg{clean(k.Update), p, stored(p.OpenedAt)}
	}
	return args
}

// storedProposal is a proposal as the tables hold it.
func storedProposal(p gitops.Proposal) gitops.Proposal {
	p = queue.KeptProposal(p)
	p.URL, p.Head, p.EndedBy = clean(p.URL), clean(p.Head), clean(p.EndedBy)
	for i, sentence := range p.WaitsFor {
		p.WaitsFor[i] = clean(sentence)
	}
	return p
}

// proposalColumns are the columns of a proposal; nil for none.
func proposalColumns(p *gitops.Proposal) (text *string, openedAt *time.Time, err error) {
	if p == nil {
		return nil, nil, nil
	}
	kept := storedProposal(*p)
	b, err := json.Marshal(kept)
	column := string(b)
	return &column, stored(kept.OpenedAt), err
}

// readProposal is a stored proposal; nil where it does not exist.
func readProposal(text []byte) (*gitops.Proposal, error) {
	if text == nil {
		return nil, nil
	}
	p := new(gitops.Proposal)
	return p, json.Unmarshal(text, p)
}

// closedRow is what the function closed_before returns.
type closedRow struct {
	Update string    `json:"update"`
	By     string    `json:"by"`
	URL    string    `json:"url"`
	At     time.Time `json:"at"`
}

func (c *closedRow) closedBefore() *gitops.ClosedBefore {
	if c == nil {
		return nil
	}
	return &gitops.ClosedBefore{Update: c.Update, By: c.By, URL: c.URL, At: c.At.UTC()}
}
