package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tallyman-dev/tallyman/"

// mayImport is the picture in docs/design.md: which of our packages each may
// import. A name that ends in /* stands for every package below.
var mayImport = map[string][]string{
	"gitops":                             {},
	"gitops/clocktest":                   {},
	"gitops/logtest":                     {},
	"gitops/access":                      {"gitops", "gitops/aws"},
	"gitops/gate":                        {"gitops"},
	"gitops/acts":                        {"gitops", "gitops/gate", "gitops/queue"},
	"gitops/aws":                         {"gitops"},
	"gitops/policy":                      {"gitops", "gitops/aws", "gitops/image", "gitops/policy/tagset"},
	"gitops/policy/tagset":               {"gitops"},
	"gitops/values":                      {"gitops"},
	"gitops/queue":                       {"gitops"},
	"gitops/image":                       {"gitops", "gitops/aws"},
	"gitops/inspect":                     {"gitops", "gitops/image"},
	"gitops/rollout":                     {"gitops", "gitops/image"},
	"gitops/git":                         {"gitops"},
	"gitops/proof":                       {"gitops", "gitops/git"},
	"gitops/registry":                    {"gitops", "gitops/aws", "gitops/image"},
	"gitops/registry/registrytest":       {"gitops/image"},
	"gitops/registry/ecr":                {"gitops", "gitops/aws", "gitops/image"},
	"gitops/registry/ecr/ecrtest":        {"gitops/aws"},
	"gitops/registry/cosign":             {"gitops", "gitops/image"},
	"gitops/registry/cosign/cosigntest":  {"gitops/image"},
	"gitops/landing":                     {"gitops", "gitops/git"},
	"gitops/message":                     {"gitops"},
	"gitops/handedit":                    {"gitops", "gitops/git", "gitops/history"},
	"gitops/guard":                       {"gitops"},
	"gitops/starter":                     {"gitops", "gitops/discover", "gitops/policy", "gitops/values"},
	"gitops/history":                     {"gitops", "gitops/git"},
	"gitops/contain":                     {"gitops", "gitops/branch", "gitops/edit", "gitops/git", "gitops/landing", "gitops/rollout"},
	"gitops/branch":                      {"gitops", "gitops/git"},
	"gitops/edit":                        {"gitops", "gitops/branch", "gitops/git", "gitops/message", "gitops/values"},
	"gitops/manifest":                    {"gitops", "gitops/branch", "gitops/edit", "gitops/git", "gitops/handedit", "gitops/history", "gitops/landing", "gitops/message"},
	"gitops/topic":                       {"gitops", "gitops/branch", "gitops/edit", "gitops/git", "gitops/handedit", "gitops/history", "gitops/message", "gitops/proposals"},
	"gitops/manifest/gitserver":          {},
	"gitops/queue/group":                 {"gitops"},
	"gitops/queue/archive":               {"gitops", "gitops/queue"},
	"gitops/queue/listing":               {},
	"gitops/queue/sqlite":                {"gitops", "gitops/queue", "gitops/queue/group", "gitops/queue/listing"},
	"gitops/queue/postgres":              {"gitops", "gitops/queue", "gitops/queue/group", "gitops/queue/listing"},
	"gitops/queue/postgres/postgrestest": {},
	"gitops/manifest/gitserver/gittest":  {"gitops/manifest/gitserver"},
	"gitops/queue/queuetest":             {"gitops", "gitops/clocktest", "gitops/queue", "gitops/queue/archive"},
	"gitops/discover":                    {"gitops", "gitops/git", "gitops/policy", "gitops/values"},
	"gitops/lane":                        {"gitops", "gitops/queue"},
	"gitops/proposals":                   {"gitops", "gitops/git", "gitops/queue"},
	"gitops/proposals/proposalstest":     {"gitops", "gitops/git", "gitops/proposals"},
	"server/webhook":                     {"gitops", "gitops/image", "gitops/queue"}, // the queue for its bounds
	"server/webhook/github":              {"gitops", "server/webhook"},
	"server/api":                         {"gitops", "gitops/access", "gitops/acts", "gitops/gate", "gitops/queue", "server/verify", "server/webhook"},
	"server/verify":                      {"gitops", "gitops/image", "gitops/rollout"},
	"server/argocd":                      {"gitops", "gitops/rollout"},
	"server/argocd/argocdtest":           {},
	"server/apphistory":                  {"gitops", "gitops/git", "gitops/history", "gitops/values", "server/api"},
	"server/backup":                      {"gitops", "gitops/queue", "gitops/queue/archive"},
	"server/catalog":                     {"gitops", "gitops/discover", "gitops/image", "gitops/manifest", "gitops/policy", "gitops/queue", "gitops/values", "server/config"},
	"server/discovery":                   {"gitops", "gitops/discover", "gitops/git", "gitops/manifest", "gitops/values"},
	"server/branchtags":                  {"gitops", "gitops/values", "server/api"},
	"server/budget":                      {"gitops"},
	"server/limits":                      {"gitops", "server/budget", "server/webhook"},
	"server/holds":                       {"gitops", "gitops/gate", "gitops/queue"},
	"server/retention":                   {"gitops/queue"},
	"server/routing":                     {"gitops", "gitops/queue"},
	"server/webhook/sns/snstest":         {"server/secrettest"},
	"server/webhook/sns":                 {"gitops", "gitops/aws", "server/webhook/ecrevent"},
	"server/webhook/ecrevent":            {"gitops", "gitops/aws"},
	"server/webhook/ecr":                 {"gitops", "server/webhook", "server/webhook/ecrevent"},
	"server/attack":                      {},
	"server/storehealth":                 {"gitops", "gitops/queue"},
	"server/audit":                       {"gitops"},
	"server/config":                      {"gitops", "gitops/image", "gitops/values"},
	"server/config/schema":               {}, // its text is made by a test
	"server/githubapp":                   {"gitops"},
	"server/missed":                      {"gitops", "gitops/queue", "server/githubapp", "server/lease", "server/webhook"},
	"server/poll":                        {"gitops", "gitops/policy", "gitops/queue", "gitops/registry/ecr", "server/lease", "server/webhook"},
	"server/feedback":                    {"gitops", "gitops/queue", "server/githubapp", "server/lease"},
	"server/notify":                      {"gitops", "gitops/queue", "server/lease"},
	"server/lease":                       {"gitops/queue"},
	"server/follow":                      {"gitops", "gitops/queue", "gitops/rollout", "server/lease"},
	"server/githubapp/githubtest":        {"gitops/manifest/gitserver", "server/secrettest"},
	"server/forge/github":                {"gitops", "gitops/git", "gitops/proposals", "server/githubapp"},
	"server/oidc":                        {"gitops"},
	"server/secrettest":                  {},
	"server/oidc/oidctest":               {"server/secrettest"},
	"server/survey":                      {"gitops", "gitops/branch", "gitops/discover", "gitops/git", "gitops/history", "gitops/starter", "gitops/values"},
	"server/simulation":                  {}, // all of it is tests, which import everything
	"server": {"gitops", "gitops/access", "gitops/acts", "gitops/aws", "gitops/contain", "gitops/discover", "gitops/gate", "gitops/git", "gitops/guard", "gitops/history", "gitops/image", "gitops/inspect", "gitops/lane", "gitops/manifest", "gitops/policy", "gitops/proof", "gitops/proposals", "gitops/queue", "gitops/queue/archive", "gitops/queue/postgres", "gitops/queue/sqlite", "gitops/registry", "gitops/registry/cosign", "gitops/registry/ecr", "gitops/rollout", "gitops/topic", "gitops/values",
		"server/api", "server/apphistory", "server/argocd", "server/audit", "server/backup", "server/branchtags", "server/budget", "server/catalog", "server/config", "server/discovery", "server/feedback", "server/follow", "server/forge/github", "server/githubapp", "server/holds", "server/limits", "server/missed", "server/notify", "server/oidc", "server/poll", "server/retention", "server/routing", "server/storehealth", "server/verify", "server/webhook", "server/webhook/ecr", "server/webhook/github", "server/webhook/sns"},
	"deploy":                    {},
	"deploy/action":             {}, // a script and its tests
	"cmd/tallyman":              {"cmd/tallyman/client", "deploy", "server", "server/api", "server/backup", "server/budget", "server/config", "server/argocd/argocdtest", "server/config/schema", "server/githubapp/githubtest", "server/survey", "server/verify", "gitops", "gitops/acts", "gitops/gate", "gitops/git", "gitops/policy", "gitops/starter", "gitops/queue", "gitops/values", "gitops/manifest/gitserver"},
	"cmd/tallyman/client":       {"server/api", "server/verify", "gitops"},
	"cmd/tallyman-bench/ledger": {"gitops"},
	"cmd/tallyman-bench":        {"gitops", "gitops/manifest/gitserver", "gitops/queue", "gitops/queue/sqlite", "gitops/queue/postgres/postgrestest", "server/argocd/argocdtest"},
}

