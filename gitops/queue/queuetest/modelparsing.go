package queuetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// noted is what a process is parsing.
type noted struct{ object, holder string }

type note struct {
	gitops.ParsedObject
	at   time.Time
	dead bool // its process is known to be
}

// countDeaths makes suspects of what dead processes were parsing: a death for each
// process.
func (m *Model) countDeaths() {
	keys := slices.SortedFunc(maps.Keys(m.parsing), func(a, b noted) int {
		return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.holder, b.holder)) // the last holder's note is kept
	})
	for _, key := range keys {
		if n := m.parsing[key]; n.dead {
			delete(m.parsing, key)
			deaths := m.suspects[key.object].Deaths + 1
			m.suspects[key.object] = gitops.Suspect{ParsedObject: n.ParsedObject, Holder: key.holder, At: n.at, Deaths: deaths}
		}
	}
}

// BeginParsing implements [queue.Parsing].
func (m *Model) BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) (left []gitops.Suspect, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	m.countDeaths()
	for _, o := range objects {
		if s, suspect := m.suspects[o.Object]; suspect && s.Deaths >= deaths {
			left = append(left, s)
			continue
		}
		m.parsing[noted{o.Object, holder}] = note{ParsedObject: o, at: m.now()}
	}
	return left, nil
}

// EndParsing implements [queue.Parsing].
func (m *Model) EndParsing(ctx context.Context, holder string, objects []string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, object := range objects {
		delete(m.parsing, noted{object, holder})
		delete(m.suspects, object)
	}
	return nil
}

// Suspects implements [queue.Parsing].
func (m *Model) Suspects(ctx context.Context) ([]gitops.Suspect, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	m.countDeaths()
	return slices.SortedFunc(maps.Values(m.suspects), func(a, b gitops.Suspect) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Object, b.Object))
	}), nil
}

// ClearSuspect implements [queue.Parsing].
func (m *Model) ClearSuspect(ctx context.Context, object string, by gitops.AuditEntry) (gitops.Suspect, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Suspect{}, err
	}
	defer m.mu.Unlock()
	m.countDeaths()
	s, suspect := m.suspects[object]
	if !suspect {
		return s, queue.ErrNoSuspect(object)
	}
	delete(m.suspects, object)
	m.record(queue.ClearEntry(s, by))
	return s, nil
}
