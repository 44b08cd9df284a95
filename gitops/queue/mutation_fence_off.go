//go:build !mutation_fence

package queue

// checksFence is false in a build with the tag mutation_fence: a bug planted on
// purpose, which the simulation must find.
const checksFence = true
