package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newClear() *cobra.Command {
	var from remote
	var reason string
	cmd := &cobra.Command{
		Use:   "clear OBJECT",
		Short: "Clear a file that was set aside, so that it is parsed again",
		Long: `Clear a file that was set aside, or what the git server sends of the branch: tallyman
died twice while it parsed that, and has left it alone since. Updates of the file failed
meanwhile; retry those that are still wanted. If tallyman dies again
while it parses the object alone, that counts from the beginning: it takes two deaths
until it is set aside again. tallyman status lists objects. The token needs the right
"retry" for every app in the file.`,
		Example:           "  tallyman status\n  tallyman clear 8ab686eafeb1f44702738c8b0f24f2567c36da6d --reason \"more memory\"",
		Args:              exactly("OBJECT"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: from.run(func(a apiRun, args []string) error {
			s, err := a.server.Clear(a.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return a.print.print(s, func() { fmt.Fprintf(a.print.out, "%s %s is parsed again\n", s.Kind, s.Path) })
		}),
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for the log and the audit: why")
	return cmd
}
