package argocdtest

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// App is an Application of the live model. A test changes it through its [Model].
type App struct {
	Project   string
	Namespace string // default: Argo CD's own
	Name      string

	Sources []Source
	Ours    int // the index in Sources of the one whose branch moves
	Image   string
	Digests map[string]string // by tag, of what the pods run; default: one that is made of the tag
	Kind    string            // of the workload: Deployment, which is the default, or Rollout

	Revision, Tag string // that it runs in the beginning, synced and healthy

	// Git reads the branch's tip, and the tag that the file there has, whenever something
	// asks about the Application. Default: what was pushed last.
	Git func() (revision, tag string)

	Behaviour
}

// Source is one of an Application's.
type Source struct {
	RepoURL, Path, TargetRevision, Ref string
	ValueFiles                         []string
}

// Behaviour is what an Application does, and what befalls it. Durations that are 0 are the
// defaults.
type Behaviour struct {
	WebhookLost bool          // pushes are noticed by a refresh or a poll alone
	Webhook     time.Duration // from a push until it is noticed; default 300 ms
	Poll        time.Duration // how often it is compared without a reason; default 3 minutes
	Compare     time.Duration // how long a comparison takes; a refresh in it is lost with it; default: no time
	Sync        time.Duration // how long a sync takes; default 250 ms
	Rollout     time.Duration // from the sync until the pods are ready; default 2 s

	Manual       bool   // nothing is synced by itself
	WindowClosed bool   // nothing may be synced
	SyncFails    string // with this message
	SyncHangs    bool   // a sync never ends, and no other begins
	// PostSync is how long a hook runs after the objects were applied, and HookFails with which
	// message it ends; default: none runs.
	PostSync     time.Duration
	HookFails    string
	Unrenderable string // comparisons fail with this message
	PodsFail     string // the new pods never become ready, for this reason
	// Degraded is from the sync until pods that fail are called so; default 10 minutes.
	Degraded     time.Duration
	Pauses       bool   // a Rollout stops half way until Promote or Abort
	OverridesTag string // the Application sets another tag than git
	NoReplicas   bool   // there are no pods
}

// Model is an Application that runs. Safe for concurrent use.
type Model struct {
	server *Server
	app    App
	steps  []step            // that are to come, in the order of their times
	tags   map[string]string // by revision
	tip    string
	status status
	busy   *comparison // under way, or the latest
	polled time.Time
	tried  string // the revision of the latest sync by itself
}

// step is something that will happen.
type step struct {
	at time.Time
	do func(at time.Time)
}

// Add has an Application be there.
func (s *Server) Add(app App) *Model {
	s.mu.Lock()
	defer s.mu.Unlock()
	app.Namespace, app.Kind = cmp.Or(app.Namespace, Namespace), cmp.Or(app.Kind, "Deployment")
	now := s.now()
	m := &Model{server: s, app: app, tip: app.Revision, tags: map[string]string{app.Revision: app.Tag}, polled: now}
	m.status = status{
		sync: "Synced", revision: app.Revision, health: "Healthy", reconciled: now, live: app.Tag, runs: []string{app.Tag}, history: []string{app.Revision},
		operation: operation{phase: "Succeeded", message: synced, revision: app.Revision, result: app.Revision, started: now, finished: now},
	}
	s.projects[app.Project] = append(s.projects[app.Project], Namespace)
	s.applications[key{app.Namespace, app.Name}] = m
	return m
}

// Push moves the branch.
func (m *Model) Push(revision, tag string) {
	m.do(func(now time.Time) { m.pushed(now, revision, tag) })
}

// Change changes what the Application does from now on.
func (m *Model) Change(how func(*Behaviour)) {
	m.do(func(time.Time) { how(&m.app.Behaviour) })
}

// SyncNow is a person's sync of what was compared last.
func (m *Model) SyncNow() {
	m.do(func(now time.Time) { m.operate(now, m.status.revision) })
}

// Promote lets a Rollout that is paused go on.
func (m *Model) Promote() {
	m.do(func(now time.Time) { m.ready(now, m.status.live) })
}

// Abort ends a Rollout that is paused: the old pods stay.
func (m *Model) Abort() {
	m.do(func(time.Time) {
		m.status.health, m.status.reason = "Degraded", "RolloutAborted: Rollout aborted update to revision 2"
		m.status.runs = m.status.runs[:1]
	})
}

// BeginDelete sets the deletionTimestamp. [Server.Delete] takes the Application away.
func (m *Model) BeginDelete() {
	m.do(func(now time.Time) { m.status.deleting = now })
}

// do has something happen now, after all that was to happen before.
func (m *Model) do(what func(now time.Time)) {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	what(m.catchUp())
}

// catchUp has everything happen that was to happen until now. The server's lock is held.
func (m *Model) catchUp() time.Time {
	now := m.server.now()
	if m.app.Git != nil {
		if revision, tag := m.app.Git(); revision != m.tip {
			m.pushed(now, revision, tag)
		}
	}
	if !m.server.controllerRuns() {
		return now
	}
	for {
		poll := m.polled.Add(cmp.Or(m.app.Poll, 3*time.Minute))
		due := len(m.steps) > 0 && !m.steps[0].at.After(now)
		if !poll.After(now) && (!due || poll.Before(m.steps[0].at)) {
			m.polled = poll
			m.compare(poll)
			continue
		}
		if !due {
			return now
		}
		next := m.steps[0]
		m.steps = m.steps[1:]
		next.do(next.at)
	}
}

// later has something happen at a time.
func (m *Model) later(at time.Time, do func(at time.Time)) {
	i, _ := slices.BinarySearchFunc(m.steps, at, func(s step, at time.Time) int {
		if s.at.After(at) {
			return 1
		}
		return -1 // behind those of the same time
	})
	m.steps = slices.Insert(m.steps, i, step{at, do})
}

// pushed is a push, and its webhook.
func (m *Model) pushed(now time.Time, revision, tag string) {
	m.tip, m.tags[revision] = revision, tag
	if !m.app.WebhookLost {
		m.later(now.Add(cmp.Or(m.app.Webhook, 300*time.Millisecond)), func(at time.Time) { m.compare(at) })
	}
}

func (m *Model) project() string { return m.app.Project }

// answer implements application.
func (m *Model) answer(below string, query map[string]string) (int, any) {
	m.catchUp()
	switch below {
	case "":
		return http.StatusOK, m.body()
	case "resource-tree":
		return http.StatusOK, map[string]any{"nodes": m.nodes()}
	case "managed-resources":
		return http.StatusOK, map[string]any{"items": []any{m.managed()}}
	case "resource":
		manifest, ok := m.live(query["kind"], query["resourceName"])
		if !ok {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, map[string]any{"manifest": manifest}
	}
	return http.StatusOK, map[string]any{"canSync": !m.app.WindowClosed}
}
