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

// Configured records which configuration is in force from now on: at the start, and after
// each reload. An entry is written when it is another than the last one that the store was
// told of, and names what changed. Replicas may each write one.
func (r *Recorder) Configured(c Configuration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Hash = c.Hash
	if len(r.configurations) == maxConfigurations {
		r.configurations = r.configurations[1:] // its changes are among those of the next
	}
	r.configurations = append(r.configurations, c)
	r.wake()
}

// writeConfigurations brings those that wait to the store, in their order.
func (r *Recorder) writeConfigurations(ctx context.Context, store Store) error {
	for {
		r.mu.Lock()
		waiting := slices.Clone(r.configurations)
		r.mu.Unlock()
		if len(waiting) == 0 {
			return nil
		}
		if err := r.writeConfiguration(ctx, store, waiting[0]); err != nil {
			return err
		}
		r.mu.Lock()
		if r.configurations[0].Hash == waiting[0].Hash { // it may have made room meanwhile
			r.configurations = r.configurations[1:]
		}
		r.mu.Unlock()
	}
}

func (r *Recorder) writeConfiguration(ctx context.Context, store Store, now Configuration) error {
	ctx, cancel := context.WithTimeout(ctx, appendWithin)
	defer cancel()
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
	entry := gitops.AuditEntry{Act: gitops.ActConfig, At: r.Now(), Reason: Changes(before, now), Before: before.Hash, After: now.Hash, Config: now.Hash}
	// The entry first: a crash between the two writes it twice, and never not at all.
	if err := store.AppendAudit(ctx, []gitops.AuditEntry{entry}); err != nil {
		return err
	}
	return store.SetCheckpoint(ctx, checkpoint, string(kept))
}

// Changes names the parts that are new, gone or another; "" when none are.
func Changes(before, now Configuration) string {
	if len(before.Parts) == 0 {
		return "the first configuration that this store knows"
	}
	all := maps.Clone(before.Parts)
	maps.Copy(all, now.Parts)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		_, was := before.Parts[name]
		switch hash, is := now.Parts[name]; {
		case !was:
			names = append(names, name+" added")
		case !is:
			names = append(names, name+" removed")
		case hash != before.Parts[name]:
			names = append(names, name+" changed")
		}
	}
	return strings.Join(names, ", ")
}
