package server

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/server/config"

	"go.yaml.in/yaml/v4"
)

// The table of what a rule can allow each kind of principal is made by the check of
// rules.
func TestSecurityRights(t *testing.T) {
	who := map[gitops.PrincipalKind]access.Who{
		gitops.KindPush:     {Push: &access.Push{Source: "eventbridge"}},
		gitops.KindDispatch: {Dispatch: &access.Dispatch{Repository: "a/b", RepositoryID: 1}},
		gitops.KindJob:      {Job: &access.Job{Repository: "a/b", RepositoryID: "1", OwnerID: "2", Refs: []string{"refs/heads/main"}, Events: []string{"push"}}},
		gitops.KindToken:    {Token: "ops"},
		gitops.KindPoll:     {Poll: &access.Poll{Registries: []string{"ghcr.io"}}},
		gitops.KindRevert:   {Revert: true},
	}
	var want strings.Builder
	want.WriteString("| Principal |")
	for _, right := range gitops.Rights() {
		want.WriteString(" `" + string(right) + "` |")
	}
	want.WriteString("\n|" + strings.Repeat("---|", 1+len(gitops.Rights())) + "\n")
	for _, kind := range gitops.PrincipalKinds() {
		want.WriteString("| `" + string(kind) + "` |")
		for _, right := range gitops.Rights() {
			rules := []access.Rule{{Who: who[kind], May: []gitops.Right{right}, Apps: []string{"api"}, Environments: []string{"dev"}}}
			c := access.Config{Rules: rules, Environments: []string{"dev"}, Apps: map[string][]string{"api": nil}}
			switch kind {
			case gitops.KindPush:
				c.Sources = []string{"eventbridge"}
			case gitops.KindDispatch:
				c.Sources = []string{"github"}
			case gitops.KindJob:
				c.Issuers = []string{"https://issuer.example"}
			case gitops.KindToken:
				c.Tokens = []string{"ops"}
			case gitops.KindPoll:
				c.Polled = map[string][]string{"dev": {"ghcr.io"}}
			case gitops.KindRevert:
				c.Reverted = []string{"dev"}
			}
			_, err := access.New(c)
			want.WriteString(map[bool]string{true: " yes |", false: " no |"}[err == nil])
			if err != nil && !strings.Contains(err.Error(), "may[0]: ") {
				t.Errorf("%s, %s: %v", kind, right, err)
			}
		}
		want.WriteString("\n")
	}
	if !strings.Contains(document(t, "security.md"), "\n"+want.String()+"\n") {
		t.Errorf("the table is not\n%s", want.String())
	}
}

// The page shows what check prints for the configuration of adopt.md.
func TestSecurityMatrix(t *testing.T) {
	block := regexp.MustCompile(`(?s)<<END\n(.*?)\nEND\n`).FindStringSubmatch(document(t, "adopt.md"))
	if block == nil {
		t.Fatal("adopt.md has no tallyman-values.yaml")
	}
	text := strings.NewReplacer("$ORG", "myshop", "$DOMAIN", "myshop.example", "$REPOSITORY_ID", "901234567", "$OWNER_ID", "81234567",
		"$APP_ID", "1", "$MANIFESTS_ID", "923456781", "$REGISTRY", "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com").Replace(block[1])
	var values struct {
		Config map[string]any `yaml:"config"`
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(yaml.Unmarshal([]byte(text), &values))
	// The chart says where the store is and what it listens to.
	values.Config["store"] = "sqlite:///var/lib/tallyman/tallyman.db"
	written, err := yaml.Marshal(values.Config)
	must(err)
	c, err := config.Parse(written)
	must(err)
	list, err := buildAccess(c, nil)
	must(err)
	var out bytes.Buffer
	printAccess(&out, list)
	want := "    " + strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), "\n", "\n    ") + "\n"
	if !strings.Contains(document(t, "security.md"), "\n"+want+"\n") {
		t.Errorf("the page does not have what check prints:\n%s", want)
	}
}
