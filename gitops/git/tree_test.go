package git

import (
	"strings"
	"testing"
)

func TestMalformedTreesAreRefused(t *testing.T) {
	for _, tree := range []string{"x", "100644", "100644 ", "100644 a", "100644 a\x00short", "100644 \x00" + strings.Repeat("x", 20)} {
		if _, _, err := FindEntry([]byte(tree), "b"); err == nil {
			t.Errorf("%q was read", tree)
		}
		m := make(memory)
		if _, err := NewDirectory(m.put(KindTree, []byte(tree)), m, NewIndex(nil), 1<<40); err == nil {
			t.Errorf("%q became a directory", tree)
		}
	}
}
