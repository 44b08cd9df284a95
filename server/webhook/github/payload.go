package github

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

const within = "client_payload"

// ordersOf reads client_payload. Only strings will do: gh api -F turns a tag of
// digits into a number, and 0123 would arrive as 123.
func ordersOf(payload []byte) ([]gitops.Order, *gitops.Error) {
	if len(payload) == 0 || payload[0] != '{' {
		return nil, &gitops.Error{Code: gitops.Rejected, Field: within, Message: "must be an object with app, env, tag and perhaps digest and nonce"}
	}
	order := gitops.Order{Within: within}
	var nonce string // makes the body another one: see digestOf
	into := map[string]*string{"app": &order.App, "env": &order.Environment, "tag": &order.Tag, "digest": &order.Digest, "nonce": &nonce}
	var others []string
	for name, value := range members(payload) {
		field, known := into[string(name)]
		if !known {
			others = append(others, string(name))
			continue
		}
		var ok bool
		if *field, ok = textOrNull(value); !ok {
			return nil, &gitops.Error{Code: gitops.Rejected, Field: within + "." + string(name), Message: notText(value)}
		}
	}
	for _, required := range []string{"app", "env", "tag"} {
		if *into[required] == "" && len(others) > 0 {
			return nil, misnamed(required, others)
		}
	}
	return []gitops.Order{order}, nil
}

// notText says of a value that is no string what to write.
func notText(value []byte) string {
	switch value[0] {
	case '[':
		return "must be a string in quotes, not a list: send a dispatch for each"
	case '{':
		return "must be a string in quotes, not an object"
	}
	return "must be a string (with gh api write -f, not -F, which turns digits into a number)"
}

// otherNames are what people call the fields that an order must have.
var otherNames = map[string][]string{
	"app": {"application", "app_name", "appName", "service", "name", "image", "repository"},
	"env": {"environment", "environments", "stage", "target", "ENV", "Env"},
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
