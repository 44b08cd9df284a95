package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// adoptScript is every command of docs/adopt.md, as written and in order.
func adoptScript(t *testing.T) string {
	t.Helper()
	var script strings.Builder
	for _, block := range shellBlock.FindAllStringSubmatch(read(t, "../docs/adopt.md"), -1) {
		script.WriteString(block[1])
	}
	return script.String()
}

// TestAdopt walks docs/adopt.md from an empty folder. git, helm template, jq and
// tallyman are the real ones; what needs an account or a cluster is written down
// by a stand-in.
func TestAdopt(t *testing.T) {
	t.Parallel()
	dir, bin := t.TempDir(), t.TempDir()
	stub, err := filepath.Abs("testdata/adopt/stub")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"argocd", "aws", "docker", "gh", "git", "helm", "kubectl", "make", "terraform"} {
		if err := os.Symlink(stub, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "tallyman") // what a clone would have of deploy/
	if err := os.CopyFS(filepath.Join(source, "deploy"), os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	pem, calls := filepath.Join(elsewhere, "app.pem"), filepath.Join(elsewhere, "calls")
	write(t, elsewhere, map[string]string{"app.pem": exampleSecret(t, pem)})
	helm := tool(t, "helm").Path
	// What the reader downloads is copied, and the server at its end is the reader's.
	steps := strings.NewReplacer("\ntallyman status\ntallyman verify myshop-api --env dev\n", "\ntallyman status --help > /dev/null\ntallyman verify myshop-api --env dev --help > /dev/null\n",
		"cp -r \"$DEPLOY/argocd\" argocd\n", "cp -r \"$DEPLOY/argocd\" argocd\ncp \"$ADOPT_PEM\" \"$SECRETS/argocd.pem\"\nprintf %s secret-from-github > \"$SECRETS/argocd-client-secret\"\n").Replace(adoptScript(t))
	temporary, home := t.TempDir(), t.TempDir()
	command := exec.Command("bash", "-euo", "pipefail", "-c", steps)
	command.Dir = dir
	command.Env = []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + temporary, "CODE=abc", "ARGOCD_APP_ID=765432", "ARGOCD_INSTALLATION_ID=98765", "ARGOCD_CLIENT_ID=Ov23",
		"ADOPT_CALLS=" + calls, "ADOPT_REPOSITORY=" + source, "ADOPT_TALLYMAN=" + binary, "ADOPT_HELM=" + helm, "ADOPT_GIT=" + git, "ADOPT_PEM=" + pem,
		"GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@example.com",
	}
	run(t, command)

	checkRendered(t, dir)
	applied, err := os.ReadFile(filepath.Join(dir, "applied.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(decode(t, string(applied))); got != 4 {
		t.Errorf("%d objects are applied", got)
	}
	made, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{
		`terraform -chdir=terraform/examples/myshop apply`,
		`TF_VAR_cluster_arn=arn:aws:eks:ap-northeast-2:123456789012:cluster/myshop`,
		`helm test tallyman --namespace tallyman --logs`,
		`argocd --core proj role create-token myshop tallyman --expires-in 2160h --token-only`,
		`"url": "https://argocd.myshop.example/api/webhook"`,
		`"id": 4711`,
		`gh variable set AWS_ROLE --repo myshop/myshop-api --body arn:aws:iam::123456789012:role/myshop-api-build`,
		`gh workflow run release.yml --repo myshop/myshop-api --ref v1.0.0 -f version=1.0.0`,
	} {
		if !strings.Contains(string(made), call) {
			t.Errorf("it does not come to %s in\n%s", call, made)
		}
	}
	order, err := os.ReadFile(filepath.Join(dir, "myshop-api/.github/workflows/order.yml"))
	if err != nil || !regexp.MustCompile(`uses: tallyman-dev/tallyman/deploy/action@[0-9a-f]{40} # v0\.1\.0\n`).Match(order) {
		t.Errorf("the action is not pinned to a commit: %v\n%s", err, order)
	}
	noSecrets(t, dir)
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%v is left in the directory of temporary files: %v", left, err)
	}
	if token, err := os.Stat(filepath.Join(home, ".config/tallyman/token")); err != nil || token.Mode().Perm() != 0o600 {
		t.Errorf("the token is left as %v, %v", token, err)
	}
}

