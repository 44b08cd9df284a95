package github

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rule says which dispatches of one repository may order what. Everything that it
// names must hold.
type Rule struct {
	Repository     string   // owner/name, for people: what counts is the id
	RepositoryID   int64    // required: GitHub never gives a number out again
	InstallationID int64    // of the App on it; 0 is any
	Senders        []string // logins of who may dispatch; none is whoever may write the repository
	Apps           []string // that may be ordered; "*" is all
	Environments   []string // in which they may be ordered
}

// checkRules reports what cannot be right, each problem with its field.
func checkRules(rules []Rule) error {
	var problems []error
	for i, r := range rules {
		report := func(name, format string, args ...any) {
			problems = append(problems, gitops.FieldErrorf(fmt.Sprintf("sources.github.allow[%d].%s", i, name), format, args...))
		}
		if strings.Count(r.Repository, "/") != 1 {
			report("repository", "must be owner/name")
		}
		if r.RepositoryID <= 0 {
			report("repositoryID", "must be the repository's number: gh api repos/OWNER/NAME --jq .id")
		}
		if r.InstallationID < 0 {
			report("installationID", "must be a number above 0")
		}
		if slices.Contains(r.Senders, "") {
			report("senders", "must not have an empty name")
		}
		if len(r.Apps) == 0 {
			report("apps", `must name at least one app, or "*"`)
		}
		if len(r.Environments) == 0 {
			report("environments", "must name at least one environment")
		}
	}
	return errors.Join(problems...)
}

// mayOrder says why no rule lets a dispatch order this; nil when one does.
func (r *Receiver) mayOrder(d dispatch, o gitops.Order) *gitops.Error {
	var reasons []string
	for i, rule := range r.allow {
		if rule.RepositoryID != d.repositoryID {
			continue
		}
		why := rule.refuses(d, o)
		if why == "" {
			return nil
		}
		reasons = append(reasons, fmt.Sprintf("sources.github.allow[%d]: %s", i, why))
	}
	if len(reasons) == 0 {
		reasons = []string{fmt.Sprintf("no rule of sources.github.allow is for the repository %.120q (id %d)", d.repository, d.repositoryID)}
	}
	return &gitops.Error{Code: gitops.Rejected, Field: "repository", Message: "may not order this: " + strings.Join(reasons, "; ")}
}

// refuses says what of the rule does not hold; "" when all of it does.
func (r Rule) refuses(d dispatch, o gitops.Order) string {
	among := func(what, got string, allowed []string) string {
		return fmt.Sprintf("%s %.120q is not among %s", what, got, strings.Join(allowed, ", "))
	}
	isSender := func(login string) bool { return strings.EqualFold(login, d.sender) } // as GitHub has it
	switch {
	case !slices.Contains(r.Environments, o.Environment):
		return among("environment", o.Environment, r.Environments)
	case !slices.Contains(r.Apps, o.App) && !slices.Contains(r.Apps, "*"):
		return among("app", o.App, r.Apps)
	case r.InstallationID != 0 && r.InstallationID != d.installationID:
		return fmt.Sprintf("installation %d is not %d", d.installationID, r.InstallationID)
	case len(r.Senders) > 0 && !slices.ContainsFunc(r.Senders, isSender):
		return among("sender", d.sender, r.Senders)
	}
	return ""
}

// readOrigin reads whence a dispatch comes. What is not as GitHub sends it is
// left at nothing, which no rule allows.
func (d *dispatch) readOrigin(payload []byte) {
	for name, value := range members(payload) {
		if value[0] != '{' {
			continue
		}
		switch string(name) {
		case "repository":
			d.repositoryID = idOf(value)
			for name, value := range members(value) {
				if string(name) == "full_name" {
					d.repository, _ = textOrNull(value)
				}
			}
		case "installation":
			d.installationID = idOf(value)
		}
	}
}

// idOf is the id of one of GitHub's objects; 0 when it has none.
func idOf(object []byte) (id int64) {
	for name, value := range members(object) {
		if string(name) == "id" {
			id, _ = strconv.ParseInt(string(value), 10, 64)
		}
	}
	return id
}
