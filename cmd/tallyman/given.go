package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkGiven refuses an argument or a flag that is given and empty. Such a value comes from a
// script whose variable is not set, and is not the same as one that was left out: the command
// would be about everything, or about something else than was meant.
func checkGiven(cmd *cobra.Command, args []string) (err error) {
	if slices.Contains(args, "") {
		return badInput{errors.New("an argument is empty: give it a value, or leave it out")}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case f.Name == "for" && f.Value.String() == "0s":
			err = badInput{errors.New("--for must be more than 0, such as 72h: give it, or leave --for out")}
		case !slices.Contains(connectFlags, f.Name) && isEmpty(f):
			err = badInput{fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name)}
		}
	})
	return err
}

// connectFlags are flags that say where to ask, and not for what.
var connectFlags = []string{"url", "token-file", "audience"}

// isEmpty reports whether a flag has an empty value, or one of its values is empty.
func isEmpty(f *pflag.Flag) bool {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values := list.GetSlice()
		return len(values) == 0 || slices.Contains(values, "")
	}
	return f.Value.String() == ""
}
