package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

func newCheck() *cobra.Command {
	var file string
	var offline bool
	var image imageCheck
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, the store and repository access",
		Long: `Validate the configuration, the secrets' files and the rules as serve does, print who
may write in each environment, and check whether the store can be written. Then check
that the git server allows a push to the manifest repository, try every app's edit in
every environment on the files as they are on the branch now, and with a GitHub App
look up the GitHub environments that the rules of access demand. With discover, print
how many apps each branch names, which environments nobody configured, and what is
wrong with which app. With image in an environment, ask the registries for the images
that are on the branch. With write: pull-request, name the permissions of the App and
the rules of the branch that keep pull requests from being opened or merged; with
source, the repositories where the App may make no Deployment. Nothing is changed.

With --tag, show instead what an image with this tag would mean: whether each app in
each environment takes it, or why not, and the change of its file. With --repository
the image is pushed to ECR; without, an order names it.

Exit status 0: no problem. 2: flags or the configuration are wrong. 1: the store, a
manifest repository, a source, an app or a file is; with --tag: nothing takes the image.`,
		Example: `  tallyman check --config tallyman.yaml
  tallyman check --offline
  tallyman check --tag 1.4.0 --repository 123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/myshop-api
  tallyman check --tag 1.4.0 --app myshop-api --env prod`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := image.checkFlags(cmd); err != nil {
				return badInput{err}
			}
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			s, err := server.New(c, currentVersion(), slog.New(slog.DiscardHandler))
			if err != nil {
				return badInput{err}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			defer s.Stop(ctx)
			if image.about.Tag != "" {
				return image.run(ctx, cmd.OutOrStdout(), s, c.Manifests.Branch, offline)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "configuration: ok")
			s.PrintAccess(cmd.OutOrStdout())
			s.PrintWarnings(cmd.OutOrStdout())
			if err := s.CheckStore(ctx, cmd.OutOrStdout()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "store: ok")
			backups := s.CheckBackups(cmd.OutOrStdout())
			if offline {
				return backups
			}
			return errors.Join(backups, s.CheckManifests(ctx, cmd.OutOrStdout()))
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not connect to the git server")
	image.flags(cmd)
	return cmd
}
