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
		Short: "Bring everything of a SQLite store into an empty PostgreSQL database",
		Long: `Copies what the store of SQLite holds into a database of PostgreSQL: deliveries with
their bodies, updates with their steps, what decides whether an event comes too
late, lanes, and marks. Updates keep their ids and their order.

serve must be stopped before: a store that is in use is refused, and so is a
database that holds anything. It is one transaction, so there is all of it or
nothing, and a second try begins anew. What was brought is counted again in the
database before it is committed. The file stays as it is: when serve has been
started with the database, move it away, so that nobody starts with it again.

It ends with 0 when all is there, 2 when an address is wrong, and 1 when it
could not be done.`,
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
			fmt.Fprintf(cmd.OutOrStdout(), "%d deliveries, %d updates, %d steps, %d releases, %d lanes, %d marks, %d spent credentials: all counted in the database\n",
				held.Deliveries, held.Updates, held.Steps, held.Releases, held.Lanes, held.Marks, held.Spent)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the store of SQLite, as in the configuration's `store`")
	cmd.Flags().StringVar(&to, "to", "", "the database of PostgreSQL, as in the configuration's `store`")
	cmd.Flags().StringVar(&passwordFile, "to-password-file", "", "the `file` with the database's password, as in storePasswordFile")
	return cmd
}
