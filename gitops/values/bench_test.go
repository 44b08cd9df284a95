package values_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
)

// BenchmarkApply sets one tag in a file as short as most are and in one as long
// as the longest public charts have, by a plain key and by one that yq evaluates.
func BenchmarkApply(b *testing.B) {
	const selecting = `.images[] | select(.name == "shop") | .newTag`
	for _, lines := range []int{60, 5000, 53_000} { // the last is 1 MiB
		for name, key := range map[string]string{"plain": ".image.tag", "select": selecting} {
			b.Run(fmt.Sprintf("%s/%d", name, lines), func(b *testing.B) {
				edit, err := values.Compile([]values.Target{{Key: key}})
				if err != nil {
					b.Fatal(err)
				}
				file := chartValues(lines)
				b.SetBytes(int64(len(file)))
				b.ReportAllocs()
				for b.Loop() {
					if _, changed, err := edit.Apply(file, values.Vars{Tag: "v2.0.0"}); err != nil || !changed {
						b.Fatal(changed, err)
					}
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := values.Compile([]values.Target{{Key: ".image.tag"}}); err != nil {
			b.Fatal(err)
		}
	}
}

// chartValues makes a values file of about that many lines, with the mix of
// comments, lists and maps that charts have.
func chartValues(lines int) []byte {
	file := "image:\n  repository: shop/api\n  tag: v1.0.0 # now\nimages:\n  - name: shop\n    newTag: v1.0.0\n"
	block := strings.Join([]string{
		"", "# -- section %[1]d of the shop", "section%[1]d:", "  enabled: true", "  replicas: %[1]d", "  # -- what it runs as",
		"  securityContext:", "    runAsUser: 65534", "    capabilities: {drop: [ALL]}", "  args:", "    - --level=info",
		"    - \"--listen=0.0.0.0:8080\"", "  resources: {}", "  annotations:", "    example.com/name: 'section %[1]d'", "",
	}, "\n")
	var b bytes.Buffer
	b.WriteString(file)
	for i := 0; bytes.Count(b.Bytes(), []byte("\n")) < lines; i++ {
		fmt.Fprintf(&b, block, i)
	}
	return b.Bytes()
}
