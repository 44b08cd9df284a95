package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mayBeEmpty are flags that mean the same when they are empty as when they are left out,
// and whose absence narrows nothing.
var mayBeEmpty = []string{"url", "token-file", "audience", "digest", "key", "reason"}

// checkGiven refuses an argument or a flag that is given and empty, as a variable of a shell
// makes it that is not set: where no name is given, a command means all of them.
func checkGiven(cmd *cobra.Command, args []string) (err error) {
	if slices.Contains(args, "") {
		return badInput{fmt.Errorf("an argument of %s is empty: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case err != nil:
		case f.Name == "for" && f.Value.String() == "0s":
			err = badInput{errors.New("--for must be more than 0, such as 72h: give it, or leave --for out")}
		case !slices.Contains(mayBeEmpty, f.Name) && isEmpty(f):
			err = badInput{fmt.Errorf("--%s is given and empty: give it a value, or leave it out", f.Name)}
		}
	})
	return err
}

// isEmpty reports whether a flag has no value, or one of several is none.
func isEmpty(f *pflag.Flag) bool {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values := list.GetSlice()
		return len(values) == 0 || slices.Contains(values, "")
	}
	return f.Value.String() == ""
}
