package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one call about a repository.
type call struct {
	*Repository
	w      http.ResponseWriter
	r      *http.Request
	holder *token
	parts  []string // of the path
}

func (c *call) refuse(status int, format string, args ...any) {
	c.server.refuse(c.w, c.r, status, format, args...)
}

// invalid answers a validation that failed, as the REST API tells it.
func (c *call) invalid(field, code, message string) {
	if !c.server.expected[http.StatusUnprocessableEntity] {
		c.server.t.Errorf("GitHub would refuse %s %s with status 422: %s %s %s", c.r.Method, c.r.URL.Path, field, code, message)
	}
	detail := map[string]any{"resource": "PullRequest", "code": code}
	if field != "" {
		detail["field"] = field
	}
	if message != "" {
		detail["message"] = message
	}
	answer(c.w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []any{detail}, "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request", "status": "422"})
}

// pull finds the pull request of the path.
func (c *call) pull() *pull {
	n := number(c.parts[4])
	if n < 1 || n > int64(len(c.pulls)) {
		c.refuse(http.StatusNotFound, "Not Found")
		return nil
	}
	return c.pulls[n-1]
}

// calls are what is answered about pull requests, by the shape of the path, each with the
// permissions of which one is needed.
var calls = map[string]struct {
	needs  []string
	answer func(c *call)
}{
	"GET repos/_/_/pulls":             {[]string{"pull_requests=read"}, (*call).listPulls},
	"POST repos/_/_/pulls":            {[]string{"pull_requests=write"}, (*call).createPull},
	"GET repos/_/_/pulls/_":           {[]string{"pull_requests=read"}, (*call).getPull},
	"PATCH repos/_/_/pulls/_":         {[]string{"pull_requests=write"}, (*call).editPull},
	"PUT repos/_/_/pulls/_/merge":     {[]string{"contents=write"}, (*call).mergePull},
	"GET repos/_/_/issues/_":          {[]string{"issues=read", "pull_requests=read"}, (*call).getIssue},
	"POST repos/_/_/issues/_/labels":  {[]string{"issues=write", "pull_requests=write"}, (*call).addLabels},
	"GET repos/_/_/issues/_/comments": {[]string{"issues=read", "pull_requests=read"}, (*call).listComments},
	"POST repos/_/_/issues/_/comments": {[]string{"issues=write", "pull_requests=write"},
		(*call).addComment},
	"GET repos/_/_/rules/branches/_": {[]string{"metadata=read"}, (*call).listRules},
	"GET repos/_/_/branches/_":       {[]string{"contents=read"}, (*call).getBranch},
}

func (c *call) listPulls() {
	query, ok := c.parameters("state", "head", "base", "sort", "direction", "per_page", "page")
	if !ok {
		return
	}
	state, newest := orElse(query.Get("state"), "open"), orElse(query.Get("direction"), "desc") == "desc"
	if !slices.Contains([]string{"open", "closed", "all"}, state) || query.Get("sort") != "created" {
		c.refuse(http.StatusUnprocessableEntity, "a list by state %q and sort %q", state, query.Get("sort"))
		return
	}
	var list []any
	for _, p := range c.pulls {
		// GitHub ignores a head without an owner, and answers with all.
		if head := query.Get("head"); !c.server.ignoresHead && strings.Contains(head, ":") && !strings.EqualFold(head, p.from()+":"+p.branch) {
			continue
		}
		if (state == "all" || p.open == (state == "open")) && (query.Get("base") == "" || query.Get("base") == p.base) {
			list = append(list, p.simple())
		}
	}
	if newest {
		slices.Reverse(list)
	}
	c.page(list, query)
}

// openOf is the open pull request of a branch.
func (r *Repository) openOf(branch, base string) *pull {
	for _, p := range r.pulls {
		if p.open && p.fork == "" && p.branch == branch && p.base == base {
			return p
		}
	}
	return nil
}

// open opens a pull request, or says why GitHub would not.
func (r *Repository) open(author, branch, base, title, body string) (*pull, string) {
	head := r.refs[branch]
	switch {
	case head == "" || r.refs[base] == "":
		return nil, ""
	case r.openOf(branch, base) != nil:
		return nil, fmt.Sprintf("A pull request already exists for %s:%s.", r.owner(), branch)
	case r.reaches(r.refs[base], head):
		return nil, fmt.Sprintf("No commits between %s and %s", base, branch)
	}
	return r.add(&pull{title: strings.TrimSpace(title), body: body, branch: branch, head: head, base: base, author: author}), ""
}

func (r *Repository) add(p *pull) *pull {
	p.repository, p.number, p.open, p.opened = r, len(r.pulls)+1, true, r.server.now().Truncate(time.Second)
	p.reviews, p.checks = make(map[string]review), make(map[string]bool)
	p.touch()
	r.pulls = append(r.pulls, p)
	r.tellPull(p, "opened", p.author, nil)
	return p
}

// The longest texts that GitHub takes, in characters.
const (
	maxTitle = 256
	maxText  = 65536
)

