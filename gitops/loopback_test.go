package gitops_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "127.0.0.1.example": false, "128.0.0.1": false, "0.0.0.0": false, "::": false, "10.0.0.1": false,
	} {
		if gitops.IsLoopback(host) != want {
			t.Errorf("%q is loopback: %t", host, !want)
		}
	}
}
