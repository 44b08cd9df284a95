package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

func newEdit() *cobra.Command {
	var e localEdit
	cmd := &cobra.Command{
		Use:   "edit",
		Short: "Set image tags in a local YAML file, changing only their bytes",
		Long: `Set scalars in a local YAML file as the server does: the same code, the same errors.
All of them are set, or none and the file stays as it is.

KEY is a yq expression that selects one scalar. What follows the last = is an
image's tag, its digest, or a reference REPOSITORY[:TAG][@DIGEST]. A number stays a
number, and true and false stay what they are, where the key is not a tag's:
.replicas=5. The other flags are the fields of a set in tallyman.yaml, and hold for
each --set.

Exit status 0: the file is changed. 3: it already has these values. 1: the edit is not
possible. 2: flags are wrong.`,
		Example: `  tallyman edit --file values.yaml --set .image.tag=v2 --diff
  tallyman edit --file kustomization.yaml --set '.images[] | select(.name == "api") | .newTag=v2'
  tallyman edit --file deployment.yaml --set '.spec.template.spec.containers[] | select(.name == "api") | .image=registry.example.com/api:v2'
  tallyman edit --file application.yaml --inside .spec.source.helm.values --create=parents --set .image.tag=v2
  tallyman edit --file apps.yaml --anchor follow --follows .worker.tag --set .api.tag=v2 --diff`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd.OutOrStdout(), cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVarP(&e.file, "file", "f", "", "YAML `file` (required)")
	cmd.Flags().StringArrayVar(&e.sets, "set", nil, "`KEY=VALUE` to set, once or several times (required)")
	e.like.flags(cmd)
	cmd.Flags().BoolVar(&e.diff, "diff", false, "print the change without making it")
	return cmd
}

// localEdit is one call of the subcommand.
type localEdit struct {
	file string
	sets []string
	like setFlags
	diff bool
}

// errUnchanged ends the program with a status of its own and no message.
var errUnchanged = errors.New("the file already has these values")

func (e *localEdit) run(out, notes io.Writer) error {
	if e.file == "" || len(e.sets) == 0 {
		return badInput{errors.New("--file and --set are required")}
	}
	edit, vars, err := e.compile()
	if err != nil {
		return badInput{err}
	}
	file, err := filepath.EvalSymlinks(e.file) // the file is replaced, not the link to it
	if err != nil {
		return badInput{err}
	}
	before, err := readRegular(file)
	if err != nil {
		return badInput{err}
	}
	r, err := edit.Set(before, vars)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s", e.file, gitops.PublicOf(err))
	case !r.Changed:
		return errUnchanged
	}
	if len(r.Paths) > len(e.sets) { // a diff shows the anchor, and not what uses it
		fmt.Fprintln(notes, printable("changes "+strings.Join(r.Paths, ", ")))
	}
	if e.diff {
		return writeDiff(out, e.file, before, r.Text)
	}
	return replaceFile(file, r.Text)
}

// readRegular reads a file as far as an edit can use it. A FIFO or a device may have
// no end.
func readRegular(name string) (text []byte, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, values.MaxFile+1))
}

// compile makes one edit of all sets.
func (e *localEdit) compile() (*values.Edit, values.Vars, error) {
	var vars values.Vars
	var targets []values.Target
	for _, set := range e.sets {
		i := strings.LastIndex(set, "=")
		if i <= 0 {
			return nil, vars, fmt.Errorf("--set must be KEY=VALUE, not %q", set)
		}
		template, err := templateOf(set[i+1:], &vars)
		if err != nil {
			return nil, vars, fmt.Errorf("--set %s: %w", set, err)
		}
		targets = append(targets, e.like.target(strings.TrimSpace(set[:i]), template))
	}
	edit, err := values.Compile(targets)
	return edit, vars, flagError(err)
}

// reference is REPOSITORY[:TAG][@DIGEST]; the repository has a slash or is
// followed by one of the others, for else it would be a tag.
var (
	digestOnly = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	reference  = regexp.MustCompile(`^((?:[^/:@]+(?::[0-9]+)?/)?[^:@]+)(?::([^:@/]+))?(?:@(.+))?$`)
)

// templateOf takes a value apart into the variables of an edit. All values of one
// edit are of one image.
func templateOf(value string, vars *values.Vars) (string, error) {
	agree := func(variable *string, part string) error {
		if *variable != "" && part != "" && *variable != part {
			return fmt.Errorf("one edit is of one image: it cannot have both %s and %s", *variable, part)
		}
		if part != "" {
			*variable = part
		}
		return nil
	}
	if value == "" {
		return "", errors.New("there is no value behind the =")
	}
	if digestOnly.MatchString(value) {
		return "{digest}", agree(&vars.Digest, value)
	}
	if strings.HasPrefix(value, "sha256:") {
		return "", errors.New("a digest is sha256: and 64 digits of 0-9 a-f")
	}
	if !strings.ContainsAny(value, "/:@") {
		return "{tag}", agree(&vars.Tag, value)
	}
	parts := reference.FindStringSubmatch(value)
	if parts == nil {
		return "", errors.New("the value must be a tag, a digest, or REPOSITORY[:TAG][@DIGEST]")
	}
	template := "{repository}"
	if parts[2] != "" {
		template += ":{tag}"
	}
	if parts[3] != "" {
		template += "@{digest}"
	}
	return template, errors.Join(agree(&vars.Repository, parts[1]), agree(&vars.Tag, parts[2]), agree(&vars.Digest, parts[3]))
}

func writeDiff(out io.Writer, name string, before, after []byte) error {
	return difflib.WriteUnifiedDiff(out, difflib.UnifiedDiff{
		A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after)),
		FromFile: name, ToFile: name, Context: 3,
	})
}

// replaceFile puts the new text in the file's place with the file's mode: a crash
// leaves the old file or the new one, never half of it.
func replaceFile(name string, text []byte) (err error) {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tallyman-edit-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
