package values_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// What people write in a key in another tool's way is told apart from a mistyped
// expression.
func TestKeysWithTheWayOut(t *testing.T) {
	names := values.Names{App: "api", Environment: "dev", Repository: "ghcr.io/shop/api"}
	for _, c := range []struct{ key, says string }{
		{".images.{environment}.tag", "knows {app}, {env} and {repository} in braces, and not {environment}: write {env}"},
		{"{Env}", "and not {Env}"},
		{`.x | select(.name == "{environment}")`, "and not {environment}: write {env}"},
		{`.x | select(.name == {tag}) | .y`, "and not {tag}"},
		{`.x | select(.name == "{tag}") | .y`, "and not {tag}"},
		{".apps.{App}.tag", "and not {App}"},
		{".image.${TAG}", "and not ${TAG}"},
		{".image.{{ .Values.key }}", "and not {{ .Values.key }}"},
		{"$.image.tag", "a path begins with a dot; write .image.tag"},
		{"image.tag", "a path begins with a dot; write .image.tag"},
		{"spec.images[0].tag", "write .spec.images[0].tag"},
		{".image.tag |", "is not a yq expression: "},
	} {
		_, err := values.Compile(values.Bind([]values.Target{{Key: c.key}}, names))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "lexer") {
			t.Errorf("%s:\n got %v\nwant %s", c.key, err, c.says)
		}
	}
	for _, key := range []string{".{app}.tag", `.x | select(.name == {app}) | .y`, `.x["{app}-{repository}"]`, `.x["a{b}c"]`, ".{env}.{app}.tag", `.x["{env}-{app}"]`, ".x[{env}]"} {
		if _, err := values.Compile(values.Bind([]values.Target{{Key: key}}, names)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
