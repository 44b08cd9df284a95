package github_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

const sha = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"

const guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

// headers are GitHub's, with some of them changed: pairs of name and value, an
// empty value takes the header away.
func headers(changed ...string) http.Header {
	h := http.Header{}
	h.Set("User-Agent", "GitHub-Hookshot/044aadd")
	h.Set("Content-Type", "application/json")
	h.Set("X-GitHub-Event", "repository_dispatch")
	h.Set("X-GitHub-Delivery", guid)
	h.Set("X-GitHub-Hook-ID", "292430182")
	for i := 0; i < len(changed); i += 2 {
		if h.Set(changed[i], changed[i+1]); changed[i+1] == "" {
			h.Del(changed[i])
		}
	}
	return h
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDecodeADispatch(t *testing.T) {
	dispatch := fixture(t, "repository_dispatch.json")
	want := gitops.Event{
		Delivery: gitops.DeliveryKey{Source: "github", ID: guid},
		Principal: gitops.Principal{Dispatch: &gitops.DispatchSender{
			Repository: "octo-org/octo-repo", RepositoryID: 17273051, InstallationID: 375706, Sender: "Codertocat", SenderID: 21031067,
		}},
		Orders: []gitops.Order{{
			App: "myshop-api", Environment: "dev", Tag: "main-1a2b3c4",
			Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			Within: "client_payload",
		}},
	}
	form := url.Values{"payload": {string(dispatch)}}.Encode()
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
	}{
		"as JSON":                  {headers(), dispatch},
		"as JSON with a parameter": {headers("Content-Type", "application/json; charset=utf-8"), dispatch},
		"as a form":                {headers("Content-Type", "application/x-www-form-urlencoded"), []byte(form)},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := receiver(t, "s").Decode(c.header, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, event, cmpopts.IgnoreFields(gitops.Event{}, "BodyDigest")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An event that asks for nothing says so, and who sent it is known all the same.
func TestDecodeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		header       http.Header
		body         string
		actor, wants string
	}{
		"a ping":               {headers("X-GitHub-Event", "ping"), string(fixture(t, "ping.json")), "", `a "ping" event is ignored`},
		"another event":        {headers("X-GitHub-Event", "issues"), `{"ref": 1}`, "", `a "issues" event is ignored`},
		"an event made up":     {headers("X-GitHub-Event", strings.Repeat("x", 999)), `{}`, "", strings.Repeat("x", 40) + `" event is ignored`},
		"another event_type":   {headers(), `{"action": "deploy", "sender": {"login": "ann"}, "client_payload": 7}`, "ann", `event_type "deploy" is not one of those that order an update (update-image)`},
		"an event_type's case": {headers(), `{"action": "Update-Image"}`, "", `event_type "Update-Image" is not one of`},
		"no event_type":        {headers(), `{}`, "", `event_type "" is not one of`},
		"a long event_type":    {headers(), `{"action": "` + strings.Repeat("x", 9999) + `"}`, "", "is not one of"},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := receiver(t, "s").Decode(c.header, []byte(c.body))
			if err != nil || event.Orders != nil || event.Violation != nil {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if !strings.Contains(event.IgnoreReason, c.wants) || len(event.IgnoreReason) > 300 || senderOf(event) != c.actor || event.Delivery.ID != guid {
				t.Errorf("decoded to %+v", event)
			}
		})
	}
}

