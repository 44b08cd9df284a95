package gitops_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
)

func TestGrammars(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	hex64 := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct {
		what      string
		check     func(field, text string) error
		good, bad []string
	}{
		{"name", gitops.CheckName,
			[]string{"a", "9", "myshop-api", "my_shop.api", "a.b-c_d", "a--b", "a1", "A", "myShop", "MYSHOP-API", "Prod", "a.B", long(100), strings.Repeat("Z", 100)},
			[]string{"", ".", "..", "-a", "a-", ".a", "a.", "_a", "a_", "_A", "A-", "a b", "A/b", "a/b", `a\b`, "a..b", "a\n", "\na", "a\x00b", "é", "ａ", "a;b", "$(a)", "{app}", long(101)}},
		{"tag", gitops.CheckTag,
			[]string{"1", "v1.2.3", "main-1a2b3c4", "1.2.3-rc.1", "_x", "A", "1..2", "latest-1", "Latest", "sha256-" + hex64[1:], "sha256-" + hex64 + "-sig", "sha-" + hex64, hex64, long(128)},
			[]string{"", "latest", "sha256-" + hex64, "sha512-" + hex64, "sha256-" + hex64 + ".sig", "sha256-" + hex64 + ".att", "sha256-" + hex64 + ".sbom", ".1", "-1", "1.2.3+build", "a/b", "a:b", "a b", "a\n", "main-1a2b3c4\nx", "$(id)", `"`, "'", "#a", "{tag}", "é", long(129)}},
		{"digest", gitops.CheckDigest,
			[]string{"", "sha256:" + hex64},
			[]string{hex64, "sha256:", "sha256:" + hex64[1:], "sha256:" + hex64 + "0", "sha256:" + strings.ToUpper(hex64), "sha512:" + hex64 + hex64, "SHA256:" + hex64, "sha256:" + hex64 + "\n", " sha256:" + hex64}},
		{"delivery id", gitops.CheckDeliveryID,
			[]string{"1", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "94a9EXAMPLE", "a:b", "a.b_c", long(128)},
			[]string{"", "-a", ":a", "a/b", "a b", "a\n", "a\r\nX: y", "é", long(129)}},
		{"actor", gitops.CheckActor,
			[]string{"", "ann", "github-actions[bot]", "aws:123456789012", "ann@example.com", "org/ann_acme", long(128)},
			[]string{"[bot]", "-a", "a b", "a\nTallyman-Update: x", "a<b>", "é", long(129)}},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, text := range c.good {
				if err := c.check("f", text); err != nil {
					t.Errorf("%.40q is refused: %v", text, err)
				}
			}
			for _, text := range c.bad {
				err := c.check("f", text)
				if err == nil {
					t.Errorf("%.40q is taken", text)
					continue
				}
				if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), "f: ") {
					t.Errorf("%.40q: the error is %v, and does not name the field as invalid", text, err)
				}
			}
		})
	}
}

// What the grammars take is safe where it goes: in a path, in one line of a
// commit message, and in a yq or YAML scalar.
func FuzzGrammars(f *testing.F) {
	for _, s := range []string{"myshop-api", "a..b", "main-1a2b3c4", "../x", "a\nb", "latest", "github-actions[bot]", "sha256:", "", "\xff"} {
		f.Add(s)
	}
	line := regexp.MustCompile(`^[!-~]+$`)
	f.Fuzz(func(t *testing.T, s string) {
		if gitops.CheckName("f", s) == nil {
			if file := "charts/" + s + "/values.yaml"; path.Clean(file) != file || len(s) > 100 {
				t.Errorf("the name %q changes the path it is put in", s)
			}
		}
		for what, err := range map[string]error{
			"name": gitops.CheckName("f", s), "tag": gitops.CheckTag("f", s), "digest": gitops.CheckDigest("f", s),
			"id": gitops.CheckDeliveryID("f", s), "actor": gitops.CheckActor("f", s),
		} {
			if err == nil && s != "" && (!line.MatchString(s) || len(s) > 128 || strings.ContainsAny(s, "\"'`\\$;&|<>{}()*?!#%,= ")) {
				t.Errorf("%q is taken as %s", s, what)
			}
		}
	})
}
