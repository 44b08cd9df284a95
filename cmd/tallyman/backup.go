package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

func newBackup() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up the SQLite store to a new file",
		Long: `Back up the store that the configuration names to FILE, as it is at one moment, and
check the copy for damage. FILE is a store of its own: to restore, stop serve, put FILE
in the store's place, without the -wal and -shm files of the old store, and start serve
again.

It runs beside serve, on the same machine and as the same user: it reads the store in
one transaction, which needs no lock and delays nothing. What is accepted meanwhile is
not in the copy. FILE appears when it is complete and on the disk; an existing file is
not overwritten.

Back up a store in PostgreSQL with the tools of PostgreSQL.

Exit status 0: FILE is written. 2: the configuration or FILE's name is wrong. 1: the
store cannot be copied.`,
		Example: "  tallyman backup --config /etc/tallyman/tallyman.yaml /backup/tallyman-$(date +%F).db",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return badInput{fmt.Errorf("backup needs the name of the file to write: %w", err)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			err = server.Backup(ctx, c, args[0])
			switch gitops.CodeOf(err) {
			case gitops.Invalid, gitops.Conflict:
				return badInput{err}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	return cmd
}