// client_payload is whatever the sender makes of it. What cannot be an order is
// one that was refused, so that it is kept with its reason.
func TestDecodeOrders(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		order   gitops.Order // without Within
		field   string       // of the fault
		says    string
	}{
		"the fields":         {`{"app": "a", "env": "dev", "tag": "t"}`, gitops.Order{App: "a", Environment: "dev", Tag: "t"}, "", ""},
		"nothing":            {`{}`, gitops.Order{}, "", ""},
		"unknown fields":     {`{"app": "a", "App": "b", "APP": "c", "env": "dev", "tag": "t", "image": {"tag": "x"}}`, gitops.Order{App: "a", Environment: "dev", Tag: "t"}, "", ""},
		"the API's name":     {`{"app": "a", "environment": "dev", "tag": "t"}`, gitops.Order{}, "client_payload.env", "is missing: the field is called env, not environment"},
		"another tag's name": {`{"app": "a", "env": "dev", "image_tag": "t"}`, gitops.Order{}, "client_payload.tag", "is missing: the field is called tag, not image_tag"},
		"another app's name": {`{"service": "a", "env": "dev", "tag": "t"}`, gitops.Order{}, "client_payload.app", "is missing: the field is called app, not service"},
		"all one level down": {`{"payload": {"app": "a"}}`, gitops.Order{}, "client_payload.app", `the fields are called app, env, tag and digest, and client_payload has "payload"`},
		"many other names":   {`{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1}`, gitops.Order{}, "client_payload.app", `has "a", "b", "c", "d", "e", "f"`},
		"a commit":           {`{"app": "a", "env": "dev", "tag": "t", "sha": "` + sha + `"}`, gitops.Order{App: "a", Environment: "dev", Tag: "t", Revision: sha}, "", ""},
		"a short commit":     {`{"app": "a", "sha": "1a2b3c4"}`, gitops.Order{App: "a", Revision: "1a2b3c4"}, "", ""}, // which the plan rejects
		"a commit of digits": {`{"app": "a", "sha": 1234567}`, gitops.Order{}, "client_payload.sha", "gh api write -f, not -F"},
		"a list of commits":  {`{"app": "a", "sha": ["` + sha + `"]}`, gitops.Order{}, "client_payload.sha", "must be a string in quotes, not a list"},
		"a field of null":    {`{"app": "a", "digest": null}`, gitops.Order{App: "a"}, "", ""},
		"any text":           {`{"app": "../..", "tag": "a\nb"}`, gitops.Order{App: "../..", Tag: "a\nb"}, "", ""},
		"null":               {`null`, gitops.Order{}, "client_payload", "must be an object with app, env, tag"},
		"text":               {`"app"`, gitops.Order{}, "client_payload", "must be an object"},
		"a list":             {`[{"app": "a"}]`, gitops.Order{}, "client_payload", "must be an object"},
		"a number for a tag": {`{"app": "a", "env": "dev", "tag": 123}`, gitops.Order{}, "client_payload.tag", "gh api write -f, not -F"},
		"a truth for an app": {`{"app": true}`, gitops.Order{}, "client_payload.app", "must be a string"},
		"a map for an env":   {`{"env": {"name": "dev"}}`, gitops.Order{}, "client_payload.env", "must be a string in quotes or a list of them, not an object"},
		"a list of digests":  {`{"digest": ["sha256:0"]}`, gitops.Order{}, "client_payload.digest", "must be a string in quotes, not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"action": "update-image", "client_payload": ` + c.payload + `, "sender": {"login": "ann"}}`
			event, err := receiver(t, "s").Decode(headers(), []byte(body))
			if err != nil || senderOf(event) != "ann" || event.IgnoreReason != "" {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if c.field == "" {
				c.order.Within = "client_payload"
				if diff := cmp.Diff(gitops.Event{Delivery: event.Delivery, Principal: event.Principal, Orders: []gitops.Order{c.order}, BodyDigest: event.BodyDigest}, event); diff != "" {
					t.Error(diff)
				}
				return
			}
			if event.Orders != nil || event.Violation == nil || event.Violation.Code != gitops.Rejected || event.Violation.Field != c.field || !strings.Contains(event.Violation.Message, c.says) {
				t.Errorf("decoded to %+v with fault %v", event, event.Violation)
			}
		})
	}
	event, err := receiver(t, "s").Decode(headers(), []byte(`{"action": "update-image"}`))
	if err != nil || event.Violation == nil || event.Violation.Field != "client_payload" {
		t.Errorf("without client_payload: %+v, %v", event, err)
	}
}

