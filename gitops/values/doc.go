// Package values sets scalars in YAML by changing only their bytes.
package values
