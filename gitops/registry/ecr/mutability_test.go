package ecr_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/ecr"
)

// All four of ECR's settings are read, with their filters: a tag that one matches has the opposite.
func TestMutabilityByItsFourSettings(t *testing.T) {
	client, _, registry := newClient(t, ecr.Config{})
	repository := registry.Repository("shop/api")
	for _, c := range []struct {
		setting           string
		filters           []string
		release, branched bool // is v1.2.3, or main-abc, mutable
	}{
		{"MUTABLE", nil, true, true},
		{"IMMUTABLE", nil, false, false},
		{"IMMUTABLE_WITH_EXCLUSION", []string{"latest", "main-*"}, false, true},
		{"MUTABLE_WITH_EXCLUSION", []string{"v*.*"}, false, true},
	} {
		repository.SetMutability(t, c.setting, c.filters...)
		m, err := client.Mutability(t.Context(), registry.Host(), "shop/api")
		if err != nil || m.Setting != c.setting || strings.Join(m.Exclusions, " ") != strings.Join(c.filters, " ") {
			t.Errorf("%s: %+v, %v", c.setting, m, err)
		}
		if m.Mutable("v1.2.3") != c.release || m.Mutable("main-abc") != c.branched {
			t.Errorf("%s %v: v1.2.3 mutable is %v, main-abc %v", c.setting, c.filters, m.Mutable("v1.2.3"), m.Mutable("main-abc"))
		}
	}
	if !(ecr.Mutability{Setting: "SOMETHING_NEW"}).Mutable("v1") {
		t.Error("a setting that is not known protects a tag")
	}
	_, err := client.Mutability(t.Context(), registry.Host(), "shop/none")
	mustBe(t, "no repository", err, gitops.NotFound, "registry "+registry.Host()+" has no repository shop/none")
}

func TestWildcardsOfExclusionFilters(t *testing.T) {
	for pattern, want := range map[string]string{ // of the tags, those that match
		"v1": "v1", "*": "v1 v1.2 latest main-1-rc a.b", "v*": "v1 v1.2", "*-*": "main-1-rc", "main-*-rc": "main-1-rc", "*1": "v1",
		"*1*": "v1 v1.2 main-1-rc", "**": "v1 v1.2 latest main-1-rc a.b", "v1*v1": "", "*t*t": "latest", "a?b": "", "": "", "lat": "", "est": "",
	} {
		var got []string
		for _, tag := range []string{"v1", "v1.2", "latest", "main-1-rc", "a.b"} {
			if ecr.Matches(pattern, tag) {
				got = append(got, tag)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q matches %v, want %s", pattern, got, want)
		}
	}
}
