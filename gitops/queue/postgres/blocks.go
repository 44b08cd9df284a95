package postgres

import (
	"encoding/json"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// storedBlocks are blocks as the tables hold them.
func storedBlocks(blocks []gitops.Block) []gitops.Block {
	stored := make([]gitops.Block, len(blocks))
	for i, b := range blocks {
		stored[i] = gitops.Block{Kind: clean(b.Kind), Reason: clean(b.Reason), Since: rounded(b.Since), Until: rounded(b.Until)}
	}
	return stored
}

// readBlocks are those of stored blocks that have not lifted.
func readBlocks(text []byte, now time.Time) (blocks []gitops.Block, err error) {
	if string(text) == "[]" {
		return nil, nil
	}
	var all []gitops.Block
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.Until.IsZero() || b.Until.After(now) {
			b.Since = b.Since.UTC()
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}

// storedTerms are terms as the tables hold them, sharing nothing with t.
func storedTerms(t *gitops.Terms) *gitops.Terms {
	if t == nil {
		return nil
	}
	kept := gitops.Terms{Reason: clean(t.Reason), Override: clean(t.Override), RollsBack: clean(t.RollsBack), Reverts: clean(t.Reverts), PinUntil: rounded(t.PinUntil)}
	for _, kind := range t.Passes {
		kept.Passes = append(kept.Passes, clean(kind))
	}
	return &kept
}

// readTerms are stored terms; nil where there are none.
func readTerms(text []byte) (*gitops.Terms, error) {
	if text == nil {
		return nil, nil
	}
	t := new(gitops.Terms)
	return t, json.Unmarshal(text, t)
}

// termsArg are terms as the tables hold them, in the form of JSON; nil for none.
func termsArg(t *gitops.Terms) (*string, error) {
	if t == nil {
		return nil, nil
	}
	text, err := json.Marshal(storedTerms(t))
	stored := string(text)
	return &stored, err
}
