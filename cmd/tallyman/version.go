package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server"
)

// Set by the Makefile's build.
var (
	version  = "dev"
	revision = "unknown"
)

func currentVersion() server.Version {
	return server.Version{Version: version, Revision: revision, Go: runtime.Version()}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := currentVersion()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tallyman %s (revision %s, %s)\n", v.Version, v.Revision, v.Go)
			return err
		},
	}
}
