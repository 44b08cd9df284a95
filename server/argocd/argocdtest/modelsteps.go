package argocdtest

import (
	"cmp"
	"slices"
	"time"
)

// status is what Argo CD says of the Application.
type status struct {
	sync, revision string
	health, reason string
	reconciled     time.Time
	condition      string
	operation      operation
	live           string   // the tag that was applied
	runs           []string // the tags that pods have, the old one first
	history        []string // revisions of the syncs
	deleting       time.Time
}

// operation is the last one, or the one that runs.
type operation struct {
	asked             bool   // the Application's own field operation is there
	phase             string // "" while it begins
	message           string
	revision, result  string // that it is to sync, that it synced
	started, finished time.Time
}

const synced = "successfully synced (all tasks run)"

// comparison is one with git.
type comparison struct {
	revision string // the branch's tip when it began
	ends     time.Time
	over     bool
	done     chan struct{}
}

// comparing implements application: a refresh while a comparison is under way is lost with
// it. Otherwise one begins.
func (m *Model) comparing() <-chan struct{} {
	now := m.catchUp()
	if m.busy == nil || m.busy.over {
		m.compare(now)
	}
	if m.busy.over {
		return nil
	}
	// Somebody must look when it is over: models move when they are looked at.
	done := m.busy.done
	time.AfterFunc(m.busy.ends.Sub(now), func() { m.do(func(time.Time) {}) })
	return done
}

// compare begins a comparison, unless one is under way.
func (m *Model) compare(at time.Time) {
	if m.busy != nil && !m.busy.over {
		return
	}
	c := &comparison{revision: m.tip, ends: at.Add(m.app.Compare), done: make(chan struct{})}
	m.busy = c
	end := func(ended time.Time) {
		c.over = true
		close(c.done)
		m.status.reconciled = at // of its beginning
		m.compared(ended, c.revision)
	}
	if m.app.Compare == 0 {
		end(at)
		return
	}
	m.later(c.ends, end)
}

// compared writes what a comparison found, and begins a sync if one is due.
func (m *Model) compared(at time.Time, revision string) {
	s := &m.status
	if m.app.Unrenderable != "" {
		s.sync, s.revision, s.condition = "Unknown", m.app.Sources[m.app.Ours].TargetRevision, m.app.Unrenderable
		return
	}
	s.condition, s.revision = "", revision
	if m.wanted(revision) == s.live {
		s.sync = "Synced"
		return
	}
	s.sync = "OutOfSync"
	if !m.app.Manual && !m.app.WindowClosed && !s.operation.asked && m.tried != revision {
		m.tried = revision
		m.operate(at, revision)
	}
}

// wanted is the tag that the Application is to run at a revision.
func (m *Model) wanted(revision string) string {
	return cmp.Or(m.app.OverridesTag, m.tags[revision])
}

// operate syncs a revision: the old operation vanishes, the new one runs and ends, and only
// then is there another comparison.
func (m *Model) operate(at time.Time, revision string) {
	m.status.operation = operation{asked: true, revision: revision}
	m.later(at.Add(50*time.Millisecond), func(at time.Time) {
		m.status.operation.phase, m.status.operation.started = "Running", at
	})
	m.later(at.Add(cmp.Or(m.app.Sync, 250*time.Millisecond)), func(at time.Time) {
		o := &m.status.operation
		switch {
		case m.app.SyncHangs:
			return
		case m.app.PostSync > 0:
			m.apply(at, revision)
			m.later(at.Add(m.app.PostSync), func(at time.Time) { m.hooked(at, revision) })
			return
		}
		o.asked, o.finished, o.result = false, at, revision
		if m.app.SyncFails != "" {
			o.phase, o.message = "Failed", m.app.SyncFails
			return
		}
		o.phase, o.message = "Succeeded", synced
		m.status.history = append(m.status.history, revision)
		m.apply(at, revision)
	})
}

// hooked is the end of a PostSync hook, and with it of the sync.
func (m *Model) hooked(at time.Time, revision string) {
	o := &m.status.operation
	o.asked, o.finished, o.result = false, at, revision
	o.phase, o.message = "Succeeded", synced
	if m.app.HookFails != "" {
		o.phase, o.message = "Failed", m.app.HookFails
		return
	}
	m.status.history = append(m.status.history, revision)
}

// apply is what a sync did: the status still says OutOfSync and Healthy, of the old pods, until the
// comparison after it.
func (m *Model) apply(at time.Time, revision string) {
	tag := m.wanted(revision)
	m.status.live = tag
	if !slices.Contains(m.status.runs, tag) {
		m.status.runs = append(m.status.runs, tag)
	}
	m.later(at.Add(150*time.Millisecond), func(at time.Time) {
		m.status.health, m.status.reason = "Progressing", "Waiting for rollout to finish"
		m.compared(at, revision)
		if m.tip != revision && !m.app.WebhookLost {
			m.compare(at) // its webhook came meanwhile
		}
	})
	ready := at.Add(cmp.Or(m.app.Rollout, 2*time.Second))
	switch {
	case m.app.Pauses:
		m.later(ready, func(time.Time) {
			m.while(tag, func() { m.status.health, m.status.reason = "Suspended", "CanaryPauseStep" })
		})
	case m.app.PodsFail != "":
		m.later(at.Add(cmp.Or(m.app.Degraded, 10*time.Minute)), func(time.Time) {
			m.while(tag, func() {
				m.status.health, m.status.reason = "Degraded", `Deployment "`+m.app.Name+`" exceeded its progress deadline`
			})
		})
	default:
		m.later(ready, func(at time.Time) { m.ready(at, tag) })
	}
}

// while does something if the tag is still the one that is being rolled out.
func (m *Model) while(tag string, do func()) {
	if m.status.live == tag {
		do()
	}
}

// ready has all pods be of a tag.
func (m *Model) ready(_ time.Time, tag string) {
	m.while(tag, func() {
		m.status.health, m.status.reason, m.status.runs = "Healthy", "", []string{tag}
	})
}
