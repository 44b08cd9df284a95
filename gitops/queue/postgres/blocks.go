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
