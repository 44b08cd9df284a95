package limits

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/budget"
)

// doors are connections with those that are open, for scripts.
type doors struct {
	t *testing.T
	*connections
	open []client
}

func (d *doors) of(kind class, text string) client {
	c := clientAt(netip.MustParseAddr(text))
	c.class = kind
	return c
}

// come has so many connections come, and expects how many find room and why no more do.
func (d *doors) come(kind class, from string, n, want int, why Reason) {
	d.t.Helper()
	taken, refused := 0, Reason("")
	for range n {
		reason, ok := d.take(d.of(kind, from))
		if refused = reason; ok {
			d.open = append(d.open, d.of(kind, from))
			taken++
		}
	}
	if taken != want || refused != why {
		d.t.Errorf("%d of %d from %s found room, the last refused by %q; want %d, %q", taken, n, from, refused, want, why)
	}
}

// leave has all go.
func (d *doors) leave() {
	d.t.Helper()
	for _, c := range d.open {
		d.give(c)
	}
	if d.open = nil; d.connections.open != 0 || len(d.opens) != 0 || len(d.sites) != 0 || d.classes != [3]int{} {
		d.t.Errorf("%d are open, %v, %v, %v", d.connections.open, d.opens, d.sites, d.classes)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	d := &doors{t: t, connections: newConnections(100, 20, false)}
	d.come(unknown, "192.0.2.1", 30, 20, ReasonAddressLimit)
	d.come(unknown, "::ffff:192.0.2.1", 1, 0, ReasonAddressLimit) // is the same
	for n := range 3 {
		d.come(unknown, fmt.Sprint("192.0.2.", n+2), 15, 15, "")
	}
	d.come(unknown, "192.0.2.9", 20, 10, ReasonLimit) // a quarter is kept
	d.come(known, "198.51.100.1", 21, 20, ReasonAddressLimit)
	d.come(known, "198.51.100.2", 10, 5, ReasonLimit)
	d.leave()

	// A /64 is an address, and a /48 has four times as many.
	d.come(unknown, "2001:db8::1", 10, 10, "")
	d.come(unknown, "2001:db8::2", 20, 10, ReasonAddressLimit)
	d.leave()
	d = &doors{t: t, connections: newConnections(100, 10, false)}
	for n := range 4 {
		d.come(unknown, fmt.Sprintf("2001:db8:0:%d::1", n), 10, 10, "")
	}
	d.come(unknown, "2001:db8:0:ffff::1", 1, 0, ReasonAddressLimit)
	d.come(known, "2001:db8:0:fffe::1", 1, 0, ReasonAddressLimit)
	d.come(unknown, "2001:db8:1::1", 1, 1, "")
	d.leave()
}

// Behind proxies there are many clients, so nothing is counted by their address. They do
// not get what is kept for known clients, and who comes past them leaves them half.
func TestConnectionsOfProxies(t *testing.T) {
	d := &doors{t: t, connections: newConnections(100, 20, true)}
	d.come(proxy, "10.0.0.1", 100, 75, ReasonLimit)
	d.come(known, "198.51.100.1", 20, 20, "")
	d.leave()
	d.come(unknown, "192.0.2.1", 30, 20, ReasonAddressLimit)
	d.come(unknown, "192.0.2.2", 20, 5, ReasonLimit)
	d.come(proxy, "10.0.0.1", 100, 50, ReasonLimit)
	d.come(known, "198.51.100.1", 20, 20, "")
	d.leave()
}

// The limits of connections, of bodies and of refusals count by the same.
func TestClientsAreToldApartInOneWay(t *testing.T) {
	for address, want := range map[string]string{
		"[2001:db8::1]:1": "2001:db8::", "[2001:db8:0:1::1]:1": "2001:db8:0:1::", "192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[fe80::1%eth0]:1": "fe80::",
	} {
		connection := clientAt(netip.MustParseAddrPort(address).Addr()).network.String()
		if request := clientKey(&http.Request{RemoteAddr: address}); connection != want || request != want {
			t.Errorf("%s: a connection counts for %s, a request for %s, want %s", address, connection, request, want)
		}
	}
}

func TestConnectionsFitTheirShare(t *testing.T) {
	shares := budget.Split(budget.Default)
	fit := shares.Connections / ConnectionBytes
	for name, c := range map[string]struct {
		config  Config
		most    int64
		each    int64
		problem string
	}{
		"as many as fit":     {Config{}, fit, fit / 4, ""},
		"fewer":              {Config{Connections: 100}, 100, 25, ""},
		"one":                {Config{Connections: 1}, 1, 1, ""},
		"as many as fit too": {Config{Connections: fit, ConnectionsPerAddress: fit}, fit, fit, ""},
		"one too many": {Config{Connections: fit + 1}, 0, 0,
			fmt.Sprintf("connections: is %d, and %d fit: connections may take 79MiB of the memory of 409MiB, and one takes up to 80KiB. Lower it", fit+1, fit)},
		"fewer than none":                 {Config{Connections: -1}, 0, 0, "connections: must be 1 to"},
		"fewer than none of an address":   {Config{ConnectionsPerAddress: -1}, 0, 0, "connectionsPerAddress: must be 1 to"},
		"more of an address than in all":  {Config{Connections: 10, ConnectionsPerAddress: 11}, 0, 0, "connectionsPerAddress: must be 1 to 10,"},
		"more of an address than can fit": {Config{ConnectionsPerAddress: fit + 1}, 0, 0, "connectionsPerAddress: must be 1 to"},
	} {
		c.config.Shares = shares
		l, err := New(c.config)
		if c.problem != "" {
			if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("%s: %v, want %s", name, err, c.problem)
			}
			continue
		}
		if err != nil || l.connections.most != int(c.most) || l.connections.each != int(c.each) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

// While too many are leaving, one more waits until one is gone, and no longer than a
// moment.
func TestOneMoreWaitsForThoseThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, of := newConnections(200, 100, false), clientAt(netip.MustParseAddr("192.0.2.1"))
		began := time.Now()
		for range maxLeaving {
			c.awaitLeaving()
			c.count(of, 1)
			c.replace(of, of)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("%s for those that there is room for", waited)
		}
		time.AfterFunc(leaveWithin/4, c.gone)
		if c.awaitLeaving(); time.Since(began) != leaveWithin/4 || c.replaceable(of, ReasonLimit) == nil {
			t.Errorf("after %s, %d leave", time.Since(began), c.leaving)
		}
		c.replace(of, of)
		began = time.Now()
		if c.awaitLeaving(); time.Since(began) != leaveWithin || c.replaceable(of, ReasonLimit) != nil {
			t.Errorf("after %s, %d leave", time.Since(began), c.leaving)
		}
	})
}
