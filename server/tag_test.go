package server

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/config"
)

func TestTagReader(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		value, file, tag string
		code             gitops.Code
	}{
		{"", "x: v1", "v1", ""},
		{"{tag}", "x: \"1.20\"", "1.20", ""},
		{"{tag}", "x:", "", ""},
		{"{repository}:{tag}", "x: host:5000/shop/api:1.2.3", "1.2.3", ""},
		{"{repository}:{tag}@{digest}", "x: host/api:1.2.3" + digest, "1.2.3", ""},
		{"v{tag}", "x: v1", "1", ""},
		{"v{tag}", "x: 1", "", gitops.Invalid},
		{"{repository}:{tag}", "x: host/api", "", gitops.Invalid},
		{"{digest}", "x: " + digest[1:], "", gitops.NotFound},
		{"{tag}", "y: v1", "", gitops.NotFound},
	} {
		t.Run(c.value+" "+c.file, func(t *testing.T) {
			edit, err := values.Compile([]values.Target{{Key: ".x", Value: c.value}})
			if err != nil {
				t.Fatal(err)
			}
			tag, err := newTagReader(edit, config.Sets{{Key: ".x", Value: c.value}}).read([]byte(c.file + "\n"))
			if tag != c.tag || (err == nil) != (c.code == "") || err != nil && gitops.CodeOf(err) != c.code {
				t.Errorf("read %q, %v", tag, err)
			}
		})
	}
}
