//go:build mutation_settle

package manifest

const settlesFirst = true
