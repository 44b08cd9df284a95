package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// setFlags are the fields of a set in the configuration but for key and value.
type setFlags struct {
	create   createFlag
	inside   string
	anchor   string
	follows  []string
	replaces []string
}

func (s *setFlags) flags(cmd *cobra.Command) {
	cmd.Flags().Var(&s.create, "create", "add a missing `key`, or with --create=parents also the maps that lead to it")
	cmd.Flags().Lookup("create").NoOptDefVal = "key"
	cmd.Flags().StringVar(&s.inside, "inside", "", "`key` of a literal block scalar (|) in whose text the keys of --set select")
	cmd.Flags().StringVar(&s.anchor, "anchor", "", "`follow` edits an anchor, and what uses it changes, too")
	cmd.Flags().StringArrayVar(&s.follows, "follows", nil, "`key` that may change with an anchor, once or several times (default: every key)")
	cmd.Flags().StringArrayVar(&s.replaces, "replaces", nil, "`repository`, such as a mirror, that a reference may take the place of, once or several times")
}

// target is the set with a key and a value.
func (s *setFlags) target(key, value string) values.Target {
	return values.Target{
		Key: key, Value: value, Inside: s.inside, Anchor: s.anchor, Follows: s.follows, Replaces: s.replaces,
		Create: s.create != "", CreateParents: s.create == "parents", KeepType: true,
	}
}

// createFlag is which missing keys are added: "", "key" or "parents".
type createFlag string

// Set implements pflag.Value. The flag may stand without a value, and true and false
// are what the configuration calls the first two.
func (c *createFlag) Set(text string) error {
	switch text {
	case "key", "true":
		*c = "key"
	case "parents":
		*c = "parents"
	case "false":
		*c = ""
	default:
		return errors.New("must be key or parents")
	}
	return nil
}

func (c *createFlag) String() string { return string(*c) }

// Type implements pflag.Value.
func (c *createFlag) Type() string { return "string" }

// flagError names the flag that an error of [values.Compile] is about. The error's
// field counts the targets as a configuration does: [0].key.
func flagError(err error) error {
	var wrong *gitops.Error
	if !errors.As(err, &wrong) {
		return err
	}
	set, field, _ := strings.Cut(wrong.Field, ".")
	switch field {
	case "key":
		return fmt.Errorf("--set%s.key: %s (a key looks like .image.tag)", set, wrong.Message)
	case "value":
		return fmt.Errorf("--set%s.value: %s", set, wrong.Message)
	}
	return fmt.Errorf("--%s: %s", field, wrong.Message)
}
