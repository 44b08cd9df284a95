package server

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
)

// suspects is a store that has some.
type suspects []gitops.Suspect

func (s suspects) Suspects(context.Context) ([]gitops.Suspect, error) {
	if s == nil {
		return nil, gitops.Errorf(gitops.Unavailable, "the store is away")
	}
	return s, nil
}

// What a process died of once is not set aside; without the store nothing is said.
func TestSetAsideIsCounted(t *testing.T) {
	file := gitops.ParsedObject{Object: "a", Kind: gitops.ParsedFile, Path: "a.yaml"}
	for _, c := range []struct {
		store suspects
		want  map[string]float64
	}{
		{suspects{{ParsedObject: file, Deaths: 1}, {ParsedObject: file, Deaths: 2}}, map[string]float64{
			`tallyman_files_set_aside{kind="file"}`: 1, `tallyman_files_set_aside{kind="past"}`: 0, `tallyman_files_set_aside{kind="pack"}`: 0,
		}},
		{nil, map[string]float64{}},
	} {
		registry := prometheus.NewRegistry()
		registry.MustRegister(setAsides{c.store, slog.New(slog.DiscardHandler)})
		if diff := cmp.Diff(c.want, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
			t.Error(diff)
		}
	}
}
