package argocdtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Story is what an Application answered, by time.
type Story struct {
	Project, Namespace, Name string
	Frames                   []Frame // in the order of their times

	// WaitsForRefresh: a frame that was recorded with a refresh, and all after it, come only
	// when a refresh is asked for, and from then on.
	WaitsForRefresh bool
	// HangsFrom and HangsUntil, since the beginning, are when refreshes hang: the controller
	// was down.
	HangsFrom, HangsUntil time.Duration
}

// Frame is one answer. It counts until the next of the same path.
type Frame struct {
	At      time.Duration // since the beginning
	Path    string        // below the Application's: "" is itself, "resource-tree" ...
	Refresh bool
	Status  int
	Body    json.RawMessage
}

// Play has an Application answer with a story, which begins now.
func (s *Server) Play(story Story) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projects[story.Project] = append(s.projects[story.Project], story.Namespace)
	s.applications[key{story.Namespace, story.Name}] = &played{story: story, server: s, began: s.now()}
}

// played is a story that is being played.
type played struct {
	story     Story
	server    *Server
	began     time.Time
	refreshed bool // the wait for a refresh is over
}

func (p *played) project() string { return p.story.Project }

// at is how much of the story has passed.
func (p *played) at() time.Duration { return p.server.now().Sub(p.began) }

// waitsAt is when the story waits for a refresh; ok is false when it does not.
func (p *played) waitsAt() (at time.Duration, ok bool) {
	for _, f := range p.story.Frames {
		if p.story.WaitsForRefresh && !p.refreshed && f.Refresh {
			return f.At, true
		}
	}
	return 0, false
}

// answer is the latest frame of a path.
func (p *played) answer(below string, query map[string]string) (int, any) {
	if at, waits := p.waitsAt(); waits && query["refresh"] != "" {
		p.began, p.refreshed = p.server.now().Add(-at), true
	}
	until := p.at()
	if at, waits := p.waitsAt(); waits {
		until = min(until, at-1)
	}
	status, body := http.StatusNotFound, any(nil)
	found := false
	for _, f := range p.story.Frames {
		if f.Path != below || f.At > until && found {
			continue
		}
		// What was seen first was so before: a story begins in its middle.
		status, body, found = f.Status, f.Body, true
	}
	if !found && below != "" {
		status, body = http.StatusOK, p.derived(below, until)
	}
	return status, body
}

// derived is what was not recorded, as the Application implies it.
func (p *played) derived(below string, until time.Duration) any {
	var app struct {
		Status struct {
			Health  map[string]any `json:"health"`
			Summary struct {
				Images []string `json:"images"`
			} `json:"summary"`
		} `json:"status"`
	}
	for _, f := range p.story.Frames {
		if f.Path == "" && (f.At <= until || app.Status.Health == nil) {
			_ = json.Unmarshal(f.Body, &app) // what is no Application implies nothing
		}
	}
	switch below {
	case "resource-tree":
		nodes := []any{}
		for i, image := range app.Status.Summary.Images {
			nodes = append(nodes, map[string]any{
				"version": "v1", "kind": "Pod", "namespace": p.story.Name, "name": fmt.Sprintf("%s-%d", p.story.Name, i), "uid": fmt.Sprintf("pod-%d", i),
				"images": []string{image}, "health": app.Status.Health,
			})
		}
		return map[string]any{"nodes": nodes}
	case "syncwindows":
		return map[string]any{"canSync": true}
	}
	return map[string]any{}
}

// comparing implements application: refreshes of a story answer at once, but for those that
// hang.
func (p *played) comparing() <-chan struct{} {
	if at := p.at(); at < p.story.HangsFrom || at >= p.story.HangsUntil {
		return nil
	}
	until := make(chan struct{})
	time.AfterFunc(p.story.HangsUntil-p.at(), func() { close(until) })
	return until
}
