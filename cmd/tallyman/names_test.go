package main

import (
	"errors"
	"slices"
	"testing"
)

func TestMistypedNames(t *testing.T) {
	known := []string{"dev", "staging", "prod", "prod-eu", "APAC"}
	for name, want := range map[string]string{
		"":        "",
		"prod":    "",
		"prdo":    `unknown environment "prdo": did you mean prod?`,
		"stagign": `unknown environment "stagign": did you mean staging?`,
		"prod_eu": `unknown environment "prod_eu": did you mean prod-eu?`,
		"PROD":    `unknown environment "PROD": did you mean prod?`,
		"apac":    `unknown environment "apac": did you mean APAC?`,
		"qa-west": `unknown environment "qa-west": there are dev, staging, prod, prod-eu, APAC`,
	} {
		got := ""
		if err := checkName("environment", name, known); err != nil {
			got = err.Error()
			if exitCode(err) != exitBadInput {
				t.Errorf("%q: exit %d", name, exitCode(err))
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	// A server that cannot read the manifest repository knows no apps, and refuses none.
	if err := checkName("app", "api", nil); err != nil {
		t.Error(err)
	}
}

// What two places find wrong is printed once.
func TestJoinedErrorsAreLinesOnce(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	err := badInput{errors.Join(one, errors.Join(two, errors.New("one")), badInput{two})}
	if got := linesOf(err); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
}
