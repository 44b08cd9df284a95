package action_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// action is action.yml, with every key that GitHub has for a composite action and
// that is used here. Source: GitHub's documentation, "Metadata syntax reference".
type action struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Author      string `yaml:"author"`
	Branding    struct {
		Icon  string `yaml:"icon"`
		Color string `yaml:"color"`
	} `yaml:"branding"`
	Inputs map[string]struct {
		Description string  `yaml:"description"`
		Required    bool    `yaml:"required"`
		Default     *string `yaml:"default"`
	} `yaml:"inputs"`
	Outputs map[string]struct {
		Description string `yaml:"description"`
		Value       string `yaml:"value"`
	} `yaml:"outputs"`
	Runs struct {
		Using string `yaml:"using"`
		Steps []struct {
			ID    string            `yaml:"id"`
			Shell string            `yaml:"shell"`
			Env   map[string]string `yaml:"env"`
			Run   string            `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"runs"`
}

func definition(t *testing.T) action {
	t.Helper()
	var a action
	if err := yaml.Load([]byte(text(t, "action.yml")), &a, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	return a
}

var inputExpression = regexp.MustCompile(`^\$\{\{ inputs\.([a-z]+) \}\}$`)

// environment is the step's environment for inputs, as GitHub makes it.
func environment(t *testing.T, with map[string]string) map[string]string {
	t.Helper()
	a := definition(t)
	env := map[string]string{}
	for name, expression := range a.Runs.Steps[0].Env {
		input := inputExpression.FindStringSubmatch(expression)
		if input == nil {
			t.Fatalf("%s is %s, which is no input", name, expression)
		}
		value, given := with[input[1]]
		if fallback := a.Inputs[input[1]].Default; !given && fallback != nil {
			value = *fallback
		}
		env[name] = value
	}
	return env
}

// TestDefinition sees what GitHub would only say in a job: that it is a composite
// action of known keys, and that each input and output is connected.
func TestDefinition(t *testing.T) {
	a := definition(t)
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 1 || a.Runs.Steps[0].Shell != "bash" || a.Name == "" || a.Description == "" {
		t.Fatalf("%+v", a)
	}
	step := a.Runs.Steps[0]
	if strings.Contains(step.Run, "${{") {
		t.Errorf("an input would be run: %s", step.Run)
	}
	var used []string
	for _, expression := range step.Env {
		used = append(used, inputExpression.FindStringSubmatch(expression)[1])
	}
	for name, input := range a.Inputs {
		if input.Description == "" || input.Required == (input.Default != nil) || !slices.Contains(used, name) {
			t.Errorf("input %s: %+v; used: %t", name, input, slices.Contains(used, name))
		}
	}
	if len(used) != len(a.Inputs) {
		t.Errorf("the step has %v", used)
	}
	script := text(t, "update.sh")
	for name, output := range a.Outputs {
		if output.Description == "" || output.Value != "${{ steps."+step.ID+".outputs."+name+" }}" || !strings.Contains(script, "output "+name+" ") {
			t.Errorf("output %s: %+v", name, output)
		}
	}
}

// TestShellcheck holds the script to shellcheck.
func TestShellcheck(t *testing.T) {
	needTools(t, "shellcheck")
	if out, err := exec.Command("shellcheck", "update.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
