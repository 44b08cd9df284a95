package gitops_test

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "12345678": "12345678", "123456789": "12345678...", "ü345678": "ü345678", "1234567ü": "1234567...",
		"a\nb\x1b\x7f": "a?b??", "a\xffb": "a?b",
	} {
		if got := gitops.Clip(text, 8); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
