package audit

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkpoint is the name under which the store keeps the last configuration.
const checkpoint = "audit/configuration"

// Configuration is a configuration by the hashes of its parts: "access[2]",
// "environments.prod", "manifests". What the parts say is not kept.
type Configuration struct {
	Hash  string            `json:"hash"`
	Parts map[string]string `json:"parts"`
}

// Started writes an entry when the configuration is another than the last time that the
// store was told of one. It names what changed. Replicas that start together may each
// write one.
func (r *Recorder) Started(ctx context.Context, store Store, now Configuration) error {
	text, err := store.Checkpoint(ctx, checkpoint)
	if err != nil {
		return err
	}
	var before Configuration
	if err := json.Unmarshal([]byte(text), &before); err != nil {
		before = Configuration{} // there was none, or it is of another version
	}
	if before.Hash == now.Hash {
		return nil
	}
	kept, err := json.Marshal(now)
	if err != nil {
		return err
	}
	entry := gitops.AuditEntry{Act: gitops.ActConfig, At: r.Now(), Reason: changes(before.Parts, now.Parts), Before: before.Hash, After: now.Hash, Config: now.Hash}
	// The entry first: a crash between the two writes it twice, and never not at all.
	if err := store.AppendAudit(ctx, []gitops.AuditEntry{entry}); err != nil {
		return err
	}
	return store.SetCheckpoint(ctx, checkpoint, string(kept))
}

// changes names the parts that are new, gone or another.
func changes(before, now map[string]string) string {
	if len(before) == 0 {
		return "the first configuration that this store knows"
	}
	all := maps.Clone(before)
	maps.Copy(all, now)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		_, was := before[name]
		switch hash, is := now[name]; {
		case !was:
			names = append(names, name+" added")
		case !is:
			names = append(names, name+" removed")
		case hash != before[name]:
			names = append(names, name+" changed")
		}
	}
	return strings.Join(names, ", ")
}
