package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/starter"
	"github.com/tallyman-dev/tallyman/server/survey"
)

// proposal is what init is asked for.
type proposal struct {
	repository     string
	branch         string
	tokenFile      string
	username       string
	sshKeyFile     string
	knownHostsFile string
	caFile         string
	output         string
	force          bool
}

func newInit() *cobra.Command {
	var p proposal
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Print a tallyman.yaml for a manifest repository",
		Long: `Print a tallyman.yaml for a manifest repository, made of what the repository has: which
files hold the tags of images, for which apps and environments, of which images, and
which tags each environment took so far. Comments say why each line is there. Helm
values, Kustomize overlays, Flux HelmReleases, umbrella charts, Applications and
ApplicationSets of Argo CD and plain manifests are understood. What was found and what
was not understood is printed on standard error.

What only you know is marked <fill in: ...>, and "tallyman check" names each that is
left. The repository is read by git's protocol over HTTPS or SSH, without a clone, and
nothing is written there.`,
		Example: `  tallyman init --repository https://github.com/myshop/manifests.git --token-file token
  tallyman init --repository git@github.com:myshop/manifests.git --ssh-key-file key \
    --known-hosts-file ~/.ssh/known_hosts --output tallyman.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return p.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&p.repository, "repository", "", "`URL` of the manifest repository, of HTTPS or SSH (required)")
	cmd.Flags().StringVar(&p.branch, "branch", "", "`branch` to read (default: the server's default branch)")
	cmd.Flags().StringVar(&p.tokenFile, "token-file", "", "`file` with a token that may read the repository")
	cmd.Flags().StringVar(&p.username, "username", "", "`name` that goes with the token (default: x-access-token)")
	cmd.Flags().StringVar(&p.sshKeyFile, "ssh-key-file", "", "`file` with the private key for a URL of SSH")
	cmd.Flags().StringVar(&p.knownHostsFile, "known-hosts-file", "", "`file` with the server's host keys, for a URL of SSH")
	cmd.Flags().StringVar(&p.caFile, "ca-file", "", "`file` with certificates to trust besides the system's")
	cmd.Flags().StringVarP(&p.output, "output", "o", "", "`file` to write in place of standard output; one that exists is left alone")
	cmd.Flags().BoolVar(&p.force, "force", false, "overwrite the file of --output")
	return cmd
}

func (p *proposal) run(ctx context.Context, out, notes io.Writer) error {
	if err := p.check(); err != nil {
		return badInput{err}
	}
	at, err := p.remote()
	if err != nil {
		return badInput{err}
	}
	found, err := survey.Read(ctx, survey.Config{Remote: at, Branch: p.branch, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return p.explain(err)
	}
	text := found.Findings.Configuration(starter.About{
		URL: p.repository, Branch: found.Branch, Commit: found.Commit, CAFile: absolute(p.caFile),
		TokenFile: absolute(p.tokenFile), Username: p.username, SSHKeyFile: absolute(p.sshKeyFile), KnownHostsFile: absolute(p.knownHostsFile),
	})
	if p.output == "" {
		_, err = out.Write(text)
	} else {
		err = p.write(text)
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(found.Findings.Summary()) {
		fmt.Fprintln(notes, printable(strings.TrimSuffix(line, "\n")))
	}
	p.printNext(notes, strings.Count(string(text), starter.Missing))
	return nil
}

// check finds what is wrong with flags by themselves, before the network is used.
func (p *proposal) check() error {
	switch {
	case p.repository == "":
		return errors.New("--repository is required: the URL of the manifest repository")
	case p.username != "" && p.tokenFile == "":
		return errors.New("--username goes with a token: give --token-file, too")
	case p.force && p.output == "":
		return errors.New("--force is for --output, which is not given")
	case p.output == "" || p.force:
		return nil
	}
	_, err := os.Lstat(p.output)
	switch {
	case err == nil:
		return fmt.Errorf("--output: %s exists, and is left as it is: give another file, or --force", p.output)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

func (p *proposal) remote() (git.Config, error) {
	at := git.Config{URL: p.repository, SSH: git.SSH{KeyFile: p.sshKeyFile, KnownHostsFile: p.knownHostsFile}}
	if p.tokenFile != "" {
		at.Credentials = git.TokenFile{Path: p.tokenFile, User: p.username}
	}
	var err error
	at.RootCAs, err = readRoots(p.caFile)
	return at, err
}

// initFlags are the flags by the fields that errors of the repository name.
var initFlags = strings.NewReplacer(
	"credentials.sshKeyFile: ", "--ssh-key-file: ", "credentials.knownHostsFile: ", "--known-hosts-file: ",
	"credentials: ", "--token-file: ", "url: ", "--repository: ", "branch: ", "--branch: ")

// explain adds the way out to an error of the repository.
func (p *proposal) explain(err error) error {
	message := gitops.PublicOf(err)
	var cause error
	if known := new(gitops.Error); errors.As(err, &known) {
		cause = known.Err
	}
	switch code := gitops.CodeOf(err); {
	case code == gitops.Invalid:
		return badInput{errors.New(initFlags.Replace(message))}
	case (code == gitops.Unauthorized || code == gitops.NotFound && strings.Contains(message, "does not exist")) && p.tokenFile == "" && p.sshKeyFile == "":
		message += ": check --repository, and give --token-file with a token that may read it"
	case code == gitops.Unauthorized:
		message += ": check --token-file and --username; the token must be allowed to read the repository's contents"
	case code == gitops.NotFound && strings.Contains(message, "no branch"):
		message += ": give it as --branch"
	}
	if cause != nil {
		message += " (" + cause.Error() + ")"
	}
	return errors.New(message)
}

// absolute is the path as a service finds it that runs elsewhere; empty for none.
func absolute(file string) string {
	if file == "" {
		return ""
	}
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}
