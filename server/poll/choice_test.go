package poll

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// However a list is ordered and cut into pages, each place's best is the same, what is not a
// best is given back once, and no more is kept than there are places.
func TestAChoiceDoesNotDependOnTheOrderOfTheList(t *testing.T) {
	byVersion, byPush := place{Place: gitops.Place{Environment: "prod", App: "api"}, versions: true}, place{Place: gitops.Place{Environment: "dev", App: "api"}}
	old := place{Place: gitops.Place{Environment: "qa", App: "api"}, versions: true}
	takers := func(tag string) []place {
		if gitops.VersionKey(tag) < gitops.VersionKey("1.0.40") {
			return []place{byVersion, byPush, old}
		}
		return []place{byVersion, byPush}
	}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		images := make([]Image, 100)
		for n := range images {
			images[n] = Image{Tag: fmt.Sprintf("1.0.%d", n), PushedAt: began.Add(-time.Duration(n*37%100) * time.Minute)}
		}
		r.Shuffle(len(images), func(i, j int) { images[i], images[j] = images[j], images[i] })
		var c choice
		passed := make(map[string]int)
		for page := range slices.Chunk(append(images, images[:20]...), 1+r.IntN(30)) { // pages that overlap while something is pushed
			page = slices.DeleteFunc(slices.Clone(page), func(i Image) bool { return passed[i.Tag] > 0 }) // the store knows them
			for _, image := range c.add(page, takers) {
				passed[image.Tag]++
			}
			if len(c.chosen()) > 3 {
				t.Fatalf("seed %d: %d images are kept for three places", seed, len(c.chosen()))
			}
		}
		if c.best[byVersion].Tag != "1.0.99" || c.best[byPush].Tag != "1.0.0" || c.best[old].Tag != "1.0.39" {
			t.Errorf("seed %d: chose %v", seed, c.best)
		}
		for tag, n := range passed {
			if n > 1 {
				t.Errorf("seed %d: %s is given back %d times", seed, tag, n)
			}
		}
		if len(passed) != 97 {
			t.Errorf("seed %d: %d images are given back", seed, len(passed))
		}
		if dropped := c.drop([]place{byPush, old}); len(dropped) != 1 || dropped[0].Tag != "1.0.99" || len(slices.Collect(maps.Keys(c.best))) != 2 {
			t.Errorf("seed %d: dropped %v", seed, dropped)
		}
	}
}

// An id is the same for the same find and differs for any other, and is one that a delivery
// may have however long the names are.
func TestDeliveryIDs(t *testing.T) {
	long := fmt.Sprintf("%0128d", 1)
	seen := make(map[string]string)
	for _, name := range []string{"ghcr.io/shop/web", "ghcr.io/shop/web2", "quay.io/shop/web", "ghcr.io/" + long} {
		for _, f := range []find{
			{Image: Image{Tag: "1.0.0"}}, {Image: Image{Tag: "1.0.0"}, timed: true}, {Image: Image{Tag: "1.0.0", Digest: "sha256:1"}}, {Image: Image{Tag: "1.0.0", Digest: "sha256:2"}},
			{Image: Image{Tag: "_" + long[1:]}}, {Image: Image{Tag: long + "2"}},
		} {
			id := deliveryID(name, f)
			if other, twice := seen[id]; twice || gitops.CheckDeliveryID("", id) != nil || id != deliveryID(name, f) {
				t.Errorf("%s of %s, %+v (and of %s)", id, name, f, other)
			}
			seen[id] = name
		}
	}
}
