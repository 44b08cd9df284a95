package githubtest

import (
	"encoding/json"
	"maps"
)

// Event is what GitHub sends to the App's webhook.
type Event struct {
	Name string // X-GitHub-Event
	Body []byte
}

// Events are what GitHub has sent since it was asked last, also for what was pushed
// meanwhile. An event that the installation has no permission for is not sent.
func (r *Repository) Events() []Event {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.refresh()
	sent := r.events
	r.events = nil
	return sent
}

// neededFor is the permission without which an App does not get an event.
var neededFor = map[string]string{"pull_request": "pull_requests", "pull_request_review": "pull_requests", "push": "contents", "merge_group": "merge_queues"}

func (r *Repository) tell(name, action, sender string, more map[string]any) {
	i := r.server.installedOn(r.name)
	if i == nil || i.permissions[neededFor[name]] == "" {
		return
	}
	payload := map[string]any{"repository": r.summary(), "sender": user(sender), "installation": map[string]any{"id": i.id}}
	if action != "" {
		payload["action"] = action
	}
	maps.Copy(payload, more)
	body, err := json.Marshal(payload)
	r.check(err)
	r.events = append(r.events, Event{Name: name, Body: body})
}

// tellPull is an event of a pull request.
func (r *Repository) tellPull(p *pull, action, sender string, more map[string]any) {
	form := p.simple()
	form["merged"] = p.merged
	if p.merged {
		form["merged_by"] = user(p.endedBy)
	}
	with := map[string]any{"number": p.number, "pull_request": form}
	maps.Copy(with, more)
	r.tell("pull_request", action, sender, with)
}
