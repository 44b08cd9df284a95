package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/cmd/tallyman/client"
	"github.com/tallyman-dev/tallyman/gitops"
)

// remote is what the commands that ask a server have in common.
type remote struct {
	url       string
	tokenFile string
	audience  string // asks for the token of the job of GitHub Actions
	format    string // "table", "json" or "yaml"
	json      bool   // the same as format "json"
}

// howToConnect is part of the help of each of these commands.
const howToConnect = `

The server is --url, or TALLYMAN_URL, or url in the file tallyman/client.yaml of
your configuration directory (~/.config on Linux), or http://127.0.0.1:8080.
The token is in the file --token-file or TALLYMAN_TOKEN_FILE, or is TALLYMAN_TOKEN,
or is in the file that tokenFile in client.yaml names. In a job of GitHub Actions with
permissions: {id-token: write} none is needed: the job's own token is asked for, for the
audience --audience or TALLYMAN_AUDIENCE, or else the server's address.`

func (c *remote) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.url, "url", "", "public `address` of the server")
	cmd.Flags().StringVar(&c.tokenFile, "token-file", "", "`file` with an API token of the server")
	cmd.Flags().StringVar(&c.audience, "audience", "", "`audience` of the token of this job of GitHub Actions, which is used in place of others")
	cmd.Flags().StringVarP(&c.format, "output", "o", "table", "output `format`: table, json or yaml")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, as --output json")
	complete(cmd, "output", func(*cobra.Command) []string { return []string{"table", "json", "yaml"} })
	cmd.Long = strings.TrimSpace(cmd.Long) + howToConnect
}

// clientFile is tallyman/client.yaml.
type clientFile struct {
	URL       string `yaml:"url"`
	TokenFile string `yaml:"tokenFile"`
}

// connect makes a client. What is missing or wrong is bad input.
func (c *remote) connect() (*client.Client, error) {
	if c.json && c.format == "table" {
		c.format = "json"
	}
	if c.json && c.format != "json" {
		return nil, badInput{fmt.Errorf("--json and --output %s ask for two formats: give one of them", c.format)}
	}
	if c.format != "table" && c.format != "json" && c.format != "yaml" {
		return nil, badInput{fmt.Errorf("--output must be table, json or yaml, not %q", c.format)}
	}
	file, err := readClientFile()
	if err != nil {
		return nil, badInput{err}
	}
	address := serverAddress(c.url, file)
	token, err := c.token(file)
	if err != nil {
		return nil, badInput{err}
	}
	var found *client.Client
	if token != "" {
		found, err = client.New(address, token)
	} else {
		found, err = c.connectAsJob(address)
	}
	if err != nil {
		return nil, badInput{err}
	}
	return found, nil
}

// usualAddress is that of a server on this machine.
const usualAddress = "http://127.0.0.1:8080"

// serverAddress is the flag's, or else the first that is configured.
func serverAddress(flag string, file clientFile) string {
	return firstOf(flag, os.Getenv("TALLYMAN_URL"), file.URL, usualAddress)
}

// connectAsJob makes a client with the identity of the job that it runs in.
func (c *remote) connectAsJob(address string) (*client.Client, error) {
	request := os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL")
	audience := firstOf(c.audience, os.Getenv("TALLYMAN_AUDIENCE"))
	switch {
	case request == "" && audience == "":
		return nil, errors.New("no token: set --token-file, TALLYMAN_TOKEN_FILE or TALLYMAN_TOKEN")
	case request == "":
		return nil, errors.New("--audience asks for the token of a job of GitHub Actions, and there is none: the job needs permissions: {id-token: write}")
	}
	tokens, err := client.NewJobTokens(request, os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), firstOf(audience, strings.TrimSuffix(address, "/")))
	if err != nil {
		return nil, err
	}
	return client.NewWith(address, tokens)
}

