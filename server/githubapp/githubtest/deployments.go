package githubtest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDescription is in characters.
const maxDescription = 140

func (c *sourceCall) getCommit() {
	ref, err := url.PathUnescape(strings.Join(c.rest[1:], "/"))
	if err != nil || !strings.Contains(c.r.Header.Get("Accept"), ".sha") {
		c.refuse(http.StatusNotFound, "Not Found: only the names of commits are served")
		return
	}
	found := c.commit(ref)
	if found == "" { // which a caller may well ask for
		answer(c.w, http.StatusUnprocessableEntity, map[string]string{"message": "No commit found for SHA: " + ref, "documentation_url": "https://docs.github.com/rest/commits/commits#get-a-commit", "status": "422"})
		return
	}
	c.w.Header().Set("Content-Type", "application/vnd.github.v3.sha; charset=utf-8")
	_, _ = io.WriteString(c.w, found)
}

func (c *sourceCall) list() {
	query, ok := c.parameters("sha", "ref", "task", "environment", "per_page", "page")
	if !ok {
		return
	}
	var list []any
	for _, d := range slices.Backward(c.deployments) {
		matches := true
		for name, value := range map[string]string{"sha": d.SHA, "ref": d.Ref, "task": d.Task, "environment": d.Environment} {
			matches = matches && (query.Get(name) == "" || query.Get(name) == value)
		}
		if matches {
			list = append(list, c.form(d))
		}
	}
	c.page(list, query)
}

// form is a Deployment as GitHub answers with it.
func (c *sourceCall) form(d *Deployment) map[string]any {
	at := fmt.Sprintf("%s/repos/%s/deployments/%d", c.server.URL, c.name, d.ID)
	return map[string]any{
		"url": at, "id": d.ID, "node_id": "DE_" + strconv.FormatInt(d.ID, 10), "sha": d.SHA, "ref": d.Ref, "task": d.Task, "payload": d.Payload,
		"original_environment": d.Environment, "environment": d.Environment, "description": d.Description,
		"creator": map[string]any{"login": bot, "id": BotID, "type": "Bot"}, "created_at": stamp(d.CreatedAt), "updated_at": stamp(d.CreatedAt),
		"statuses_url": at + "/statuses", "repository_url": c.server.URL + "/repos/" + c.name,
		"transient_environment": d.Transient, "production_environment": d.Production, "performed_via_github_app": nil,
	}
}

// create makes a Deployment. What GitHub does besides where it is not told not to fails the
// test: it merges the default branch into the ref, and waits for its checks.
func (c *sourceCall) create() {
	var wants struct {
		Ref                   string    `json:"ref"`
		Task                  *string   `json:"task"`
		AutoMerge             *bool     `json:"auto_merge"`
		RequiredContexts      *[]string `json:"required_contexts"`
		Payload               any       `json:"payload"`
		Environment           *string   `json:"environment"`
		Description           string    `json:"description"`
		TransientEnvironment  bool      `json:"transient_environment"`
		ProductionEnvironment *bool     `json:"production_environment"`
	}
	if !c.decode(&wants) {
		return
	}
	commit := c.commit(wants.Ref)
	switch {
	case commit == "":
		c.refuse(http.StatusUnprocessableEntity, "No ref found for: %s", wants.Ref)
		return
	case !c.describes(wants.Description):
		return
	case (wants.AutoMerge == nil || *wants.AutoMerge) && c.behind:
		c.server.t.Errorf("GitHub merges the default branch into %s", wants.Ref)
		answer(c.w, http.StatusAccepted, map[string]string{"message": "Auto-merged main into " + wants.Ref + " on deployment."})
		return
	case (wants.RequiredContexts == nil || slices.Contains(*wants.RequiredContexts, "ci")) && c.contexts[commit]:
		c.refuse(http.StatusConflict, "Conflict: Commit status checks failed for %s.", wants.Ref)
		return
	}
	orDefault := func(text *string, otherwise string) string {
		if text == nil {
			return otherwise
		}
		return *text
	}
	environment := orDefault(wants.Environment, "production")
	d := &Deployment{
		ID: int64(len(c.deployments) + 1), SHA: commit, Ref: wants.Ref, Task: orDefault(wants.Task, "deploy"), Environment: environment, Description: wants.Description,
		Payload: wants.Payload, Transient: wants.TransientEnvironment, Production: environment == "production", CreatedAt: c.server.now().Truncate(time.Second),
	}
	if wants.ProductionEnvironment != nil {
		d.Production = *wants.ProductionEnvironment
	}
	for _, before := range c.deployments {
		d.ID = max(d.ID, before.ID+1)
	}
	c.deployments = append(c.deployments, d)
	answer(c.w, http.StatusCreated, c.form(d))
}

