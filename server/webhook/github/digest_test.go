package github

import (
	"net/http"
	"strings"
	"testing"
	"time"
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
		if err != nil || e.Orders == nil {
			t.Fatal(e, err)
		}
		return string(e.BodyDigest)
	}
	first := digest("1", body)
	if first == "" || digest("2", body) != first || digest("3", strings.ReplaceAll(body, `,"`, ",\n  \"")) != first {
		t.Error("the same body has another digest")
	}
	for what, written := range map[string]string{
		"the order of members":     `{"sender":{"login":"ann","id":2},"repository":{"full_name":"o/r","id":1},"client_payload":{"tag":"v1","env":"dev","app":"api"},"action":"deploy"}`,
		"escapes":                  strings.NewReplacer(`"o/r"`, `"o\/r"`, `"ann"`, `"\u0061nn"`, `"app"`, `"\u0061pp"`).Replace(body),
		"white space around":       " \r\n" + body + "\n",
		"white space in and after": strings.NewReplacer(`{`, "{ ", `:`, " :\t", `}`, " }").Replace(body),
	} {
		if digest("1", written) != first {
			t.Errorf("%s makes another body", what)
		}
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

// TestCanonicalFormsDiffer holds different values to different forms, however alike.
func TestCanonicalFormsDiffer(t *testing.T) {
	forms := make(map[string]string)
	for _, value := range []string{
		`{}`, `[]`, `""`, `null`, `true`, `0`, `1`, `"1"`, `"1,"`, `-1`, `1.0`, `[1]`, `[1,2]`, `[12]`, `[[1],2]`, `[[1,2]]`, `["1","2"]`, `["1\",\"2"]`, `["12"]`, `[[]]`, `[{}]`,
		`{"a":1}`, `{"a":"1"}`, `{"a":{"b":1}}`, `{"a":{},"b":1}`, `{"a":[{"b":1}]}`, `{"a":"b"}`, `{"a":"b\"1:c"}`, `{"a":null}`, `{"a":"null"}`, `{"a":1,"a":2}`, `{"a":2,"a":1}`, `{"":1}`,
		`{"a":"","b":""}`, `{"a":"}","b":""}`, `"\u0000"`, `"\ud800"`, `"a\u0000"`,
	} {
		whole, rest := appendCanonical(nil, []byte(value))
		form := string(whole)
		if len(rest) > 0 {
			t.Errorf("after %s %q is left", value, rest)
		}
		if other, known := forms[form]; known {
			t.Errorf("%s and %s are both %q", value, other, form)
		}
		forms[form] = value
	}
}

// TestADeepBodyIsReadOnce has a body in which each level holds all deeper ones. Going
// over those again at each level would take minutes.
func TestADeepBodyIsReadOnce(t *testing.T) {
	const depth = 9_000 // encoding/json goes no deeper than 10,000
	body := []byte(strings.Repeat(`{"b":[0],"a":`, depth) + `"` + strings.Repeat("x", 900<<10) + `"` + strings.Repeat(`}`, depth))
	if !isObject(body) {
		t.Fatal("the body is not JSON")
	}
	var digest []byte
	took := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			digest = digestOf(dispatch{}, body)
		}
	}).NsPerOp()
	if len(digest) != 32 || took > int64(time.Second) {
		t.Errorf("%x after %s", digest, time.Duration(took))
	}
}

// TestNonceIsText refuses a nonce that is no text, as every other field of an order.
func TestNonceIsText(t *testing.T) {
	if orders, err := ordersOf([]byte(`{"app":"api","env":"dev","tag":"v1","nonce":"2026-03-01"}`)); err != nil || orders[0].Tag != "v1" {
		t.Error(orders, err)
	}
	if _, err := ordersOf([]byte(`{"app":"api","env":"dev","tag":"v1","nonce":7}`)); err == nil || err.Field != "client_payload.nonce" {
		t.Error(err)
	}
}
