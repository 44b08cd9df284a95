package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// OrderForm is an order as its sender writes it: every app in every environment gets the
// tag.
type OrderForm struct {
	Within                string // see [gitops.Order]
	Apps, Environments    []string
	Tag, Digest, Revision string
}

// Orders are those that the form stands for, environment by environment. The error's
// code is Invalid: a name is there twice, or there are more than one delivery may have.
func (f OrderForm) Orders() ([]gitops.Order, *gitops.Error) {
	apps, environments := orMissing(f.Apps), orMissing(f.Environments)
	form := gitops.Order{Within: f.Within}
	for _, list := range []struct {
		field string
		names []string
	}{{form.Field("app"), apps}, {form.Field("env"), environments}} {
		if err := checkTwice(list.field, list.names); err != nil {
			return nil, err
		}
	}
	if n := len(apps) * len(environments); n > queue.MaxUpdates {
		return nil, gitops.FieldErrorf(form.Field("app"), "%d apps in %d environments are %d updates, and one order has up to %d: send several orders",
			len(apps), len(environments), n, queue.MaxUpdates)
	}
	orders := make([]gitops.Order, 0, len(apps)*len(environments))
	for e, environment := range environments {
		for a, app := range apps {
			orders = append(orders, gitops.Order{
				App: app, Environment: environment, Tag: f.Tag, Digest: f.Digest, Revision: f.Revision,
				Within: f.Within, AppPlace: placeIn(apps, a), EnvironmentPlace: placeIn(environments, e),
			})
		}
	}
	return orders, nil
}

// orMissing has one empty name for a field that is not there, which its check finds.
func orMissing(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

func placeIn(names []string, i int) int {
	if len(names) == 1 {
		return 0
	}
	return i + 1
}

func checkTwice(field string, names []string) *gitops.Error {
	first := make(map[string]int, len(names))
	for i, name := range names {
		if earlier, twice := first[name]; twice {
			return gitops.FieldErrorf(element(field, i), "%q is there already, as %s: remove one", gitops.Clip(name, 100), element(field, earlier))
		}
		first[name] = i
	}
	return nil
}

// ReadNames reads a field of valid JSON that is a name or a list of names; null is none.
// What notText says of a value is the error where that should be a string. The error's
// code is Invalid.
func ReadNames(field string, value []byte, notText func(value []byte) string) ([]string, *gitops.Error) {
	if value[0] != '[' {
		name, ok := readText(value)
		if !ok && value[0] != 'n' {
			return nil, gitops.FieldErrorf(field, "%s", notText(value))
		}
		return []string{name}, nil
	}
	var names []string
	list := json.NewDecoder(bytes.NewReader(value))
	_, _ = list.Token() // the bracket: the value is valid
	for list.More() {
		var item json.RawMessage
		_ = list.Decode(&item)
		at := element(field, len(names))
		name, ok := readText(item)
		switch {
		case !ok:
			return nil, gitops.FieldErrorf(at, "%s", notText(item))
		case name == "":
			return nil, gitops.FieldErrorf(at, "is empty: give a name, or remove it")
		case len(names) == queue.MaxUpdates:
			return nil, gitops.FieldErrorf(field, "has more than %d names, and one order has up to %d updates: send several orders", queue.MaxUpdates, queue.MaxUpdates)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, gitops.FieldErrorf(field, "is an empty list: give at least one name")
	}
	return names, nil
}

// readText reads a JSON value that is a string.
func readText(value []byte) (text string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(value, &text) == nil
}

// element names an element of a list, as errors do.
func element(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
