package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server"
)

// version is set by the release build; see the Makefile.
var version = "dev"

// currentVersion adds what the Go toolchain recorded in the binary.
func currentVersion() server.Version {
	v := server.Version{Version: version, Revision: "unknown", Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				v.Revision = setting.Value
			}
		}
	}
	return v
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := currentVersion()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tallyman %s (revision %s, %s)\n", v.Version, v.Revision, v.Go)
			return err
		},
	}
}
