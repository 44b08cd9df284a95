package github

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const within = "client_payload"

// ordersOf reads client_payload, where app and env are a name or a list of names. Only
// strings will do: gh api -F turns a tag of digits into a number, and 0123 would arrive
// as 123.
func ordersOf(payload []byte) ([]gitops.Order, *gitops.Error) {
	if len(payload) == 0 || payload[0] != '{' {
		return nil, &gitops.Error{Code: gitops.Rejected, Field: within, Message: "must be an object with app, env, tag and perhaps digest, sha and nonce"}
	}
	form, others, err := readForm(payload)
	if err != nil {
		return nil, rejected(err)
	}
	for _, required := range []struct {
		field   string
		missing bool
	}{{"app", none(form.Apps)}, {"env", none(form.Environments)}, {"tag", form.Tag == ""}} {
		if required.missing && len(others) > 0 {
			return nil, misnamed(required.field, others)
		}
	}
	orders, err := form.Orders()
	if err != nil {
		return nil, rejected(err)
	}
	return orders, nil
}

// readForm reads the fields of an order, and returns the names of the other fields.
func readForm(payload []byte) (form webhook.OrderForm, others []string, err *gitops.Error) {
	form.Within = within
	var nonce string // makes the body another one: see digestOf
	lists := map[string]*[]string{"app": &form.Apps, "env": &form.Environments}
	texts := map[string]*string{"tag": &form.Tag, "digest": &form.Digest, "sha": &form.Revision, "nonce": &nonce}
	for name, value := range members(payload) {
		field := within + "." + string(name)
		if list, known := lists[string(name)]; known {
			if *list, err = webhook.ReadNames(field, value, notName); err != nil {
				return form, nil, err
			}
		} else if text, known := texts[string(name)]; known {
			var ok bool
			if *text, ok = textOrNull(value); !ok {
				return form, nil, gitops.FieldErrorf(field, "%s", notText(value))
			}
		} else {
			others = append(others, string(name))
		}
	}
	return form, others, nil
}

// none reports whether a field has no name.
func none(names []string) bool { return len(names) == 0 || names[0] == "" }

// rejected is the error of an order that is kept as it came.
func rejected(err *gitops.Error) *gitops.Error {
	kept := *err
	kept.Code = gitops.Rejected
	return &kept
}

// notName says of a value that is no name what to write.
func notName(value []byte) string {
	if value[0] == '{' {
		return "must be a string in quotes or a list of them, not an object: with gh api write -f '" + within + "[app][]=NAME' for each of several"
	}
	return notText(value)
}

// notText says of a value that is no string what to write.
func notText(value []byte) string {
	switch value[0] {
	case '[':
		return "must be a string in quotes, not a list"
	case '{':
		return "must be a string in quotes, not an object"
	case 'n':
		return "must be a string in quotes, not null"
	}
	return "must be a string (with gh api write -f, not -F, which turns digits into a number)"
}

// otherNames are what people call the fields that an order must have.
var otherNames = map[string][]string{
	"app": {"apps", "application", "app_name", "appName", "service", "name", "image", "repository"},
	"env": {"envs", "environment", "environments", "stage", "target", "ENV", "Env"},
	"tag": {"image_tag", "imageTag", "image-tag", "version", "TAG", "Tag"},
}

// misnamed says of a field that is missing which of the others may be meant for it.
func misnamed(required string, others []string) *gitops.Error {
	reject := func(format string, args ...any) *gitops.Error {
		return &gitops.Error{Code: gitops.Rejected, Field: within + "." + required, Message: fmt.Sprintf(format, args...)}
	}
	for _, name := range otherNames[required] {
		if slices.Contains(others, name) {
			return reject("is missing: the field is called %s, not %s", required, name)
		}
	}
	const most = 6
	for i, name := range others[:min(most, len(others))] {
		others[i] = fmt.Sprintf("%.40q", name)
	}
	return reject("is missing: the fields are called app, env, tag and digest, and %s has %s", within, strings.Join(others[:min(most, len(others))], ", "))
}
