package gitops_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A field has the name that its sender gave it, and a place where that is a list.
func TestOrderField(t *testing.T) {
	dispatch, body := gitops.Order{Within: "client_payload", AppPlace: 2, EnvironmentPlace: 1}, gitops.Order{AppPlace: 11}
	for want, got := range map[string]string{
		"client_payload.app[1]": dispatch.Field("app"),
		"client_payload.env[0]": dispatch.Field("env"),
		"client_payload.tag":    dispatch.Field("tag"),
		"app[10]":               body.Field("app"),
		"environment":           body.Field("env"),
		"digest":                body.Field("digest"),
	} {
		if got != want {
			t.Errorf("the field is called %q, want %q", got, want)
		}
	}
}
