package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server"
	"github.com/tallyman-dev/tallyman/server/backup"
	"github.com/tallyman-dev/tallyman/server/config"
)

func newBackup() *cobra.Command {
	var file string
	var keep int
	cmd := &cobra.Command{
		Use:   "backup FILE|DIRECTORY/|-",
		Short: "Back up the store, of SQLite or PostgreSQL",
		Long: `Back up all that the configured store holds, as it is at one moment, to a new FILE or,
for -, to standard output; restore makes a store of either kind of it. A target that
ends with / is a directory: the file there is called by the time, and all but the
newest --keep backups in it are removed once it is written.

It runs beside serve, for SQLite on the same machine and as the same user. It reads the
store in one transaction, which delays nothing, and needs little memory and no other
file. What is accepted meanwhile is not in the backup. A store of SQLite that is read
for long lets its WAL grow: when the target takes nothing for a minute the backup
fails.

FILE appears when it is complete and on the disk, and its owner alone may read it; an
existing file is not overwritten. Standard output must not be a terminal. Whether all
was written to it, the exit status says; restore refuses a backup that was cut off.

A backup holds the keys that prove commits: keep it as you keep secrets.

Exit status 0: the backup is complete. 2: flags, the configuration or the target's name
are wrong. 1: the store cannot be read, or the target not be written.`,
		Example: `  tallyman backup --config /etc/tallyman/tallyman.yaml /backup/tallyman-$(date +%F).backup
  tallyman backup --config /etc/tallyman/tallyman.yaml --keep 14 /backup/
  kubectl exec -n tallyman tallyman-0 -- tallyman backup -c /etc/tallyman/tallyman.yaml - > tallyman.backup`,
		Args: exactly("FILE, DIRECTORY/ or -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			directory := strings.HasSuffix(args[0], "/")
			keeps := cmd.Flags().Changed("keep")
			switch {
			case directory && !keeps:
				return badInput{fmt.Errorf("%s is a directory, so --keep must say how many backups stay in it: older ones are removed", args[0])}
			case keeps && !directory:
				return badInput{fmt.Errorf("--keep is for a directory, and %s is a file: end a directory's name with /", args[0])}
			case directory && keep < 1:
				return badInput{fmt.Errorf("--keep is %d: at least 1 backup must be kept", keep)}
			}
			c, err := config.Load(file)
			if err != nil {
				return badInput{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			source := server.BackupSource(c, currentVersion())
			switch {
			case args[0] == "-":
				var out io.Writer
				if out, err = pipe(); err == nil {
					_, err = source.Write(ctx, out)
				}
			case directory:
				_, _, err = backup.Directory{Path: args[0], Keep: keep}.Add(ctx, source)
			default:
				_, err = source.WriteFile(ctx, args[0])
			}
			switch gitops.CodeOf(err) {
			case gitops.Invalid, gitops.Conflict:
				return badInput{err}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `file`")
	cmd.Flags().IntVar(&keep, "keep", 0, "`number` of backups that stay in the directory")
	return cmd
}

// pipe is standard output, which must be something that keeps a backup. What no longer
// reads from it then fails the write: the runtime would end the process by a signal, and
// nobody would say why.
func pipe() (io.Writer, error) {
	if _, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil {
		return nil, gitops.Errorf(gitops.Invalid, "standard output is a terminal: a backup is binary, redirect it to a file or a program")
	}
	signal.Ignore(syscall.SIGPIPE)
	return os.Stdout, nil
}
