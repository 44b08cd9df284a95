package limits

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// proxies are the networks whose X-Forwarded-For counts.
type proxies []netip.Prefix

// The widest ranges that can be one's own: 10.0.0.0/8 and fc00::/7. A wider one, or
// several that are the whole Internet together, trusts everybody.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

func parseProxies(texts []string) (proxies, error) {
	var trusted proxies
	for i, text := range texts {
		field := fmt.Sprintf("trustedProxies[%d]", i)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, gitops.FieldErrorf(field, "must be a range of addresses, such as 10.0.0.0/20, or 10.0.0.7/32 for one address; it is %q", text)
		}
		if prefix.Addr().Is4In6() {
			return nil, gitops.FieldErrorf(field, "is %s: write an IPv4 range as such, as in 10.0.0.0/20", text)
		}
		widest := widestIPv6
		if prefix.Addr().Is4() {
			widest = widestIPv4
		}
		if prefix.Bits() < widest {
			return nil, gitops.FieldErrorf(field, "is %s, and must be /%d or smaller: any client in the range could say whose request it is", text, widest)
		}
		trusted = append(trusted, prefix.Masked())
	}
	return trusted, nil
}

func (p proxies) have(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address) })
}

// maxProxies is how many trusted proxies a request may have come through one after the
// other. Further entries of X-Forwarded-For are not looked at.
const maxProxies = 8

// client is the address of the client of a request that a trusted proxy sent, by the
// X-Forwarded-For header. Each proxy appends whom it was reached from, so the header is
// read from its end, and what stands before the first address that is not a
// trusted proxy's is that client's own invention. ok is false where the header is
// missing, or does not say: then the request is the proxy's own.
//
// A client whose own address is among the trusted ones could name any other before it.
// So where the walk does not end at a public address, what the nearest proxy saw counts.
func (p proxies) client(header []string) (address netip.Addr, ok bool) {
	var nearest netip.Addr
	hops := 0
	for entry := range fromRight(header) {
		address, ok := parseForwarded(entry)
		if hops++; !ok || hops > maxProxies {
			break
		}
		if !p.have(address) && (hops == 1 || isPublic(address)) {
			return address, true
		}
		if hops == 1 {
			nearest = address
		} else if !p.have(address) {
			break
		}
	}
	return nearest, nearest.IsValid()
}

// fromRight are the entries of a header's lines, which are one list, from its end.
func fromRight(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				at := strings.LastIndexByte(line, ',')
				if !yield(strings.Trim(line[at+1:], " \t")) {
					return
				}
				if more = at >= 0; more {
					line = line[:at]
				}
			}
		}
	}
}

// parseForwarded reads an entry: an address, which some proxies write with the port. It
// is not ok for an address that no client is reached from through a proxy.
func parseForwarded(entry string) (address netip.Addr, ok bool) {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(entry)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	address = address.Unmap().WithZone("")
	return address, address.IsGlobalUnicast()
}

func isPublic(address netip.Addr) bool { return address.IsGlobalUnicast() && !address.IsPrivate() }

// countedAs is the key of a request's context for the address that it is counted by,
// where that is not its RemoteAddr.
type countedAs struct{}

// ClientAddress makes RemoteAddr the client's where the request came through a
// trusted proxy. Of other clients the header does not count. One with a private address is
// counted as the proxy: it is said by the header alone, and a proxy that passes on
// what it is sent would let its clients choose one that is not theirs.
func (l *Limits) ClientAddress(next http.Handler) http.Handler {
	if len(l.proxies) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddr(webhook.ClientIP(r.RemoteAddr))
		if err == nil && l.proxies.have(peer.Unmap().WithZone("")) {
			if client, ok := l.proxies.client(r.Header["X-Forwarded-For"]); ok {
				if !isPublic(client) {
					r = r.WithContext(context.WithValue(r.Context(), countedAs{}, peer))
				}
				r.RemoteAddr = client.String()
			}
		}
		next.ServeHTTP(w, r)
	})
}

// clientAddress is the address that a request is counted by, the zero one where there
// is none.
func clientAddress(r *http.Request) netip.Addr {
	if address, ok := r.Context().Value(countedAs{}).(netip.Addr); ok {
		return address.Unmap().WithZone("")
	}
	address, _ := netip.ParseAddr(webhook.ClientIP(r.RemoteAddr))
	return address.Unmap().WithZone("")
}

// clientKey is what a client's connections and bodies are counted by: its address, of
// IPv6 the network that one customer has.
func clientKey(r *http.Request) string { return network(clientAddress(r), 64) }

// clientNetwork is what a client's refusals are counted by. Of IPv6 it is the largest
// network that one customer usually has, which may be more than one's: nobody with a
// valid credential is refused for what the others do.
func clientNetwork(r *http.Request) string { return network(clientAddress(r), 48) }

func network(address netip.Addr, bits int) string {
	if address.Is6() {
		prefix, _ := address.Prefix(bits)
		address = prefix.Addr()
	}
	return address.String()
}
