package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/config"
)

func newRestore() *cobra.Command {
	var file string
	var replace, markOnly bool
	cmd := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Restore the store from a backup",
		Long: `Restore the configured store, of SQLite or PostgreSQL, from a backup that tallyman
wrote, whichever kind of store that was of. FILE may be - for standard input.

Stop serve first: a store that is in use is an error. So is a store that holds anything,
unless --replace is given: then it is kept, as a file beside the new one or in a schema
beside the new tables, and the output says where.

All is restored or nothing: a backup that is damaged or was cut off changes nothing, and
whenever this process or the machine dies, the store is the old one or the new one.

What is open in the backup may have been written since it was made. It is marked, so
that serve looks for it on the branch and writes nothing twice.

--mark-only restores nothing and marks only: for a store that was brought back by other
means, such as pg_restore, a point in time, or a snapshot of its volume. It must be run
before serve starts.

Exit status 0: the store is restored. 2: flags, the configuration or the backup are
wrong, or the store is in the way. 1: it failed, and the store is as it was.`,
		Example: `  tallyman restore --config /etc/tallyman/tallyman.yaml /backup/tallyman-20261126T030000Z.backup
  tallyman restore --config /etc/tallyman/tallyman.yaml --replace - < tallyman.backup
  tallyman restore --config /etc/tallyman/tallyman.yaml --mark-only`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case !markOnly:
				return exactly("FILE or -")(cmd, args)
			case len(args) > 0:
				return badInput{fmt.Errorf("--mark-only restores nothing, so it takes no backup: leave out %s, or --mark-only", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if markOnly && replace {
				return badInput{errors.New("--mark-only restores nothing, so there is nothing to --replace")}
			}
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if markOnly {
				err = server.MarkRestored(ctx, c)
			} else {
				err = restore(ctx, cmd.OutOrStdout(), c, args[0], replace)
			}
			switch gitops.CodeOf(err) {
			case gitops.Invalid, gitops.Conflict:
				return badInput{err}
			}
			if err == nil && markOnly {
				fmt.Fprintln(cmd.OutOrStdout(), "marked: what is open in the store is looked for on the branch before it is written")
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	cmd.Flags().BoolVar(&replace, "replace", false, "keep a store that holds something aside")
	cmd.Flags().BoolVar(&markOnly, "mark-only", false, "only mark what may have been pushed since the backup")
	return cmd
}

// restore restores from the named file, and says what it did and what is left to do.
func restore(ctx context.Context, out io.Writer, c config.Config, name string, replace bool) error {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return badInput{fmt.Errorf("the backup cannot be read: %w", err)}
		}
		defer f.Close()
		in = f
	}
	done, err := server.Restore(ctx, c, in, replace)
	if err != nil {
		return err
	}
	printRestored(out, done)
	return nil
}

func printRestored(out io.Writer, done server.Restored) {
	at := done.Backup.MadeAt.Format(time.RFC3339)
	fmt.Fprintf(out, "restored: the store as it was at %s\n", at)
	fmt.Fprintf(out, "  %s\n", countsText(done.Counts))
	if done.Aside != "" {
		fmt.Fprintf(out, "kept: the store that was there is now %s\n", done.Aside)
	}
	fmt.Fprintf(out, `marked: what is open is looked for on the branch before it is written
next: start serve. What arrived after %s is not in the store. With a GitHub App
  serve fetches GitHub's deliveries of the last three days by itself; everything
  else of that time must be sent again, unless it is on the branch.
`, at)
}

// countsText says how much a store or a backup holds.
func countsText(c queue.Counts) string {
	return fmt.Sprintf("deliveries: %d, updates: %d, steps: %d, heads: %d, lanes: %d, checkpoints: %d, used tokens: %d, audit entries: %d, remembered deliveries: %d, proof keys: %d, suspects: %d, holds: %d, lifts: %d, seen images: %d",
		c.Deliveries, c.Updates, c.Steps, c.Heads, c.Lanes, c.Checkpoints, c.UsedTokens, c.Audit, c.Memories, c.ProofKeys, c.Suspects, c.Holds, c.Lifts, c.Images)
}
