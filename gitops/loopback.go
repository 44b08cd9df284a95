package gitops

import "net/netip"

// IsLoopback reports whether a host, as it stands in a URL, is this machine, so
// that what is sent to it passes nobody. A name other than localhost may be
// anybody's.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