// noSecrets sees that no file of a directory has a secret of those that the steps
// are given or make.
func noSecrets(t *testing.T, dir string) {
	t.Helper()
	secret := regexp.MustCompile(`PRIVATE KEY|secret-from-github|token-of-argocd|^[0-9a-f]{64}\s*$`)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/tallyman/deploy/test/") {
			return err
		}
		text, err := os.ReadFile(path)
		if secret.Match(text) {
			t.Errorf("%s is left behind, with a secret in it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAdoptNames writes another organization's name for the example's, and sees
// that the project of Argo CD, which is called the same, keeps its own.
func TestAdoptNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, part := range []string{"argocd", "manifests-example", "terraform"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS("../"+part)); err != nil {
			t.Fatal(err)
		}
	}
	function := regexp.MustCompile(`(?ms)^names\(\) \{\n.*?^\}\n`).FindString(adoptScript(t))
	command := exec.Command("bash", "-euc", function+"names argocd manifests-example terraform")
	command.Dir = dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "ORG=acme", "DOMAIN=acme.test", "ACCOUNT=210987654321", "REGION=eu-west-1"}
	run(t, command)
	for file, lines := range map[string][]string{
		"argocd/values.yaml": {"p, role:release, applications, sync, myshop/*-prod, allow", "g, acme:release, role:release", "orgs: [{name: acme}]",
			"domain: argocd.acme.test"},
		"argocd/project.yaml":                                {"name: myshop\n", "https://github.com/acme/myshop-manifests.git"},
		"manifests-example/.github/CODEOWNERS":               {"@acme/release"},
		"manifests-example/applications/myshop-api-dev.yaml": {"project: myshop\n", "https://github.com/acme/myshop-manifests.git"},
		"terraform/examples/myshop/main.tf":                  {`"acme/myshop-api"`, `"eu-west-1"`},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(text), line) {
				t.Errorf("%s does not say %s:\n%s", file, line, text)
			}
		}
	}
}

// checkRendered sees that what the steps install would start, and that the
// Secrets which it mounts were made.
func checkRendered(t *testing.T, dir string) {
	t.Helper()
	rendered, err := os.ReadFile(filepath.Join(dir, "rendered.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifests := decode(t, string(rendered))
	config := objects(manifests, "ConfigMap")[0].typed.(*corev1.ConfigMap).Data["tallyman.yaml"]
	checkConfig(t, config)
	checkFollowed(t, config, manifests)
	checkRoutes(t, manifests)
	script := adoptScript(t)
	pod, _ := objects(manifests, "StatefulSet")[0].pod(t)
	checkMounts(t, pod, config)
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		made := regexp.MustCompile(`create secret generic ` + volume.Secret.SecretName + `((?: --from-file="\$SECRETS/\S+")+)`).FindStringSubmatch(script)
		if made == nil {
			t.Errorf("no step makes the Secret %s", volume.Secret.SecretName)
			continue
		}
		for _, path := range secretFile.FindAllString(config, -1) {
			key := filepath.Base(path)
			if "secret-"+filepath.Base(filepath.Dir(path)) == volume.Name && !slices.Contains(strings.Fields(made[1]), `--from-file="$SECRETS/`+key+`"`) {
				t.Errorf("the Secret %s has no key %s", volume.Secret.SecretName, key)
			}
		}
	}
}

// checkFollowed sees that after the last step tallyman can ask every place that
// `tallyman verify` compares: a registry whose images are looked at, and Argo CD,
// as the role that project.yaml has, on a port that the NetworkPolicy leaves open.
func checkFollowed(t *testing.T, text string, manifests []manifest) {
	t.Helper()
	var config struct {
		ArgoCD []struct {
			URL      string
			Projects []string
		} `json:"argocd"`
		Environments map[string]struct {
			Image *struct{}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.ArgoCD) != 1 || config.ArgoCD[0].URL != "https://argocd.myshop.example" || !slices.Equal(config.ArgoCD[0].Projects, []string{"myshop"}) {
		t.Errorf("Argo CD is asked as %+v", config.ArgoCD)
	}
	for _, name := range []string{"dev", "staging", "prod"} {
		if config.Environments[name].Image == nil {
			t.Errorf("images are not looked at in %s", name)
		}
	}
	open := false
	for _, rule := range objects(manifests, "NetworkPolicy")[0].typed.(*networkingv1.NetworkPolicy).Spec.Egress {
		for _, port := range rule.Ports {
			open = open || port.Port.IntValue() == 443 && len(rule.To) == 0
		}
	}
	if !open {
		t.Error("the NetworkPolicy lets nothing out to port 443")
	}
	if !strings.Contains(read(t, "argocd/project.yaml"), "p, proj:myshop:tallyman, applications, get, myshop/*, allow\n") {
		t.Error("the project has no role for the token")
	}
}