// tooLong answers a text that is too long or empty.
func (c *call) tooLong(title, body *string) bool {
	switch {
	case title != nil && strings.TrimSpace(*title) == "":
		c.invalid("title", "missing_field", "")
	case title != nil && len([]rune(*title)) > maxTitle:
		c.invalid("title", "custom", "title is too long (maximum is 256 characters)")
	case body != nil && len([]rune(*body)) > maxText:
		c.invalid("body", "custom", "body is too long (maximum is 65536 characters)")
	default:
		return false
	}
	return true
}

func (c *call) createPull() {
	var wants struct{ Title, Body, Head, Base string }
	if !c.decode(&wants) || c.tooLong(&wants.Title, &wants.Body) {
		return
	}
	if p, why := c.open(bot, wants.Head, wants.Base, wants.Title, wants.Body); p != nil {
		answer(c.w, http.StatusCreated, p.full())
	} else if why == "" {
		c.invalid("head", "invalid", "")
	} else {
		c.invalid("", "custom", why)
	}
}

func (c *call) getPull() {
	if p := c.pull(); p != nil {
		answer(c.w, http.StatusOK, p.full())
	}
}

func (c *call) editPull() {
	var wants struct{ Title, Body, State *string }
	p := c.pull()
	if p == nil || !c.decode(&wants) || c.tooLong(wants.Title, wants.Body) {
		return
	}
	switch {
	case wants.State == nil || *wants.State == "closed" && !p.open:
	case *wants.State == "closed":
		c.end(p, bot, false, "")
	default: // tallyman opens a new one
		c.refuse(http.StatusUnprocessableEntity, "a pull request is set to state %q", *wants.State)
		return
	}
	if wants.Title != nil {
		p.title = strings.TrimSpace(*wants.Title)
	}
	if wants.Body != nil {
		p.body = *wants.Body
	}
	if wants.Title != nil || wants.Body != nil {
		c.tellPull(p, "edited", bot, nil)
	}
	p.touch()
	answer(c.w, http.StatusOK, p.full())
}

func (c *call) mergePull() {
	var wants struct {
		SHA     string `json:"sha"`
		Method  string `json:"merge_method"`
		Title   string `json:"commit_title"`
		Message string `json:"commit_message"`
	}
	p := c.pull()
	if p == nil || !c.decode(&wants) {
		return
	}
	if wants.SHA == "" || !slices.Contains([]string{"merge", "squash", "rebase"}, wants.Method) || wants.Method != "squash" && wants.Title+wants.Message != "" {
		c.refuse(http.StatusUnprocessableEntity, "a merge without sha, without a method, or with a text that its method does not use")
		return
	}
	status, why := p.refusal(wants.Method, wants.SHA)
	if status != 0 {
		c.refuse(status, "%s", why)
		return
	}
	title, message := c.proposed(p, wants.Method)
	landed := c.merge(p, wants.Method, bot, orElse(wants.Title, title), orElse(wants.Message, message))
	if landed == "" {
		c.refuse(http.StatusMethodNotAllowed, "Base branch was modified. Review and try the merge again.")
		return
	}
	answer(c.w, http.StatusOK, map[string]any{"sha": landed, "merged": true, "message": "Pull Request successfully merged"})
}

func (c *call) getIssue() {
	p := c.pull()
	if p == nil {
		return
	}
	state, closer := "open", any(nil)
	if !p.open {
		state, closer = "closed", user(p.endedBy)
	}
	answer(c.w, http.StatusOK, map[string]any{"id": 600000 + p.number, "number": p.number, "state": state, "title": p.title, "closed_by": closer, "pull_request": map[string]any{}})
}

func (c *call) addLabels() {
	var wants []string
	p := c.pull()
	if p == nil || !c.decode(&wants) {
		return
	}
	for _, label := range wants {
		if label == "" || len([]rune(label)) > 50 {
			c.invalid("name", "invalid", "")
			return
		}
		if slices.ContainsFunc(p.labels, func(has string) bool { return strings.EqualFold(has, label) }) {
			c.refuse(http.StatusUnprocessableEntity, "the label %q is there already", label)
			return
		}
		p.labels = append(p.labels, label)
	}
	p.touch()
	answer(c.w, http.StatusOK, c.labelled(p.labels))
}

func (c *call) listComments() {
	p := c.pull()
	query, ok := c.parameters("per_page", "page")
	if p == nil || !ok {
		return
	}
	var list []any
	for i, said := range p.comments {
		list = append(list, said.form(i))
	}
	c.page(list, query)
}

func (said Comment) form(i int) map[string]any {
	return map[string]any{"id": 700000 + i, "body": said.Text, "user": user(said.By)}
}

func (c *call) addComment() {
	var wants struct{ Body string }
	p := c.pull()
	if p == nil || !c.decode(&wants) || c.tooLong(nil, &wants.Body) {
		return
	}
	p.comments = append(p.comments, Comment{bot, wants.Body})
	p.touch()
	answer(c.w, http.StatusCreated, p.comments[len(p.comments)-1].form(len(p.comments)-1))
}

// pageSize reads how much of a list is wanted, and from where.
func pageSize(perPage, page string) (size, at int, ok bool) {
	size, err := strconv.Atoi(orElse(perPage, "30"))
	at, atErr := strconv.Atoi(orElse(page, "1"))
	return size, at, err == nil && atErr == nil && size >= 1 && size <= 100 && at >= 1
}
