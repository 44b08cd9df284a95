package config_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// A device without an end is not read to it.
func TestLoadReadsSoMuchAndNoMore(t *testing.T) {
	_, err := config.Load("/dev/zero")
	if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(gitops.PublicOf(err), "the configuration file /dev/zero has more than 16 MiB") {
		t.Errorf("got %v", err)
	}
}
