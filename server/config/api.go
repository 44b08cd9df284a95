package config

import (
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkAPI checks the tokens' fields; what is in their files is checked by the API.
func (c *Config) checkAPI(report func(field, format string, args ...any)) {
	names := make(map[string]bool)
	for i, token := range c.API.Tokens {
		field := fmt.Sprintf("api.tokens[%d]", i)
		if err := gitops.CheckName("", token.Name); err != nil {
			report(field+".name", "%s", gitops.PublicOf(err))
		} else if names[token.Name] {
			report(field+".name", "is that of another token")
		}
		names[token.Name] = true
		if token.File == "" {
			report(field+".file", "is missing")
		}
		if len(token.Can) == 0 {
			report(field+".can", "must name at least one right")
		}
		for j, right := range token.Can {
			oneOf(report, fmt.Sprintf("%s.can[%d]", field, j), right, "read", "order", "retry", "cancel")
		}
		for _, limit := range []struct {
			field string
			names []string
			among []string
		}{
			{field + ".environments", token.Environments, keys(c.Environments)},
			{field + ".apps", token.Apps, keys(c.Apps)},
		} {
			checkSome(report, limit.field, "one", "it is all of them", limit.names)
			checkNames(report, limit.field, limit.names, limit.among)
		}
	}
	if c.API.OIDC != nil {
		for i, rule := range c.API.OIDC.Rules {
			field := fmt.Sprintf("api.oidc.rules[%d]", i)
			c.checkWhat(report, field, rule.Apps, rule.Environments)
			checkSome(report, field+".refs", "one pattern", "every ref of githubEnvironment may order", rule.Refs)
			checkSome(report, field+".workflows", "one workflow", "every workflow may order", rule.Workflows)
		}
	}
}

// checkWhat checks what a rule lets be ordered.
func (c *Config) checkWhat(report func(field, format string, args ...any), field string, apps, environments []string) {
	checkNames(report, field+".apps", apps, append(keys(c.Apps), "*"))
	checkNames(report, field+".environments", environments, keys(c.Environments))
}

// checkSome refuses a list that is there and empty where a list that is not there
// means all: whoever takes the last name out of it does not mean all of them.
func checkSome(report func(field, format string, args ...any), field, one, without string, names []string) {
	if names != nil && len(names) == 0 {
		report(field, "must name at least %s; without the field %s", one, without)
	}
}

func checkNames(report func(field, format string, args ...any), field string, names, among []string) {
	for i, name := range names {
		if !slices.Contains(among, name) {
			report(fmt.Sprintf("%s[%d]", field, i), "%q is not configured", name)
		}
	}
}

func keys[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	return names
}