// token is the token that is configured, "" where the job's own is to be used.
func (c *remote) token(file clientFile) (string, error) {
	if c.audience != "" {
		return "", nil
	}
	name := firstOf(c.tokenFile, os.Getenv("TALLYMAN_TOKEN_FILE"))
	if name == "" {
		if token := os.Getenv("TALLYMAN_TOKEN"); token != "" {
			return strings.TrimSpace(token), nil
		}
		name = file.TokenFile
	}
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("token file: %s is empty", name)
	}
	return token, nil
}

// readClientFile reads tallyman/client.yaml, which need not be there.
func readClientFile() (f clientFile, err error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return f, nil // no home, no file
	}
	name := filepath.Join(dir, "tallyman", "client.yaml")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	} else if err != nil {
		return f, err
	}
	if err := yaml.Load(text, &f, yaml.WithKnownFields()); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// complete offers values for a flag.
func complete(cmd *cobra.Command, flag string, values func(cmd *cobra.Command) []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return values(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag was never defined
	}
}

// names asks the server for the names of environments and apps, for completion.
// Where that fails there is nothing to offer.
func (c *remote) names(cmd *cobra.Command) (environments, apps []string) {
	server, err := c.connect()
	if err != nil {
		return nil, nil
	}
	environments, apps, err = namesOf(cmd.Context(), server)
	if err != nil {
		return nil, nil
	}
	return environments, apps
}

// completeNames offers environments for --env and apps for --app, as far as the
// command has these flags.
func (c *remote) completeNames(cmd *cobra.Command) {
	if cmd.Flags().Lookup("env") != nil {
		complete(cmd, "env", func(cmd *cobra.Command) []string { environments, _ := c.names(cmd); return environments })
	}
	if cmd.Flags().Lookup("app") != nil {
		complete(cmd, "app", func(cmd *cobra.Command) []string { _, apps := c.names(cmd); return apps })
	}
}

// completeApp offers apps for a first argument.
func (c *remote) completeApp(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_, apps := c.names(cmd)
	return apps, cobra.ShellCompDirectiveNoFileComp
}

// exactly refuses any other number of arguments as bad input.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return badInput{fmt.Errorf("%s needs %s, not %s%s", cmd.CommandPath(), strings.Join(names, " and "), plural(len(args), "argument"), waitApart(cmd, args))}
		}
		return nil
	}
}

// atMostOne refuses more arguments than one as bad input.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return badInput{fmt.Errorf("%s takes one %s at most, not %s", cmd.CommandPath(), name, plural(len(args), "argument"))}
		}
		return nil
	}
}

// apiRun is one run of a command that asks a server.
type apiRun struct {
	*cobra.Command
	server *client.Client
	print  *printer
	remote *remote
}

// run makes a command's function of one that asks the server. The server's answer
// decides the exit code.
func (c *remote) run(do func(a apiRun, args []string) error) func(cmd *cobra.Command, args []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := checkGiven(cmd, args); err != nil {
			return err
		}
		server, err := c.connect()
		if err != nil {
			return err
		}
		p := newPrinter(cmd.OutOrStdout(), c.format)
		err = do(apiRun{Command: cmd, server: server, print: p, remote: c}, args)
		if held := (*client.HeldError)(nil); errors.As(err, &held) && c.format != "table" {
			err = errors.Join(err, p.print(refusedFor{held.Error(), held.BlockedBy}, nil))
		}
		if errors.As(err, new(*gitops.Error)) {
			return serverError{err}
		}
		return err
	}
}

// refusedFor is the JSON form of what holds an order, for scripts.
type refusedFor struct {
	Detail    string         `json:"detail"`
	BlockedBy []gitops.Block `json:"blockedBy"`
}

// serverError is a server's error, or that it did not answer.
type serverError struct{ error }

func (e serverError) Unwrap() error { return e.error }

func (e serverError) exit() int {
	if errors.As(e.error, new(*client.HeldError)) {
		return exitHeld
	}
	switch gitops.CodeOf(e.error) {
	case gitops.Unavailable, gitops.RateLimited:
		return exitUnreachable
	case gitops.Internal:
		return exitFailed
	}
	return exitRejected
}
