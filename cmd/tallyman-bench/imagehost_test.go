package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// The registry has every image but the late ones, each with a digest of its own that is its
// manifest's, and counts looks that found one.
func TestTheImageHost(t *testing.T) {
	r, err := startImageHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() }) // nothing of it is needed any more
	look := func(image string) (status int, digest string) {
		t.Helper()
		resp, err := http.Get("http://" + r.host + "/v2/" + image)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		digest = resp.Header.Get("Docker-Content-Digest")
		if resp.StatusCode == http.StatusOK && digest != fmt.Sprintf("sha256:%x", sha256.Sum256(body)) {
			t.Errorf("%s has digest %s, which is not its manifest's", image, digest)
		}
		return resp.StatusCode, digest
	}
	push := r.delay("api:v2")
	_, one := look("api/manifests/v1")
	_, other := look("web/manifests/v1")
	if one == "" || one == other {
		t.Errorf("two images have the digests %q and %q", one, other)
	}
	for range 2 {
		if status, _ := look("api/manifests/v2"); status != http.StatusNotFound {
			t.Errorf("an image that is late is answered %d", status)
		}
	}
	if err := r.awaitLooks(t.Context(), "api:v2", 2); err != nil {
		t.Error(err)
	}
	push()
	if status, _ := look("api/manifests/v2"); status != http.StatusOK {
		t.Errorf("an image that has come is answered %d", status)
	}
	if n := r.counted(); n != 3 {
		t.Errorf("%d looks found an image", n)
	}
	if n := r.counted(); n != 0 {
		t.Errorf("%d looks are counted again", n)
	}
}