// What GitHub would not send is Invalid. The delivery's id is there as soon as it
// is known, and never one that breaks its grammar.
func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		body   string
		says   string
		id     string
	}{
		"no delivery id":     {headers("X-GitHub-Delivery", ""), `{}`, "header X-GitHub-Delivery: is missing", ""},
		"a long delivery id": {headers("X-GitHub-Delivery", strings.Repeat("1", 129)), `{}`, "header X-GitHub-Delivery: must be 1 to 128", ""},
		"a path for an id":   {headers("X-GitHub-Delivery", "a/../b"), `{}`, "header X-GitHub-Delivery: must be", ""},
		"a line in an id":    {headers("X-GitHub-Delivery", "a\nTallyman-Update: x"), `{}`, "header X-GitHub-Delivery: must be", ""},
		"no event":           {headers("X-GitHub-Event", ""), `{}`, "header X-GitHub-Event: is missing", guid},
		"no content type":    {headers("Content-Type", ""), `{}`, "header Content-Type: must be application/json", guid},
		"XML":                {headers("Content-Type", "text/xml"), `{}`, "header Content-Type: must be application/json", guid},
		"no body":            {headers(), "", "the body is not a JSON object", guid},
		"half a body":        {headers(), `{"action": "update-`, "the body is not a JSON object", guid},
		"two bodies":         {headers(), `{}{}`, "the body is not a JSON object", guid},
		"a list":             {headers(), `[]`, "the body is not a JSON object", guid},
		"null":               {headers(), `null`, "the body is not a JSON object", guid},
		"a ping of no JSON":  {headers("X-GitHub-Event", "ping"), `zen`, "the body is not a JSON object", guid},
		"a number as action": {headers(), `{"action": 7}`, "the body is not a repository_dispatch event: its action", guid},
		"text as sender":     {headers(), `{"action": "update-image", "sender": "ann"}`, "the body is not a repository_dispatch event: its sender", guid},
		"a number as login":  {headers(), `{"action": "update-image", "sender": {"login": 7}}`, "the body is not a repository_dispatch event: its sender", guid},
		"a form of JSON":     {headers("Content-Type", "application/x-www-form-urlencoded"), `{}`, "the body is not a JSON object", guid},
		"a form gone wrong":  {headers("Content-Type", "application/x-www-form-urlencoded"), `payload=%zz`, "the body is not a form", guid},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := receiver(t, "s").Decode(c.header, []byte(c.body))
			if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), c.says) {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if event.Delivery.ID != c.id {
				t.Errorf("the delivery's id is %q, want %q", event.Delivery.ID, c.id)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	add := func(body, kind, id, contentType string) { f.Add([]byte(body), kind, id, contentType) }
	add(string(fixture(f, "repository_dispatch.json")), "repository_dispatch", guid, "application/json")
	add(string(fixture(f, "ping.json")), "ping", guid, "application/json")
	add(`{"action":"update-image","client_payload":{"app":"a","env":1,"tag":"t"}}`, "repository_dispatch", "1", "application/json")
	add(`{"action":"update-image","client_payload":null,"sender":{"login":"a b"}}`, "repository_dispatch", "a:b", "application/json")
	add(`{"action":"update-image","client_payload":{"app":["a","b"],"env":["dev",["x"]],"tag":"t"}}`, "repository_dispatch", "2", "application/json")
	add(`{"action":"update-image","client_payload":{"app":["a","b"],"env":["dev","qa"],"tag":"t"}}`, "repository_dispatch", "3", "application/json")
	add(`payload=%7B%22action%22%3A%22update-image%22%7D`, "repository_dispatch", "x", "application/x-www-form-urlencoded")
	for _, kind := range []string{"pull_request", "push", "merge_group", "installation"} {
		add(string(fixture(f, kind+".json")), kind, guid, "application/json")
	}
	add(`[`, "", "-", ";")
	r := receiver(f, "s")
	f.Fuzz(func(t *testing.T, body []byte, kind, id, contentType string) {
		before := string(body)
		event, err := r.Decode(http.Header{"X-Github-Event": {kind}, "X-Github-Delivery": {id}, "Content-Type": {contentType}}, body)
		if string(body) != before {
			t.Error("the body was changed")
		}
		if err != nil {
			if gitops.CodeOf(err) != gitops.Invalid {
				t.Errorf("the error is %v", err)
			}
			return
		}
		checkEvent(t, event)
	})
}

// checkEvent holds an event that was accepted to what its type promises.
func checkEvent(t *testing.T, e gitops.Event) {
	set := 0
	for _, is := range []bool{e.Orders != nil, e.Push != nil, e.IgnoreReason != "", e.Violation != nil} {
		if is {
			set++
		}
	}
	if set != 1 || e.Push != nil || !e.Time.IsZero() {
		t.Errorf("%+v is not exactly one thing that GitHub sends", e)
	}
	if e.Delivery.Source != github.Source || gitops.CheckDeliveryID("id", e.Delivery.ID) != nil || gitops.CheckActor("actor", e.Principal.Actor()) != nil {
		t.Errorf("key %q or actor %q break their grammars", e.Delivery, e.Principal.Actor())
	}
	if e.Hint != nil && e.IgnoreReason == "" {
		t.Error("a hint asks for something")
	}
	if len(e.IgnoreReason) > 1200 || e.Violation != nil && e.Violation.Code != gitops.Rejected {
		t.Errorf("nothing %q, fault %v", e.IgnoreReason, e.Violation)
	}
}

// A dispatch as GitHub sends it, with all it tells about the repository and the
// sender; authenticated, because both read the whole body.
func BenchmarkDecode(b *testing.B) {
	dispatch, r := fixture(b, "repository_dispatch.json"), receiver(b, "s")
	header := headers("X-Hub-Signature-256", sign("s", string(dispatch)))
	b.SetBytes(int64(len(dispatch)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Authenticate(header, dispatch); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Decode(header, dispatch); err != nil {
			b.Fatal(err)
		}
	}
}
