package main

import (
	"context"
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
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, the store and repository access",
		Long: `Validate the configuration, the secrets' files and the rules as serve does, print who
may write in each environment, and check whether the store can be written. Then check
that the git server allows a push to the manifest repository, try every app's edit in
every environment on the files as they are on the branch now, and with a GitHub App
look up the GitHub environments that the rules of access demand. Nothing is changed.

Exit status 0: no problem. 2: the configuration is wrong. 1: the store, the manifest
repository or a file in it is.`,
		Example: "  tallyman check --config tallyman.yaml\n  tallyman check --offline",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			s, err := server.New(c, currentVersion(), slog.New(slog.DiscardHandler))
			if err != nil {
				return badInput{err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "configuration: ok")
			s.CheckAccess(cmd.OutOrStdout())
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			defer s.Stop(ctx)
			if err := s.CheckStore(ctx); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "store: ok")
			if offline {
				return nil
			}
			return s.CheckManifests(ctx, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not connect to the git server")
	return cmd
}
