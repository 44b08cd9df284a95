package ecrevent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

// by is a source that events come by.
var by = gitops.PushSource{Source: "sns", Topic: "arn:aws:sns:us-west-2:123456789012:ecr-events"}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// edited is a fixture with fields of the envelope, or below "detail.", set to
// something else; nil takes one away.
func edited(t testing.TB, name string, fields map[string]any) []byte {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal(fixture(t, name), &event); err != nil {
		t.Fatal(err)
	}
	for field, value := range fields {
		within := event
		if below, ok := strings.CutPrefix(field, "detail."); ok {
			within, field = event["detail"].(map[string]any), below
		}
		if within[field] = value; value == nil {
			delete(within, field)
		}
	}
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReadAPush(t *testing.T) {
	const digest = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234"
	want := gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: "sns", ID: "13cde686-328b-6117-af20-0e5566167482"},
		Principal: gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012", Region: "us-west-2", Topic: by.Topic}},
		Time:      time.Date(2019, 11, 16, 1, 54, 34, 0, time.UTC),
		Push:      &gitops.ImagePush{Account: "123456789012", Region: "us-west-2", Repository: "my-repository-name", Tag: "latest", Digest: digest},
	}
	for name, c := range map[string]struct {
		body []byte
		edit func(*gitops.Event)
	}{
		"as documented":        {fixture(t, "push"), func(*gitops.Event) {}},
		"with unknown fields":  {edited(t, "push", map[string]any{"trace": []int{1}, "detail.scan": "x", "resources": "none"}), func(*gitops.Event) {}},
		"a time with a zone":   {edited(t, "push", map[string]any{"time": "2019-11-16T10:54:34+09:00"}), func(*gitops.Event) {}},
		"a time with decimals": {edited(t, "push", map[string]any{"time": "2019-11-16T01:54:34.74Z"}), func(e *gitops.Event) { e.Time = e.Time.Add(740 * time.Millisecond) }},
		"without a tag":        {edited(t, "push", map[string]any{"detail.image-tag": nil}), func(e *gitops.Event) { e.Push.Tag = "" }},
		"with an empty tag":    {edited(t, "push", map[string]any{"detail.image-tag": ""}), func(e *gitops.Event) { e.Push.Tag = "" }},
		"without an account":   {edited(t, "push", map[string]any{"account": nil}), func(e *gitops.Event) { e.Principal, e.Push.Account = gitops.Principal{}, "" }},
		"of an odd account":    {edited(t, "push", map[string]any{"account": "a\nb"}), func(e *gitops.Event) { e.Principal, e.Push.Account = gitops.Principal{}, "a\nb" }},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := ecrevent.Read(by, c.body)
			if err != nil {
				t.Fatal(err)
			}
			wanted, push := want, *want.Push
			wanted.Push = &push
			c.edit(&wanted)
			if diff := cmp.Diff(wanted, event); diff != "" {
				t.Error(diff)
			}
		})
	}
	untagged, err := ecrevent.Read(by, fixture(t, "push-untagged"))
	if err != nil || untagged.Push == nil || untagged.Push.Tag != "" || untagged.Push.Digest == "" {
		t.Errorf("the untagged push is %+v, %v", untagged, err)
	}
}

