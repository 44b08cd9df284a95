package github_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// senderOf is the login that an event is from.
func senderOf(e gitops.Event) string {
	if e.Principal.Dispatch == nil {
		return ""
	}
	return e.Principal.Dispatch.Sender
}

// A sender whose name could not stand in a commit goes by its number; the order
// counts.
func TestDecodeSenders(t *testing.T) {
	for login, want := range map[string]string{
		"ann": "github:ann", "github-actions[bot]": "github:github-actions[bot]", "Ann_acme": "github:Ann_acme",
		"": "user:3", `a\nTallyman-Update: x`: "user:3", "a b": "user:3", strings.Repeat("a", 129): "user:3",
	} {
		event, err := receiver(t, "s").Decode(headers(), []byte(`{"action": "update-image", "client_payload": {}, "sender": {"id": 3, "login": "`+login+`"}}`))
		if err != nil || event.Orders == nil || event.Principal.Actor() != want {
			t.Errorf("sender %.40q: %+v, %v", login, event, err)
		}
	}
	if event, err := receiver(t, "s").Decode(headers(), []byte(`{"action": "update-image", "client_payload": {}, "sender": null}`)); err != nil || event.Orders == nil {
		t.Errorf("no sender: %+v, %v", event, err)
	}
}

// Where a dispatch comes from is read by numbers alone. What is not as GitHub sends
// it is nobody's, whom no rule allows anything; the delivery is an event all the same.
func TestDecodeWhereItComesFrom(t *testing.T) {
	const ours, theirs, ann = `{"id": 17, "full_name": "o/r", "owner": {"id": 1}}`, `{"id": 5}`, `{"id": 3, "login": "ann"}`
	whole := gitops.DispatchSender{Repository: "o/r", RepositoryID: 17, InstallationID: 5, Sender: "ann", SenderID: 3}
	for name, c := range map[string]struct {
		repository, installation, sender string
		edit                             func(*gitops.DispatchSender)
	}{
		"all of it":               {ours, theirs, ann, func(*gitops.DispatchSender) {}},
		"no repository":           {"null", theirs, ann, func(s *gitops.DispatchSender) { s.Repository, s.RepositoryID = "", 0 }},
		"a repository in a list":  {"[" + ours + "]", theirs, ann, func(s *gitops.DispatchSender) { s.Repository, s.RepositoryID = "", 0 }},
		"an id as text":           {`{"id": "17", "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"an id as a fraction":     {`{"id": 17.0, "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"an id too large":         {`{"id": 99999999999999999999, "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"an id below 1":           {`{"id": -17, "full_name": "o/r"}`, `{"id": -5}`, ann, func(s *gitops.DispatchSender) { s.RepositoryID, s.InstallationID = 0, 0 }},
		"an id with an exponent":  {`{"id": 17e0, "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"an id in other letters":  {`{"ID": 17, "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"two repositories":        {ours + `, "repository": {"id": 18}`, theirs, ann, func(s *gitops.DispatchSender) { s.Repository, s.RepositoryID = "", 18 }},
		"an id below":             {`{"owner": {"id": 17}, "full_name": "o/r"}`, theirs, ann, func(s *gitops.DispatchSender) { s.RepositoryID = 0 }},
		"no installation":         {ours, "null", ann, func(s *gitops.DispatchSender) { s.InstallationID = 0 }},
		"an installation as text": {ours, `"5"`, ann, func(s *gitops.DispatchSender) { s.InstallationID = 0 }},
		"a sender without id":     {ours, theirs, `{"login": "ann"}`, func(s *gitops.DispatchSender) { s.SenderID = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			want := whole
			c.edit(&want)
			body := `{"action": "update-image", "repository": ` + c.repository + `, "installation": ` + c.installation + `, "sender": ` + c.sender + `, "client_payload": {}}`
			event, err := receiver(t, "s").Decode(headers(), []byte(body))
			if err != nil || event.Orders == nil {
				t.Fatalf("%+v, %v", event, err)
			}
			if diff := cmp.Diff(&want, event.Principal.Dispatch); diff != "" {
				t.Error(diff)
			}
		})
	}
}
