// Package attack plays hostile clients against a running server: connections that
// never finish a request, forged requests, and files that are small in git and large
// once they are parsed. Tests hold the server's limits against it, one at a time, and
// the soak plays all of it at once.
//
// Every attacker has a loopback address of its own, as attackers have, so that what is
// counted by address is counted as it would be.
package attack

import (
	"net"
	"time"
)

// Dialer makes connections from a loopback address, one of 127.0.0.1 to 127.0.0.254;
// from any when it is empty.
func Dialer(from string) *net.Dialer {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d
}
