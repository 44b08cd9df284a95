package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// required are the arguments and blocks that the provider asks for, and those
// that we do: without them it would work, and not be what is promised.
var required = map[string][]string{
	"aws_iam_openid_connect_provider":      {"url", "client_id_list"},
	"aws_iam_role":                         {"assume_role_policy"},
	"aws_iam_role_policy":                  {"role", "policy"},
	"aws_ecr_repository":                   {"name", "image_tag_mutability", "image_scanning_configuration", "encryption_configuration"},
	"aws_eks_pod_identity_association":     {"cluster_name", "namespace", "service_account", "role_arn"},
	"aws_ecr_lifecycle_policy":             {"repository", "policy"},
	"aws_cloudwatch_event_rule":            {"event_pattern"},
	"aws_cloudwatch_event_connection":      {"name", "authorization_type", "auth_parameters"},
	"aws_cloudwatch_event_api_destination": {"name", "connection_arn", "http_method", "invocation_endpoint"},
	"aws_cloudwatch_event_target":          {"rule", "arn", "role_arn", "retry_policy", "dead_letter_config"},
	"aws_cloudwatch_metric_alarm":          {"alarm_name", "comparison_operator", "evaluation_periods", "alarm_actions"},
	"aws_sqs_queue":                        {"sqs_managed_sse_enabled", "message_retention_seconds"},
	"aws_sqs_queue_policy":                 {"queue_url", "policy"},
	"aws_sns_topic":                        {"signature_version"},
	"aws_sns_topic_policy":                 {"arn", "policy"},
	"aws_sns_topic_subscription":           {"topic_arn", "protocol", "endpoint", "endpoint_auto_confirms", "raw_message_delivery", "redrive_policy"},
}

// modules are the directories of Terraform, by their paths in deploy/terraform.
func modules(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"terraform/*/main.tf", "terraform/examples/*/main.tf"} {
		for _, file := range glob(t, pattern) {
			found = append(found, strings.TrimPrefix(filepath.Dir(file), "terraform/"))
		}
	}
	return found
}

