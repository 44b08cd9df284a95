package github

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// hinted are the events that only say that something may have changed, by the value of
// X-GitHub-Event, with the actions that are of interest; nil for an event without actions.
// GitHub sends them in numbers, also for repositories and branches that tallyman does not
// write, and nothing is lost with one: nothing is stored of any of them.
//
// Source: GitHub's documentation, "Webhook events and payloads".
var hinted = map[string][]string{
	"pull_request": {"closed", "reopened", "edited", "synchronize", "converted_to_draft", "ready_for_review",
		"enqueued", "dequeued", "auto_merge_enabled", "auto_merge_disabled"},
	"pull_request_review": {"submitted", "dismissed"},
	"push":                nil,
	"merge_group":         {"checks_requested", "destroyed"},
	"installation":        {"new_permissions_accepted"},
}

// IsHint reports whether events of a kind are only hints, of which nothing is stored.
func (*Receiver) IsHint(kind string) bool {
	_, hint := hinted[kind]
	return hint
}

// hintOf reads an event that is a hint. What has another form than GitHub's is about nothing:
// it is no error, since nothing depends on it.
func hintOf(kind string, payload []byte) (hint gitops.Hint, reason string) {
	action := textAt(payload, "action")
	if actions := hinted[kind]; actions != nil && !slices.Contains(actions, action) {
		return gitops.Hint{}, fmt.Sprintf("a %q event is ignored where its action is %.40q", kind, action)
	}
	hint.Repository = textAt(payload, "repository", "full_name")
	switch kind {
	case "pull_request", "pull_request_review":
		hint.Branch = textAt(payload, "pull_request", "base", "ref")
		hint.Topic = textAt(payload, "pull_request", "head", "ref")
		if textAt(payload, "pull_request", "head", "repo", "full_name") != hint.Repository {
			hint = gitops.Hint{} // from a fork, which has no branch of ours
		}
	case "push":
		hint.Branch, hint.Pushed = strings.CutPrefix(textAt(payload, "ref"), "refs/heads/")
		if !hint.Pushed { // a tag
			hint = gitops.Hint{}
		}
	case "merge_group":
		hint.Branch = strings.TrimPrefix(textAt(payload, "merge_group", "base_ref"), "refs/heads/")
	case "installation":
		hint = gitops.Hint{Owner: textAt(payload, "installation", "account", "login")}
	}
	return hint, fmt.Sprintf("a %q event is a hint that pull requests may have changed", kind)
}

// textAt is the text at a path of members in a valid JSON object; "" where there is no text.
func textAt(object []byte, path ...string) string {
	for i, name := range path {
		value := memberOf(object, name)
		switch {
		case value == nil:
			return ""
		case i == len(path)-1:
			text, _ := textOrNull(value)
			return text
		case value[0] != '{':
			return ""
		}
		object = value
	}
	return ""
}

// memberOf is the value of an object's first member of a name; nil where it has none.
func memberOf(object []byte, name string) []byte {
	for member, value := range members(object) {
		if string(member) == name {
			return value
		}
	}
	return nil
}
