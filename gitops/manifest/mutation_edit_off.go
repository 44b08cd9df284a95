//go:build !mutation_edit

package manifest

// editsOnce is true in a build with the tag mutation_edit: a bug planted on
// purpose, which the simulation must find.
const editsOnce = false
