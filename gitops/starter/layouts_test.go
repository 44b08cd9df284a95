package starter

import (
	"testing"
)

// layoutNames are the five layouts of testdata/layouts.
var layoutNames = []string{"helm-values", "kustomize-overlays", "flux-helmreleases", "umbrella-chart", "applicationset-list"}

// The proposal for each layout, and what is said of it.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for _, name := range layoutNames {
		t.Run(name, func(t *testing.T) {
			f := readTree(t, "testdata/layouts/"+name).find()
			checkGolden(t, name+".yaml", f.Configuration(about))
			checkGolden(t, name+".txt", []byte(f.Summary()))
		})
	}
}
