package main

import (
	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/server/config/schema"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of tallyman.yaml, for editors",
		Long: `Print the JSON Schema of tallyman.yaml. Editors that speak to yaml-language-server
complete and check the file by it, where its first line names the schema:

  tallyman schema > tallyman.schema.json
  # yaml-language-server: $schema=tallyman.schema.json

"tallyman check" knows more: it looks at values, files and the repository, too.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(schema.JSON)
			return err
		},
	}
}