// blocks parses every file of a module.
func blocks(t *testing.T, module string) []*hclsyntax.Block {
	t.Helper()
	parser := hclparse.NewParser()
	var found []*hclsyntax.Block
	for _, path := range glob(t, filepath.Join("terraform", module, "*.tf")) {
		file, problems := parser.ParseHCLFile(filepath.Join("..", path))
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		found = append(found, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return found
}

func has(body *hclsyntax.Body, name string) bool {
	return body.Attributes[name] != nil || slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool { return b.Type == name })
}

// literal is an attribute's constant text, or "".
func literal(body *hclsyntax.Body, name string) string {
	if attribute := body.Attributes[name]; attribute != nil {
		if value, problems := attribute.Expr.Value(nil); !problems.HasErrors() && value.Type().FriendlyName() == "string" {
			return value.AsString()
		}
	}
	return ""
}

func TestTerraformIsWhole(t *testing.T) {
	for _, module := range modules(t) {
		t.Run(module, func(t *testing.T) {
			for _, block := range blocks(t, module) {
				switch block.Type {
				case "resource":
					names, known := required[block.Labels[0]]
					if !known {
						t.Errorf("%s is not among those whose arguments are known here", block.Labels[0])
					}
					for _, name := range names {
						if !has(block.Body, name) {
							t.Errorf("%s has no %s", strings.Join(block.Labels, "."), name)
						}
					}
					if block.Labels[0] == "aws_ecr_repository" && literal(block.Body, "image_tag_mutability") != "IMMUTABLE" {
						t.Error("tags can be moved")
					}
					if has(block.Body, "input_transformer") {
						t.Errorf("%s transforms the event, which escapes nothing", strings.Join(block.Labels, "."))
					}
				case "variable":
					if !has(block.Body, "type") || literal(block.Body, "description") == "" {
						t.Errorf("variable %s has no type or no description", block.Labels[0])
					}
				case "output":
					if literal(block.Body, "description") == "" {
						t.Errorf("output %s has no description", block.Labels[0])
					}
				case "module":
					checkCall(t, module, block)
				}
			}
		})
	}
}

// No policy gives a service a right on what is ours without saying for whom it acts:
// it would be the right of every account.
func TestServicesActForThisAccount(t *testing.T) {
	statements := 0
	for _, module := range modules(t) {
		for _, block := range blocks(t, module) {
			if block.Type != "resource" && block.Type != "locals" {
				continue
			}
			problems := hclsyntax.VisitAll(block.Body, func(node hclsyntax.Node) hcl.Diagnostics {
				object, ok := node.(*hclsyntax.ObjectConsExpr)
				if !ok {
					return nil
				}
				fields := make(map[string]string)
				for _, item := range object.Items {
					if key, problems := item.KeyExpr.Value(nil); !problems.HasErrors() {
						file := item.ValueExpr.Range()
						fields[key.AsString()] = string(file.SliceBytes([]byte(read(t, strings.TrimPrefix(file.Filename, "../")))))
					}
				}
				if strings.Contains(fields["Principal"], "Service") {
					statements++
					ours := []string{"aws:SourceAccount", "aws:SourceArn", "aws:RequestTag/eks-cluster-arn"}
					if !slices.ContainsFunc(ours, func(key string) bool { return strings.Contains(fields["Condition"], key) }) {
						t.Errorf("%s: %s has a right for every account", module, strings.Join(block.Labels, "."))
					}
				}
				return nil
			})
			if problems.HasErrors() {
				t.Fatal(problems)
			}
		}
	}
	if statements < 6 {
		t.Errorf("%d statements are for services: is this test blind?", statements)
	}
}

// checkCall sees that a module is given what it needs and nothing else.
func checkCall(t *testing.T, from string, call *hclsyntax.Block) {
	t.Helper()
	called := filepath.Join(from, literal(call.Body, "source"))
	var all, needed []string
	for _, block := range blocks(t, called) {
		if block.Type == "variable" {
			all = append(all, block.Labels[0])
			if !has(block.Body, "default") {
				needed = append(needed, block.Labels[0])
			}
		}
	}
	for name := range call.Body.Attributes {
		if name != "source" && name != "count" && !slices.Contains(all, name) {
			t.Errorf("module %s has no variable %s", called, name)
		}
	}
	for _, name := range needed {
		if !has(call.Body, name) {
			t.Errorf("module %s needs %s", called, name)
		}
	}
}

// TestTerraformReadsNothingUnset sees that every variable is used, and every one
// that is used is there.
func TestTerraformReadsNothingUnset(t *testing.T) {
	for _, module := range modules(t) {
		var declared, used []string
		for _, block := range blocks(t, module) {
			if block.Type == "variable" {
				declared = append(declared, block.Labels[0])
				continue // its own validation is no use of it
			}
			problems := hclsyntax.VisitAll(block.Body, func(node hclsyntax.Node) hcl.Diagnostics {
				if traversal, ok := node.(*hclsyntax.ScopeTraversalExpr); ok && traversal.Traversal.RootName() == "var" {
					used = append(used, traversal.Traversal[1].(hcl.TraverseAttr).Name)
				}
				return nil
			})
			if problems.HasErrors() {
				t.Fatal(problems)
			}
		}
		slices.Sort(declared)
		slices.Sort(used)
		if diff := cmp.Diff(declared, slices.Compact(used)); diff != "" {
			t.Errorf("%s: variables (-declared +used):\n%s", module, diff)
		}
	}
}

// TestTerraformValidates has Terraform read the modules with the real provider,
// and plan them with one that pretends, where both are there. TALLYMAN_TF_PLUGINS
// is a directory with the provider; without it Terraform looks where it always does.
func TestTerraformValidates(t *testing.T) {
	t.Parallel()
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("TERRAFORM IS NOT TESTED: it is not installed")
	}
	run(t, exec.Command(terraform, "fmt", "-check", "-diff", "-recursive", "../terraform"))
	root := t.TempDir() // it writes lock files
	if err := os.CopyFS(root, os.DirFS("../terraform")); err != nil {
		t.Fatal(err)
	}
	for _, module := range modules(t) {
		command := func(args ...string) *exec.Cmd {
			c := exec.Command(terraform, args...)
			c.Dir = filepath.Join(root, module)
			c.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1")
			return c
		}
		initialise := []string{"init", "-backend=false", "-input=false", "-no-color"}
		if plugins := os.Getenv("TALLYMAN_TF_PLUGINS"); plugins != "" {
			initialise = append(initialise, "-plugin-dir="+plugins)
		}
		if out, err := command(initialise...).CombinedOutput(); err != nil {
			if strings.Contains(string(out), "registry") && os.Getenv("TALLYMAN_TF_PLUGINS") == "" {
				t.Skipf("TERRAFORM IS NOT TESTED: the provider is not to be had:\n%s", out)
			}
			t.Fatalf("%s: %v\n%s", module, err, out)
		}
		verb := "validate"
		if tests, _ := filepath.Glob(filepath.Join(root, module, "*.tftest.hcl")); len(tests) > 0 {
			verb = "test" // which validates, too
		}
		run(t, command(verb, "-no-color"))
	}
}
