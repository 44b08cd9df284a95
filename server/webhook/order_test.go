package webhook_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// An order stands for every app in every environment, environment by environment.
func TestFormStandsForOrders(t *testing.T) {
	orders, err := webhook.OrderForm{Within: "client_payload", Apps: []string{"cart", "pay"}, Environments: []string{"staging", "dev"}, Tag: "t", Digest: "d", Revision: "r"}.Orders()
	if err != nil {
		t.Fatal(err)
	}
	order := func(app, environment string, a, e int) gitops.Order {
		return gitops.Order{App: app, Environment: environment, Tag: "t", Digest: "d", Revision: "r", Within: "client_payload", AppPlace: a, EnvironmentPlace: e}
	}
	want := []gitops.Order{order("cart", "staging", 1, 1), order("pay", "staging", 2, 1), order("cart", "dev", 1, 2), order("pay", "dev", 2, 2)}
	if diff := cmp.Diff(want, orders); diff != "" {
		t.Error(diff)
	}
	one, err := webhook.OrderForm{Apps: []string{"cart"}, Tag: "t"}.Orders()
	if diff := cmp.Diff([]gitops.Order{{App: "cart", Tag: "t"}}, one); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// many are so many names.
func many(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}

// A form that stands for too much, or for something twice, is refused, before it is made.
func TestFormsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		form webhook.OrderForm
		want string
	}{
		"as many as may be":      {webhook.OrderForm{Apps: many("a", queue.MaxUpdates/5), Environments: many("e", 5)}, ""},
		"one more":               {webhook.OrderForm{Apps: many("a", queue.MaxUpdates+1), Environments: []string{"dev"}}, "app: 5001 apps in 1 environments are 5001 updates, and one order has up to 5000: send several orders"},
		"1,000 apps in 100":      {webhook.OrderForm{Within: "client_payload", Apps: many("a", 1_000), Environments: many("e", 100)}, "client_payload.app: 1000 apps in 100 environments are 100000 updates"},
		"an app twice":           {webhook.OrderForm{Within: "client_payload", Apps: []string{"cart", "pay", "cart"}}, `client_payload.app[2]: "cart" is there already, as client_payload.app[0]: remove one`},
		"an environment twice":   {webhook.OrderForm{Apps: []string{"cart"}, Environments: []string{"dev", "dev"}}, `environment[1]: "dev" is there already, as environment[0]: remove one`},
		"twice, and hostile":     {webhook.OrderForm{Apps: []string{"a\n::x" + strings.Repeat("y", 999), "a\n::x" + strings.Repeat("y", 999)}}, `app[1]: "a?::xyyy`},
		"another case":           {webhook.OrderForm{Apps: []string{"cart", "Cart"}}, ""},
		"another form of a mark": {webhook.OrderForm{Apps: []string{"caf\u00e9", "cafe\u0301"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			orders, err := c.form.Orders()
			if c.want == "" {
				if err != nil || len(orders) != len(c.form.Apps)*max(1, len(c.form.Environments)) {
					t.Errorf("%d orders, %v", len(orders), err)
				}
				return
			}
			if err == nil || err.Code != gitops.Invalid || !strings.HasPrefix(err.Public(), c.want) || len(err.Public()) > 300 || orders != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// read reads a field as a receiver does.
func read(value string) ([]string, *gitops.Error) {
	return webhook.ReadNames("app", []byte(value), func(value []byte) string { return "is no text but " + string(value[:1]) })
}

func TestReadNames(t *testing.T) {
	list, err := json.Marshal(many("a", queue.MaxUpdates))
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][]string{
		`"cart"`:                       {"cart"},
		`null`:                         {""},
		`""`:                           {""},
		`["cart"]`:                     {"cart"},
		"[ \"cart\" ,\n\"p\\u0061y\"]": {"cart", "pay"},
		string(list):                   many("a", queue.MaxUpdates),
	} {
		if got, err := read(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%.100s: %q, %v", value, got, err)
		}
	}
	for value, want := range map[string]string{
		`7`:                           "app: is no text but 7",
		`{"0": "cart"}`:               "app: is no text but {",
		`[]`:                          "app: is an empty list: give at least one name",
		`["cart", 7]`:                 "app[1]: is no text but 7",
		`["cart", null]`:              "app[1]: is no text but n",
		`[true]`:                      "app[0]: is no text but t",
		`["cart", ["pay"]]`:           "app[1]: is no text but [",
		`["cart", "pay", {}]`:         "app[2]: is no text but {",
		`["cart", ""]`:                "app[1]: is empty: give a name, or remove it",
		"[\"x\", " + string(list[1:]): "app: has more than 5000 names, and one order has up to 5000 updates: send several orders",
		"[" + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + "]":  "app[0]: is no text but [",
		"[" + strings.TrimSuffix(strings.Repeat(`"a",`, 250_000), ",") + "]": "app: has more than 5000 names, and one order has up to 5000 updates: send several orders",
		"[" + strings.TrimSuffix(strings.Repeat(`[],`, 350_000), ",") + "]":  "app[0]: is no text but [",
		`["` + strings.Repeat("a", 1<<20) + `", 1]`:                          "app[1]: is no text but 1",
	} {
		if got, err := read(value); err == nil || err.Public() != want || err.Code != gitops.Invalid || got != nil {
			t.Errorf("%.100s: %.100q, %v", value, got, err)
		}
	}
}

// FuzzReadNames holds a field to package json: what is read is what the list says, and
// what is refused is no list of names.
func FuzzReadNames(f *testing.F) {
	for _, seed := range []string{`"a"`, `["a","b"]`, `[]`, `[["a"]]`, `["a",1]`, `null`, `{"a":[]}`, `["\ud800","\u00e9"]`, `[ "a" , null ]`, `["",""]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !json.Valid(value) || strings.TrimLeft(string(value), " \t\r\n") != string(value) {
			return
		}
		got, err := read(string(value))
		var one string
		var list []string
		switch {
		case json.Unmarshal(value, &one) == nil:
			if err != nil || len(got) != 1 || got[0] != one {
				t.Errorf("%q: %q, %v", value, got, err)
			}
		case json.Unmarshal(value, &list) == nil && len(list) > 0 && len(list) <= queue.MaxUpdates && !slices.Contains(list, ""):
			if err != nil || !slices.Equal(got, list) {
				t.Errorf("%q: %q, %v", value, got, err)
			}
		default:
			if err == nil || err.Code != gitops.Invalid || !strings.HasPrefix(err.Field, "app") || len(err.Public()) > 200 {
				t.Errorf("%q: %q, %v", value, got, err)
			}
		}
	})
}
