package server

import (
	"strings"
	"testing"
)

// check says how many apps the branch names, what is wrong, and which environments nobody
// configured; with a problem it fails. A dry run knows what is discovered.
func TestCheckDiscovers(t *testing.T) {
	s := branchSite(t)
	s.commit(valuesOf("cart", "dev", "qa"))
	check := func() (string, error) {
		server, err := s.newServer()
		s.must(err)
		defer func() { s.must(server.Stop(t.Context())) }()
		var out strings.Builder
		err = server.CheckManifests(t.Context(), &out)
		return out.String(), err
	}
	out, err := check()
	s.must(err)
	for _, line := range []string{"discovered: 3 apps in 4 places, 0 problems (commit ", `not discovered: environment "qa", which is named by 1 file and not configured: add it to environments`,
		"cart in dev: charts/cart/values-dev.yaml can be edited\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("check does not print %q:\n%s", line, out)
		}
	}
	s.commit(valuesOf("Cart", "dev"))
	if out, err := check(); err == nil || !strings.Contains(err.Error(), "charts/Cart/values-dev.yaml") || !strings.Contains(out, "2 apps in 3 places") {
		t.Errorf("%v:\n%s", err, out)
	}
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(t.Context())) }()
	d, err := server.DryRun(t.Context(), Image{Apps: []string{"worker"}, Environments: []string{"dev"}, Tag: "main-1a2b3c4"}, false)
	if err != nil || !d.Taken() {
		t.Errorf("%+v, %v", d, err)
	}
}
