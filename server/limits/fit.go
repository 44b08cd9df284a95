package limits

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/budget"
)

// ConnectionBytes is what one connection takes at its worst: up to 65 KiB were measured, of
// which half is garbage that was not collected yet. See TestOneConnectionsWorst.
const ConnectionBytes = 80 << 10

// connectionLimits are how many connections there may be, in all and from one address:
// what is configured, if it fits the share of connections, else as many as fit it.
func connectionLimits(c Config) (most, each int, err error) {
	fit := c.Shares.Connections / ConnectionBytes
	switch {
	case c.Connections < 0:
		return 0, 0, gitops.FieldErrorf("connections", "must be 1 to %d, or left out", fit)
	case c.Connections > fit:
		return 0, 0, gitops.FieldErrorf("connections", "is %d, and %d fit: connections may take %s of the memory of %s, and one takes up to %s. Lower it, or give more memory: see limits.memory",
			c.Connections, fit, budget.Text(c.Shares.Connections), budget.Text(c.Shares.Memory), budget.Text(ConnectionBytes))
	case c.Connections > 0:
		fit = c.Connections
	}
	switch n := c.ConnectionsPerAddress; {
	case n < 0 || n > fit:
		return 0, 0, gitops.FieldErrorf("connectionsPerAddress", "must be 1 to %d, as many as there may be in all, or left out", fit)
	case n > 0:
		return int(fit), int(n), nil
	}
	return int(fit), int(max(1, fit/4)), nil
}

// Connections returns how many there may be, in all and from one address.
func (l *Limits) Connections() (most, each int) { return l.connections.most, l.connections.each }
