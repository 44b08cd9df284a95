package config

import (
	"net"
	"strconv"
)

// checkListeners reports what is wrong with the addresses that are listened on.
func (c *Config) checkListeners(report func(field, format string, args ...any)) {
	taken := make(map[string]string) // fields, by address
	for _, l := range []struct{ field, address string }{{"listen", c.Listen}, {"adminListen", c.AdminListen}, {"probeListen", c.ProbeListen}} {
		_, port, err := net.SplitHostPort(l.address)
		number, notNumber := strconv.ParseUint(port, 10, 16)
		switch other := taken[l.address]; {
		case err != nil || notNumber != nil || strconv.FormatUint(number, 10) != port:
			report(l.field, "must be host:port, such as :8080")
		case other != "":
			report(l.field, "must not be the same as %s", other)
		case number != 0: // which is a free port, another each time
			taken[l.address] = l.field
		}
	}
}
