package github_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// decodeOrders reads a dispatch with a client_payload.
func decodeOrders(t *testing.T, payload string) gitops.Event {
	t.Helper()
	event, err := receiver(t, "s").Decode(headers(), []byte(`{"action": "update-image", "client_payload": `+payload+`, "sender": {"login": "ann"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// A dispatch may name several apps and environments. The payloads are what gh makes of
//
//	gh api repos/O/R/dispatches -f event_type=update-image -f 'client_payload[app][]=cart' -f 'client_payload[app][]=pay' ...
func TestDecodeLists(t *testing.T) {
	event := decodeOrders(t, `{"app": ["cart", "pay"], "env": ["dev", "staging"], "tag": "t"}`)
	order := func(app, environment string, a, e int) gitops.Order {
		return gitops.Order{App: app, Environment: environment, Tag: "t", Within: "client_payload", AppPlace: a, EnvironmentPlace: e}
	}
	want := []gitops.Order{order("cart", "dev", 1, 1), order("pay", "dev", 2, 1), order("cart", "staging", 1, 2), order("pay", "staging", 2, 2)}
	if diff := cmp.Diff(want, event.Orders); diff != "" || len(event.BodyDigest) == 0 {
		t.Error(diff)
	}
	if one := decodeOrders(t, `{"app": ["cart"], "env": "dev", "tag": "t"}`); len(one.Orders) != 1 || one.Orders[0] != order("cart", "dev", 0, 0) {
		t.Errorf("%+v", one)
	}
}

// What is wrong with a list is an order that was refused, and the error names the element.
func TestDecodeListsThatAreRefused(t *testing.T) {
	const rest = `, "env": "dev", "tag": "t"}`
	for name, c := range map[string]struct{ payload, field, says string }{
		"a number that -F made":  {`{"app": ["cart", 7]` + rest, "client_payload.app[1]", "with gh api write -f, not -F"},
		"a truth that -F made":   {`{"app": ["cart", true]` + rest, "client_payload.app[1]", "with gh api write -f, not -F"},
		"a null that -F made":    {`{"app": [null]` + rest, "client_payload.app[0]", "not null"},
		"app[] without a value":  {`{"app": []` + rest, "client_payload.app", "is an empty list"},
		"app[]= and nothing":     {`{"app": ["cart", ""]` + rest, "client_payload.app[1]", "is empty"},
		"app[0]= and app[1]=":    {`{"app": {"0": "cart", "1": "pay"}` + rest, "client_payload.app", "-f 'client_payload[app][]=NAME'"},
		"a list in a list":       {`{"app": ["cart", ["pay"]]` + rest, "client_payload.app[1]", "not a list"},
		"an object in a list":    {`{"app": [{"name": "cart"}]` + rest, "client_payload.app[0]", "not an object"},
		"twice":                  {`{"app": ["cart", "pay", "cart"]` + rest, "client_payload.app[2]", `"cart" is there already, as client_payload.app[0]`},
		"a list of tags":         {`{"app": "cart", "env": "dev", "tag": ["t"]}`, "client_payload.tag", "not a list"},
		"the name of the list":   {`{"apps": ["cart"], "env": "dev", "tag": "t"}`, "client_payload.app", "is missing: the field is called app, not apps"},
		"too many environments":  {`{"app": "cart", "tag": "t", "env": [` + strings.Repeat(`"dev",`, 5_000) + `"dev"]}`, "client_payload.env", "has more than 5000 names"},
		"an environment's place": {`{"app": "cart", "tag": "t", "env": ["dev", 1]}`, "client_payload.env[1]", "must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			event := decodeOrders(t, c.payload)
			checkEvent(t, event)
			if event.Orders != nil || event.Violation == nil || event.Violation.Code != gitops.Rejected || event.Violation.Field != c.field || !strings.Contains(event.Violation.Message, c.says) {
				t.Errorf("decoded to %+v with fault %v", event, event.Violation)
			}
		})
	}
}

// The same names in another order are another body, and an escape makes none: a body
// counts once as it always did.
func TestDigestOfLists(t *testing.T) {
	digest := func(apps string) string {
		return string(decodeOrders(t, `{"app": `+apps+`, "env": "dev", "tag": "t"}`).BodyDigest)
	}
	if digest(`["cart", "pay"]`) != digest("[\n\"c\\u0061rt\",\"pay\"]") {
		t.Error("the same list, written otherwise, is another body")
	}
	for _, other := range []string{`["pay", "cart"]`, `["cart"]`, `["cartpay"]`, `["cart", "pay", "x"]`} {
		if digest(`["cart", "pay"]`) == digest(other) {
			t.Errorf("%s has the digest of another list", other)
		}
	}
}