// onlyIn is where others' packages may be used: each is behind one door.
var onlyIn = map[string][]string{
	"database/sql":                       {"gitops/queue/sqlite"},
	"github.com/jackc/":                  {"gitops/queue/postgres", "gitops/queue/postgres/postgrestest"},
	"modernc.org/":                       {"gitops/queue/sqlite"},
	"github.com/go-git/":                 {"gitops/git"},
	"github.com/ProtonMail/":             {"gitops/git"},
	"golang.org/x/crypto/":               {"gitops/git", "gitops/manifest/gitserver"},
	"github.com/mikefarah/yq/":           {"gitops/values"},
	"go.yaml.in/":                        {"gitops/discover", "gitops/values", "server/config", "cmd/tallyman"},
	"github.com/Masterminds/semver/":     {"gitops/policy", "gitops/policy/tagset"},
	"github.com/go-chi/":                 {"server", "server/limits"},
	"github.com/prometheus/":             {"server", "cmd/tallyman"}, // the demo reads what the server counts
	"github.com/google/go-github/":       {"server/githubapp", "server/forge/github"},
	"github.com/coreos/go-oidc/":         {"server/oidc"},
	"github.com/go-jose/":                {"server/githubapp", "server/oidc", "server/oidc/oidctest"},
	"github.com/spf13/cobra":             {"cmd/tallyman"},
	"github.com/google/uuid":             {"server", "gitops/queue/sqlite", "cmd/tallyman"},
	"oras.land/":                         {"gitops/registry"},
	"github.com/opencontainers/":         {"gitops/registry"},
	"github.com/olareg/":                 {"gitops/registry/registrytest"},
	"github.com/aws/":                    {"gitops/registry/ecr"},
	"os/exec":                            {"gitops/manifest/gitserver", "gitops/queue/postgres/postgrestest", "gitops/registry/registrytest", "cmd/tallyman", "cmd/tallyman-bench"}, // no git binary, no shell, in the service
	module + "gitops/manifest/gitserver": {"cmd/tallyman", "cmd/tallyman-bench", "gitops/manifest/gitserver/gittest", "server/githubapp/githubtest"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func TestImportsRunDownward(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	standard := make(map[string]bool)
	var ours []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p goPackage
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		standard[p.ImportPath] = p.Standard
		if strings.HasPrefix(p.ImportPath, module) {
			ours = append(ours, p)
		}
	}
	seen := make(map[string]bool)
	for _, p := range ours {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, known := mayImport[name]
		if !known {
			t.Errorf("%s has no place in the picture: add it to docs/design.md and to this test", name)
			continue
		}
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which is not below it", name, own)
			}
			if name == "gitops" && !standard[imported] {
				t.Errorf("the domain imports %s, which is not of the standard library", imported)
			}
			for door, rooms := range onlyIn {
				if strings.HasPrefix(imported, door) && !slices.Contains(rooms, name) {
					t.Errorf("%s imports %s, which belongs in %s alone", name, imported, strings.Join(rooms, ", "))
				}
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("the picture has %s, which is not there", name)
		}
	}
}

// A file is one that a reader can hold in the head, and so is the package that writes
// the branch: what comes to it finds a place beside it.
func TestFilesAndTheWriterStaySmall(t *testing.T) {
	const file, writer = 300, 2500
	module := os.DirFS("../..")
	files, written := 0, 0
	err := fs.WalkDir(module, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := fs.ReadFile(module, name)
		lines := bytes.Count(content, []byte("\n"))
		if files++; lines > file {
			t.Errorf("%s has %d lines, more than %d", name, lines, file)
		}
		if path.Dir(name) == "gitops/manifest" {
			written += lines
		}
		return err
	})
	if err != nil || files < 100 || written == 0 || written > writer {
		t.Errorf("gitops/manifest has %d lines of %d files, want %d at most: %v", written, files, writer, err)
	}
}