// Every event that is no successful push asks for nothing, and says why. None of
// it is an error: EventBridge would count it as one, and a person would look.
func TestReadNothing(t *testing.T) {
	for name, c := range map[string]struct {
		body   []byte
		reason string
	}{
		"a deletion":               {fixture(t, "delete"), `action-type "DELETE" with result "SUCCESS" is not a successful PUSH`},
		"to the archive":           {fixture(t, "archive"), `action-type "UPDATE_STORAGE_CLASS" with`},
		"from the archive":         {fixture(t, "restore"), `action-type "UPDATE_STORAGE_CLASS" with`},
		"a push that failed":       {edited(t, "push", map[string]any{"detail.result": "FAILED"}), `action-type "PUSH" with result "FAILED" is not a successful PUSH`},
		"a push without a result":  {edited(t, "push", map[string]any{"detail.result": nil}), `with result "" is not`},
		"a push in small letters":  {edited(t, "push", map[string]any{"detail.action-type": "push"}), `action-type "push" with`},
		"a failed push at no time": {edited(t, "push", map[string]any{"detail.result": "FAILED", "time": "never"}), `is not a successful PUSH`},
		"a scan":                   {fixture(t, "scan"), `a "ECR Image Scan" event of "aws.ecr" is not an ECR Image Action`},
		"a pull on an unreal day":  {fixture(t, "pull-through-cache"), `a "ECR Pull Through Cache Action" event of`},
		"a referrer":               {fixture(t, "referrer"), `a "ECR Referrer Action" event of`},
		"another kind of scanning": {fixture(t, "scan-resource-change"), `a "ECR Scan Resource Change" event of`},
		"a scan's findings":        {fixture(t, "scan-findings"), `a "ECR Image Scan" event of "aws.ecr" is not an ECR Image Action`},
		"an inspection's finding":  {fixture(t, "inspector-finding"), `a "Inspector2 Finding" event of "aws.inspector2" is not`},
		"an inspection":            {fixture(t, "inspector-scan"), `a "Inspector2 Scan" event of "aws.inspector2" is not`},
		"a finding of any shape":   {[]byte(`{"id": "1", "source": "aws.inspector2", "detail-type": "Inspector2 Finding", "time": "x", "detail": [7]}`), `a "Inspector2 Finding" event of`},
		"somebody else's action":   {edited(t, "push", map[string]any{"source": "my.app"}), `of "my.app" is not`},
		"an endless type":          {edited(t, "push", map[string]any{"detail-type": strings.Repeat("x", 9999)}), `is not an ECR Image Action or ECR Replication Action of aws.ecr`},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := ecrevent.Read(by, c.body)
			if err != nil || event.Push != nil || event.Delivery.ID == "" {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if !strings.Contains(event.IgnoreReason, c.reason) || len(event.IgnoreReason) > 500 {
				t.Errorf("the reason is %q, want %q", event.IgnoreReason, c.reason)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const id = "13cde686-328b-6117-af20-0e5566167482"
	for name, c := range map[string]struct {
		body []byte
		says string
		id   string
	}{
		"no body":              {nil, "the body is not an EventBridge event in JSON", ""},
		"no JSON":              {[]byte("version=0&id=1"), "the body is not an EventBridge event in JSON", ""},
		"half an event":        {fixture(t, "push")[:100], "the body is not an EventBridge event in JSON", ""},
		"two events":           {append(fixture(t, "push"), fixture(t, "push")...), "the body is not an EventBridge event in JSON", ""},
		"a list of events":     {[]byte("[" + string(fixture(t, "push")) + "]"), "the body is not an EventBridge event in JSON", ""},
		"an event as text":     {[]byte(`"event"`), "the body is not an EventBridge event in JSON", ""},
		"null":                 {[]byte("null"), "the body is not an EventBridge event: it has neither source nor detail-type", ""},
		"another registry's":   {[]byte(`{"push_data": {"tag": "v1"}, "repository": {"repo_name": "shop/api"}}`), "the body is not an EventBridge event: it has neither source nor detail-type; let the rule's target", ""},
		"the same with an id":  {[]byte(`{"id": "7", "action": "push", "target": {"repository": "api", "tag": "v1"}}`), "the body is not an EventBridge event: it has neither", ""},
		"no id":                {edited(t, "push", map[string]any{"id": nil}), "id: is missing", ""},
		"an id of two lines":   {edited(t, "push", map[string]any{"id": "a\nTallyman-Update: x"}), "id: must be 1 to 128", ""},
		"a number for an id":   {edited(t, "push", map[string]any{"id": 7}), "the body is not an EventBridge event in JSON", ""},
		"no detail":            {edited(t, "push", map[string]any{"detail": nil}), "detail: is not that of an ECR Image Action", id},
		"detail as text":       {edited(t, "push", map[string]any{"detail": "PUSH"}), "detail: is not that of an ECR Image Action", id},
		"a number for a tag":   {edited(t, "push", map[string]any{"detail.image-tag": 12}), "detail: is not that of an ECR Image Action", id},
		"no time":              {edited(t, "push", map[string]any{"time": nil}), "time: must be a time such as", id},
		"a day that never was": {edited(t, "push", map[string]any{"time": "2023-02-29T02:36:48Z"}), "time: must be a time such as", id},
		"seconds since 1970":   {edited(t, "push", map[string]any{"time": "1573869274"}), "time: must be a time such as", id},
		"a zone beyond 9999":   {edited(t, "push", map[string]any{"time": "9999-12-31T23:59:59-12:00"}), "time: must be a time such as", id},
		"the zero time":        {edited(t, "push", map[string]any{"time": "0001-01-01T00:00:00Z"}), "time: must be a time such as", id},
	} {
		t.Run(name, func(t *testing.T) {
			event, err := ecrevent.Read(by, c.body)
			if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), c.says) || event.Push != nil {
				t.Fatalf("decoded to %+v, %v", event, err)
			}
			if event.Delivery.ID != c.id {
				t.Errorf("the delivery's id is %q, want %q", event.Delivery.ID, c.id)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		f.Add(fixture(f, strings.TrimSuffix(filepath.Base(file), ".json")))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		e, err := ecrevent.Read(by, body)
		if string(body) != before {
			t.Error("the body was changed")
		}
		if err != nil {
			if gitops.CodeOf(err) != gitops.Invalid {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if (e.Push != nil) == (e.IgnoreReason != "") || e.Orders != nil || e.Violation != nil || e.Push != nil && e.Time.IsZero() && !strings.Contains(before, "0001-") {
			t.Errorf("%+v is not exactly one thing that EventBridge sends", e)
		}
		if gitops.CheckDeliveryID("id", e.Delivery.ID) != nil || gitops.CheckActor("actor", e.Principal.Actor()) != nil || len(e.IgnoreReason) > 2000 {
			t.Errorf("key %q, actor %q or reason %q is not what it may be", e.Delivery, e.Principal.Actor(), e.IgnoreReason)
		}
	})
}