func (c *sourceCall) describes(description string) bool {
	if utf8.RuneCountInString(description) > maxDescription {
		c.refuse(http.StatusUnprocessableEntity, "Validation Failed: description is too long (maximum is %d characters)", maxDescription)
		return false
	}
	return true
}

// deployment is the one that the path names; nil, and answered, where it does not exist.
func (c *sourceCall) deployment() *Deployment {
	for _, d := range c.deployments {
		if d.ID == number(c.rest[1]) {
			return d
		}
	}
	c.refuse(http.StatusNotFound, "Not Found")
	return nil
}

func (c *sourceCall) listStatuses() {
	query, ok := c.parameters("per_page", "page")
	if !ok {
		return
	}
	d := c.deployment()
	if d == nil {
		return
	}
	var list []any
	for _, s := range slices.Backward(d.Statuses) {
		list = append(list, statusForm(d, s))
	}
	c.page(list, query)
}

func statusForm(d *Deployment, s DeploymentStatus) map[string]any {
	return map[string]any{
		"id": 1, "state": s.State, "description": s.Description, "environment": d.Environment, "target_url": s.LogURL, "log_url": s.LogURL, "environment_url": "",
		"creator": map[string]any{"login": bot, "id": BotID, "type": "Bot"}, "created_at": stamp(s.CreatedAt), "updated_at": stamp(s.CreatedAt),
	}
}

// deploymentStates are those that a status may be given.
var deploymentStates = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

// createStatus gives a Deployment a status. Success makes inactive what was a success before
// in the environment, unless that is for production, or the status says not to.
func (c *sourceCall) createStatus() {
	var wants struct {
		State          string `json:"state"`
		TargetURL      string `json:"target_url"`
		LogURL         string `json:"log_url"`
		Description    string `json:"description"`
		Environment    string `json:"environment"`
		EnvironmentURL string `json:"environment_url"`
		AutoInactive   *bool  `json:"auto_inactive"`
	}
	if !c.decode(&wants) {
		return
	}
	d := c.deployment()
	if d == nil || !c.describes(wants.Description) {
		return
	}
	if !slices.Contains(deploymentStates, wants.State) {
		c.refuse(http.StatusUnprocessableEntity, "Validation Failed: state is not included in the list")
		return
	}
	for _, link := range []string{wants.LogURL, wants.TargetURL, wants.EnvironmentURL} {
		if link != "" && !strings.HasPrefix(link, "https://") && !strings.HasPrefix(link, "http://") {
			c.refuse(http.StatusUnprocessableEntity, "Validation Failed: %s must use http(s) scheme", link)
			return
		}
	}
	now := c.server.now()
	s := DeploymentStatus{State: wants.State, Description: wants.Description, LogURL: wants.LogURL, CreatedAt: now}
	if s.State == "success" && (wants.AutoInactive == nil || *wants.AutoInactive) {
		for _, before := range c.deployments {
			if before != d && before.Environment == d.Environment && !before.Transient && !before.Production && before.State() == "success" {
				before.Statuses = append(before.Statuses, DeploymentStatus{State: "inactive", CreatedAt: now})
			}
		}
	}
	d.Statuses = append(d.Statuses, s)
	answer(c.w, http.StatusCreated, statusForm(d, s))
}
