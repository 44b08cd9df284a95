package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server"
)

// imageCheck is check with --tag: a dry run of one image.
type imageCheck struct {
	about  server.Image
	format string
}

func (i *imageCheck) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.about.Tag, "tag", "", "show what an image with this `tag` would mean")
	cmd.Flags().StringVar(&i.about.Repository, "repository", "", "it is pushed to this `image` in ECR (default: an order names it)")
	cmd.Flags().StringVar(&i.about.Digest, "digest", "", "its `digest` (default: zeros for a push and where images are inspected, none for another order)")
	cmd.Flags().StringSliceVar(&i.about.Apps, "app", nil, "only this `app`, or several")
	cmd.Flags().StringSliceVar(&i.about.Environments, "env", nil, "only this `environment`, or several")
	cmd.Flags().StringVarP(&i.format, "output", "o", "table", "with --tag, output `format`: table, json or yaml")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "environment" {
			name = "env"
		}
		return pflag.NormalizedName(name)
	})
}

// checkFlags rejects flags that mean nothing together.
func (i *imageCheck) checkFlags(cmd *cobra.Command) error {
	for _, flag := range []string{"repository", "digest", "app", "env", "output"} {
		if cmd.Flags().Changed(flag) && i.about.Tag == "" {
			return fmt.Errorf("--%s needs --tag", flag)
		}
	}
	if cmd.Flags().Changed("tag") && i.about.Tag == "" {
		return fmt.Errorf("--tag is empty")
	}
	switch i.format {
	case "table", "json", "yaml":
		return nil
	}
	return fmt.Errorf("--output must be table, json or yaml, not %q", i.format)
}

// run prints the dry run. Its error says that nothing takes the image.
func (i *imageCheck) run(ctx context.Context, out io.Writer, s *server.Server, branch string, offline bool) error {
	found, err := s.DryRun(ctx, i.about, offline)
	if gitops.CodeOf(err) == gitops.Invalid {
		return badInput{err}
	}
	if err != nil {
		return err
	}
	p := newPrinter(out, i.format)
	if err := p.print(found, func() { p.dryRun(found, branch) }); err != nil {
		return err
	}
	if found.Taken() {
		return nil
	}
	if found.Reason != "" {
		return fmt.Errorf("nothing takes the tag %s: %s", found.Tag, found.Reason)
	}
	return fmt.Errorf("nothing takes the tag %s", found.Tag)
}

func (p *printer) dryRun(d server.DryRun, branch string) {
	what := "An order of the tag " + d.Tag
	if d.Repository != "" {
		what = "A push of " + d.Repository + ":" + d.Tag
	}
	where := "The files were not read."
	if d.Commit != "" {
		where = fmt.Sprintf("Files as in %s at %s.", branch, short(d.Commit))
	} else if len(d.Commits) > 0 {
		var each []string
		for _, name := range slices.Sorted(maps.Keys(d.Commits)) {
			each = append(each, name+" at "+short(d.Commits[name]))
		}
		where = "Files as in " + strings.Join(each, ", ") + "."
	}
	p.line("", "%s, as a dry run. %s", what, where)
	if len(d.Targets) == 0 {
		return
	}
	p.line("", "")
	var rows [][]cell
	for _, e := range d.Targets {
		result := cell{"not taken", "dim"}
		if e.Taken {
			result = cell{"taken", "good"}
		}
		row := func(file, keys string) {
			rows = append(rows, []cell{{e.Environment, ""}, {e.App, ""}, result, {file, ""}, {keys, ""}, {e.Reason, ""}})
		}
		for _, f := range e.Files {
			row(f.File, strings.Join(f.Keys, ", "))
		}
		if len(e.Files) == 0 {
			row("-", "-")
		}
	}
	p.table([]string{"ENVIRONMENT", "APP", "RESULT", "FILE", "KEYS", "REASON"}, rows)
	for _, e := range d.Targets {
		for _, f := range e.Files {
			if f.Diff != "" {
				p.line("", "\n%s", f.File)
				p.diff(f.Diff)
			}
		}
	}
}

// diff prints a unified diff, with the lines that go and come in colour.
func (p *printer) diff(text string) {
	colours := map[byte]string{'-': "bad", '+': "good", '@': "dim"}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		p.line("", "%s", p.paint(line, colours[line[0]]))
	}
}
