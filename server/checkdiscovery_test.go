package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
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

// A poll of discovered apps that no rule of access allows would order nothing, and check warns of
// it, once for each registry and environment.
func TestCheckWarnsOfPollsThatMayOrderNothing(t *testing.T) {
	s := branchSite(t)
	registry := registrytest.New(t)
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	s.edit(ecr, registry.Host())
	s.inspectProd("poll: 10m")
	want := "warning: environments.prod.image.poll: no rule of access allows to order in prod what is found in " + registry.Host() +
		": add one to access with who: {poll: {registries: [" + registry.Host() + "]}}, or remove it here"
	for rule, times := range map[string]int{"": 1, "  - {who: {poll: {registries: ['" + registry.Host() + "']}}, may: [order], apps: ['*'], environments: [prod]}\n": 0} {
		s.edit("access:\n", "access:\n"+rule)
		if out, _ := s.check(); strings.Count(strings.Join(out, "\n"), want) != times { // the images are not there
			t.Errorf("with %q check prints\n%s", rule, strings.Join(out, "\n"))
		}
		s.edit("access:\n"+rule, "access:\n")
	}
}
