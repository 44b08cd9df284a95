package webhook_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

func TestCheckSecrets(t *testing.T) {
	for name, secrets := range map[string][][]byte{
		"none": nil, "an empty list": {}, "an empty one": {{}}, "an empty one at the end": {[]byte("s"), nil},
	} {
		if err := webhook.CheckSecrets("sources.x.secretFiles", secrets); gitops.CodeOf(err) != gitops.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := webhook.CheckSecrets("f", [][]byte{[]byte("a"), []byte("b")}); err != nil {
		t.Error(err)
	}
}

func TestMatchesAny(t *testing.T) {
	both := [][]byte{[]byte("first"), []byte("second")}
	for got, want := range map[string]bool{
		"first": true, "second": true, "": false, "firs": false, "first ": false, "FIRST": false, "firstsecond": false,
	} {
		if webhook.MatchesAny([]byte(got), both) != want {
			t.Errorf("%q matches: %t", got, !want)
		}
	}
	if webhook.MatchesAny(nil, nil) || webhook.MatchesAny([]byte("x"), nil) {
		t.Error("something matches no secret at all")
	}
}
