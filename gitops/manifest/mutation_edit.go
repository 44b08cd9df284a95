//go:build mutation_edit

package manifest

const editsOnce = true
