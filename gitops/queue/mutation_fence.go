//go:build mutation_fence

package queue

const checksFence = false
