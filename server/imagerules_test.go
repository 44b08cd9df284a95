package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
)

// inspectProd has the images of prod inspected.
func (s *site) inspectProd(fields string) {
	s.t.Helper()
	s.edit(`prod: {tags: {semver: ">=1.0.0"}}`, `prod: {image: {`+fields+`}, tags: {semver: ">=1.0.0"}}`)
}

func TestImageRulesAreMadeOfTheConfiguration(t *testing.T) {
	s := newSite(t)
	s.inspectProd("wait: 7m, platforms: [linux/arm64], moved: allow, ecrSigning: true")
	got, err := buildImageRules(s.config())
	s.must(err)
	want := map[string]image.Rules{"prod": {Wait: 7 * time.Minute, Platforms: []image.Platform{{OS: "linux", Architecture: "arm64"}}, AllowMoved: true, ECRSigned: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
