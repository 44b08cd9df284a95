package github

import (
	"net/http"
	"strings"
	"testing"
)

// TestOneBodyHasOneDigest holds a digest to what counts as the same order.
func TestOneBodyHasOneDigest(t *testing.T) {
	r, err := New(func() [][]byte { return [][]byte{[]byte("a secret of some length")} }, []string{"deploy"})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"action":"deploy","client_payload":{"app":"api","env":"dev","tag":"v1"},"repository":{"id":1,"full_name":"o/r"},"sender":{"id":2,"login":"ann"}}`
	digest := func(id, body string) string {
		t.Helper()
		h := http.Header{"X-Github-Delivery": {id}, "X-Github-Event": {"repository_dispatch"}, "Content-Type": {"application/json"}}
		e, err := r.Decode(h, []byte(body))
		if err != nil || e.Order == nil {
			t.Fatal(e, err)
		}
		return string(e.BodyDigest)
	}
	first := digest("1", body)
	if first == "" || digest("2", body) != first || digest("3", strings.ReplaceAll(body, `,"`, ",\n  \"")) != first {
		t.Error("the same body has another digest")
	}
	for _, other := range []string{
		strings.Replace(body, `"v1"`, `"v2"`, 1), strings.Replace(body, `"id":1`, `"id":3`, 1), strings.Replace(body, `"tag":"v1"`, `"tag":"v1","nonce":"1"`, 1),
		strings.Replace(body, `"ann"`, `"bob"`, 1),
	} {
		if digest("1", other) == first {
			t.Errorf("%s has the digest of another body", other)
		}
	}
}

// TestNonceIsText refuses a nonce that is no text, as every other field of an order.
func TestNonceIsText(t *testing.T) {
	if order, err := orderOf([]byte(`{"app":"api","env":"dev","tag":"v1","nonce":"2026-03-01"}`)); err != nil || order.Tag != "v1" {
		t.Error(order, err)
	}
	if _, err := orderOf([]byte(`{"app":"api","env":"dev","tag":"v1","nonce":7}`)); err == nil || err.Field != "client_payload.nonce" {
		t.Error(err)
	}
}
