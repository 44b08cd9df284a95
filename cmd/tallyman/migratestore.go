package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server"
)

func newMigrateStore() *cobra.Command {
	var from, to, passwordFile string
	cmd := &cobra.Command{
		Use:   "migrate-store",
		Short: "Copy a SQLite store into an empty PostgreSQL database",
		Long: `Copy everything in a SQLite store into a PostgreSQL database: deliveries with their
bodies, updates with their steps, the newest release of each app, lanes, checkpoints,
used tokens, the holds, the audit, the memory of what was pruned and the keys that
prove commits.
Updates keep their ids and their order.

Stop serve first: a store that is in use is an error, and so is a database that is not
empty. The copy is one transaction, all of it or nothing, and can be repeated after an
error. Everything is counted again in the database before the commit. The file stays as
it is: once serve runs with the database, move the file away, so that no server starts
with it again.

Exit status 0: everything is copied. 2: an address is wrong. 1: the copy failed.`,
		Example: `  tallyman migrate-store --from sqlite:///var/lib/tallyman/tallyman.db \
    --to 'postgres://tallyman@db.example.com/tallyman?sslmode=verify-full' --to-password-file /etc/tallyman/store-password`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			held, err := server.MigrateStore(ctx, from, to, passwordFile)
			if gitops.CodeOf(err) == gitops.Invalid {
				return badInput{err}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: all counted in the database\n", countsText(held))
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "SQLite `store`, as in the configuration")
	cmd.Flags().StringVar(&to, "to", "", "PostgreSQL `store`, as in the configuration")
	cmd.Flags().StringVar(&passwordFile, "to-password-file", "", "`file` with the database's password, as storePasswordFile in the configuration")
	return cmd
}
