package secrettest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
)

func TestASecretIsFoundInEveryForm(t *testing.T) {
	const secret = "s3cret of/the+hook, which is long enough"
	for name, text := range map[string]string{
		"as it is": secret, "in a URL": "https://x?t=" + url.QueryEscape(secret),
		"in base64": base64.StdEncoding.EncodeToString([]byte(secret)), "behind a user": base64.StdEncoding.EncodeToString([]byte("tallyman:" + secret)),
		"behind another": base64.StdEncoding.EncodeToString([]byte("a:" + secret + "?")), "behind a third": base64.StdEncoding.EncodeToString([]byte("abc:" + secret + "??")),
	} {
		var b Book
		b.Forbid("", secret, "another")
		fmt.Fprintf(&b, "level=INFO msg=%s end", text)
		if len(b.Found()) == 0 {
			t.Errorf("%s it is not found: %s", name, text)
		}
	}
	var b Book
	b.Forbid(secret, "short")
	if fmt.Fprint(&b, "it is short"); len(b.Found()) != 1 {
		t.Error("a short one is not found")
	}
	b = Book{}
	b.Forbid(secret)
	fmt.Fprint(&b, "nothing of the kind")
	if found := b.Found(); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
