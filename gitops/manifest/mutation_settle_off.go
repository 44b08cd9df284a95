//go:build !mutation_settle

package manifest

// settlesFirst is true in a build with the tag mutation_settle: a bug planted on
// purpose, which the simulation must find.
const settlesFirst = false
