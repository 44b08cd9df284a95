package gitops_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestHoldID(t *testing.T) {
	for id, want := range map[string]int64{"h1": 1, "h17": 17, "h9223372036854775807": 1<<63 - 1} {
		if got, ok := gitops.ParseHoldID(id); !ok || got != want || gitops.HoldID(got) != id {
			t.Errorf("%q is %d, %t", id, got, ok)
		}
	}
	for _, id := range []string{"", "h", "17", "h0", "h-1", "h+1", "h01", "H1", " h1", "h1 ", "hh1", "h9223372036854775808"} {
		if got, ok := gitops.ParseHoldID(id); ok {
			t.Errorf("%q is taken for hold %d", id, got)
		}
	}
}

func TestHoldInForce(t *testing.T) {
	for _, c := range []struct {
		name string
		h    gitops.Hold
		want bool
	}{
		{"without an end", gitops.Hold{Since: before(time.Hour)}, true},
		{"before its end", gitops.Hold{Since: before(time.Hour), Until: noon.Add(time.Microsecond)}, true},
		{"at its end", gitops.Hold{Since: before(time.Hour), Until: noon}, false},
		{"lifted", gitops.Hold{Since: before(time.Hour), Lifted: &gitops.Lift{At: noon}}, false},
		{"placed by a clock that was set back since", gitops.Hold{Since: noon.Add(time.Minute)}, true},
	} {
		if got := c.h.InForce(noon); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestHoldReplaces(t *testing.T) {
	pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "v1"}
	bad := gitops.Hold{Kind: gitops.HoldBad, Environments: []string{"prod", "dev"}, Apps: []string{"api"}, Tag: "v1"}
	with := func(h gitops.Hold, change func(*gitops.Hold)) gitops.Hold {
		change(&h)
		return h
	}
	for _, c := range []struct {
		name string
		new  gitops.Hold
		old  gitops.Hold
		want bool
	}{
		{"a pin at another tag", with(pin, func(h *gitops.Hold) { h.Tag = "v2" }), pin, true},
		{"a pin of another app", with(pin, func(h *gitops.Hold) { h.Apps = []string{"web"} }), pin, false},
		{"a pin elsewhere", with(pin, func(h *gitops.Hold) { h.Environments = []string{"dev"} }), pin, false},
		{"a mark of the same names", with(bad, func(h *gitops.Hold) { h.Environments = []string{"dev", "prod"} }), bad, true},
		{"a mark of another tag", with(bad, func(h *gitops.Hold) { h.Tag = "v2" }), bad, false},
		{"a mark of everything", with(bad, func(h *gitops.Hold) { h.Environments = nil }), bad, false},
		{"a mark and a pin", with(bad, func(h *gitops.Hold) { h.Environments = []string{"prod"} }), pin, false},
		{"a stop", gitops.Hold{Kind: gitops.HoldStop}, gitops.Hold{Kind: gitops.HoldStop}, false},
		{"a freeze", gitops.Hold{Kind: gitops.HoldFreeze}, gitops.Hold{Kind: gitops.HoldFreeze}, false},
	} {
		if got := c.new.Replaces(c.old); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// TestCheckHold has every kind as it may be, and changes one thing of it.
func TestCheckHold(t *testing.T) {
	end := noon.Add(time.Hour)
	right := map[gitops.HoldKind]gitops.Hold{
		gitops.HoldPin:    {Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "latest", Reason: "why", Until: end},
		gitops.HoldFreeze: {Environments: []string{"prod", "dev"}, Reason: "Wartung für immer", Until: end},
		gitops.HoldStop:   {},
		gitops.HoldBad:    {Apps: []string{"api"}, Tag: "v1", Reason: "why"},
	}
	many := make([]string, gitops.MaxHoldNames+1)
	for i := range many {
		many[i] = "app-" + strings.Repeat("x", i%90)
	}
	changes := []struct {
		name   string
		change func(*gitops.Hold)
		want   map[gitops.HoldKind]string // the field at fault, of each kind that is wrong then
	}{
		{"as it may be", func(*gitops.Hold) {}, nil},
		{"no environment", func(h *gitops.Hold) { h.Environments = nil }, map[gitops.HoldKind]string{gitops.HoldPin: "environments"}},
		{"two apps", func(h *gitops.Hold) { h.Apps = []string{"api", "web"} }, map[gitops.HoldKind]string{gitops.HoldPin: "apps", gitops.HoldBad: "apps"}},
		{"a name that is none", func(h *gitops.Hold) { h.Environments = []string{"../prod"} }, ofAll("environments")},
		{"a name twice", func(h *gitops.Hold) { h.Environments = []string{"dev", "dev"} }, ofAll("environments")},
		{"too many names", func(h *gitops.Hold) { h.Apps = many }, ofAll("apps")},
		{"no tag", func(h *gitops.Hold) { h.Tag = "" }, map[gitops.HoldKind]string{gitops.HoldPin: "tag", gitops.HoldBad: "tag"}},
		{"a tag", func(h *gitops.Hold) { h.Tag = "v1" }, map[gitops.HoldKind]string{gitops.HoldFreeze: "tag", gitops.HoldStop: "tag"}},
		{"a tag that is none", func(h *gitops.Hold) { h.Tag = "a b" }, ofAll("tag")},
		{"no end", func(h *gitops.Hold) { h.Until = time.Time{} }, map[gitops.HoldKind]string{gitops.HoldPin: "until", gitops.HoldFreeze: "until"}},
		{"an end", func(h *gitops.Hold) { h.Until = end }, map[gitops.HoldKind]string{gitops.HoldStop: "until", gitops.HoldBad: "until"}},
		{"an end now", func(h *gitops.Hold) { h.Until = noon }, ofAll("until")},
		{"an end in 10,000", func(h *gitops.Hold) { h.Until = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, ofAll("until")},
		{"no reason", func(h *gitops.Hold) { h.Reason = "" }, map[gitops.HoldKind]string{gitops.HoldPin: "reason", gitops.HoldFreeze: "reason", gitops.HoldBad: "reason"}},
		{"a reason of two lines", func(h *gitops.Hold) { h.Reason = "a\nb" }, ofAll("reason")},
		{"nobody", func(h *gitops.Hold) { h.Principal = "" }, ofAll("principal")},
		{"no actor", func(h *gitops.Hold) { h.Actor = "" }, ofAll("actor")},
		{"an actor that is none", func(h *gitops.Hold) { h.Actor = "a\nb" }, ofAll("actor")},
	}
	for _, c := range changes {
		for kind, h := range right {
			h.Kind, h.Principal, h.Actor = kind, "token:ops", "token:ops"
			c.change(&h)
			if got := fieldsOf(t, gitops.CheckHold(h, noon)); strings.Join(got, " ") != c.want[kind] {
				t.Errorf("%s of kind %s: wrong are %q; want %q", c.name, kind, got, c.want[kind])
			}
		}
	}
	all := fieldsOf(t, gitops.CheckHold(gitops.Hold{Kind: "other"}, noon))
	if diff := cmp.Diff([]string{"principal", "actor", "reason", "kind"}, all); diff != "" {
		t.Errorf("of one without anything: -want +got:\n%s", diff)
	}
}

// ofAll is the field at fault of every kind.
func ofAll(field string) map[gitops.HoldKind]string {
	fields := make(map[gitops.HoldKind]string)
	for _, kind := range gitops.HoldKinds() {
		fields[kind] = field
	}
	return fields
}

// fieldsOf are the fields at fault of joined errors, each once.
func fieldsOf(t *testing.T, err error) (fields []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		var e *gitops.Error
		if !errors.As(err, &e) || e.Code != gitops.Invalid || e.Message == "" {
			t.Fatalf("%v is no Invalid error", err)
		}
		if !slices.Contains(fields, e.Field) {
			fields = append(fields, e.Field)
		}
	}
	return fields
}

func TestCheckReason(t *testing.T) {
	for _, reason := range []string{"", "incident 4711", "größer: siehe https://wiki/x?y=z", strings.Repeat("x", gitops.MaxReason)} {
		if err := gitops.CheckReason("reason", reason); err != nil {
			t.Errorf("%q: %v", reason, err)
		}
	}
	for _, reason := range []string{"a\nb", "a\r", "a\tb", "a\x00", "\x7f", "\xff", "a\u0085b", "a\u2028b", " a", "a ", strings.Repeat("x", gitops.MaxReason+1)} {
		if err := gitops.CheckReason("reason", reason); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%q: %v", reason, err)
		}
	}
}
