package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/server/config"
)

// Whoever has a file of before learns where each of the old lists went.
func TestFieldsThatMovedToAccess(t *testing.T) {
	for text, want := range map[string]string{
		"sources: {github: {allow: [{apps: [api]}]}}":          "sources.github.allow: has moved: write each rule as one of access, with its repository and senders in who.dispatch, and may: [order] (line 1)",
		"api: {oidc: {rules: [{apps: [api]}]}}":                "api.oidc.rules: has moved: write each rule as one of access, with its repository, refs and so on in who.job, and may: [order] (line 1)",
		"api: {tokens: [{name: a}, {can: [read]}]}":            "api.tokens[1].can: has moved: write it as a rule of access, with who.token, may, apps and environments (line 1)",
		"api: {tokens: [{environments: [dev]}]}":               "api.tokens[0].environments: has moved: ",
		"api: {tokens: [{apps: [api]}]}":                       "api.tokens[0].apps: has moved: ",
		"sources: {eventbridge: {accounts: ['123456789012']}}": "sources.eventbridge.accounts: has moved: write it as a rule of access, with source, accounts and regions in who.push, may: [order], apps and environments (line 1)",
		"sources: {eventbridge: {regions: [eu-west-1]}}":       "sources.eventbridge.regions: has moved: ",
		"sources: {sns: {accounts: ['123456789012']}}":         "sources.sns.accounts: has moved: ",
		"sources: {sns: {regions: [eu-west-1]}}":               "sources.sns.regions: has moved: ",
	} {
		_, err := config.Parse([]byte(text))
		if got := found(err); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}

// A field that is there without a value would allow more than one that has some: a
// template whose own value is missing must not open what it was to confine.
func TestFieldsOfAccessWithoutAValue(t *testing.T) {
	for text, field := range map[string]string{
		"access: [{who: {token: ops}, apps: }]":                                   "access[0].apps",
		"access: [{who: {token: ops}, environments: ~}]":                          "access[0].environments",
		"access: [{who: {token: ''}}]":                                            "access[0].who.token",
		"access:\n- who:\n    push:\n      accounts:\n      # - '123456789012'\n": "access[0].who.push.accounts",
		"access: [{who: {push: {source: sns, topics: null, regions: null}}}]":     "access[0].who.push.topics",
		"access: [{who: {dispatch: {senders: }}}]":                                "access[0].who.dispatch.senders",
		"access: [{who: {dispatch: {senderIDs: }}}]":                              "access[0].who.dispatch.senderIDs",
		"access: [{who: {dispatch: {senderIDs: [0]}}}]":                           "access[0].who.dispatch.senderIDs[0]",
		"access: [{who: {dispatch: {installationID: 0}}}]":                        "access[0].who.dispatch.installationID",
		"access: [{who: {dispatch: {installationID: }}}]":                         "access[0].who.dispatch.installationID",
		"access: [{who: {job: {githubEnvironment: ''}}}]":                         "access[0].who.job.githubEnvironment",
		"access: [{who: {job: {githubEnvironment: }}}]":                           "access[0].who.job.githubEnvironment",
		"access: [{who: {job: {githubEnvironment: ' '}}}]":                        "access[0].who.job.githubEnvironment",
		"x: &none\naccess: [{who: {job: {githubEnvironment: *none}}}]":            "access[0].who.job.githubEnvironment",
		"access: [{who: {job: {refProtected: }}}]":                                "access[0].who.job.refProtected",
		"access: [{who: {job: {workflows: }}}]":                                   "access[0].who.job.workflows",
		"access: [{who: {job: {jobWorkflows: }}}]":                                "access[0].who.job.jobWorkflows",
		"access: [{who: {job: {jobWorkflows: [{ref: x, sha: ''}]}}}]":             "access[0].who.job.jobWorkflows[0].sha",
		"access: [{who: {job: {events: }}}]":                                      "access[0].who.job.events",
		"access: [{who: {job: {runnerEnvironment: \"\"}}}]":                       "access[0].who.job.runnerEnvironment",
		"access: [{who: {job: {actorIDs: }}}]":                                    "access[0].who.job.actorIDs",
		"access: [{who: {job: {issuer: }}}]":                                      "access[0].who.job.issuer",
		"api: {tokens: [{name: ops, file: x, expires: ''}]}":                      "api.tokens[0].expires",
		"api: {tokens: [{name: ops, file: x, expires: }]}":                        "api.tokens[0].expires",
	} {
		_, err := config.Parse([]byte(text))
		want := field + ": has no value, which allows more and not less: write one, or leave the field out (line "
		if got := found(err); !slices.ContainsFunc(got, func(problem string) bool { return strings.HasPrefix(problem, want) }) {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}

// Only a job has defaults of its own.
func TestAccessByDefault(t *testing.T) {
	c := parse(t, minimal+"access: [{who: {job: {}}}, {who: {job: {events: []}}}, {who: {token: ops}}]\n")
	want := []config.Access{
		{Who: config.Who{Job: &config.Job{Events: []string{"push", "workflow_dispatch", "release"}}}},
		{Who: config.Who{Job: &config.Job{Events: []string{}}}},
		{Who: config.Who{Token: "ops"}},
	}
	if diff := cmp.Diff(want, c.Access); diff != "" {
		t.Error(diff)
	}
}

func TestExpiry(t *testing.T) {
	for text, want := range map[string]time.Time{
		"":                          {},
		"2027-01-31":                time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
		"2027-01-31T12:00:00+02:00": time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC),
	} {
		if got, ok := (config.Token{Expires: text}).Expiry(); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"never", "31.1.2027", "2027-02-31", "2027-01-31 12:00"} {
		if at, ok := (config.Token{Expires: text}).Expiry(); ok {
			t.Errorf("%q: %v", text, at)
		}
	}
}
