package limits

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/budget"
)

// What X-Forwarded-For says of a request that the proxy 10.0.0.1 sent.
func TestForwardedFor(t *testing.T) {
	l, err := New(Config{TrustedProxies: []string{"10.0.0.0/16", "2001:db8:ff::/48"}, RefusedPerMinute: 1, Connections: 1, Shares: budget.Split(budget.Default)})
	if err != nil {
		t.Fatal(err)
	}
	many := slices.Repeat([]string{"10.0.0.2"}, maxProxies)
	for name, c := range map[string]struct {
		lines         []string
		peer          string // "" is the proxy
		seen, counted string
	}{
		"a client":                       {[]string{"203.0.113.5"}, "", "203.0.113.5", "203.0.113.5"},
		"a client through two proxies":   {[]string{"203.0.113.5, 10.0.0.2"}, "", "203.0.113.5", "203.0.113.5"},
		"a client that names others":     {[]string{"198.51.100.1, 10.0.0.7, 127.0.0.1, 203.0.113.5"}, "", "203.0.113.5", "203.0.113.5"},
		"a client behind another proxy":  {[]string{"198.51.100.1, 203.0.113.5, 10.0.0.2"}, "", "203.0.113.5", "203.0.113.5"},
		"several lines are one list":     {[]string{"198.51.100.1, 198.51.100.2", "203.0.113.5,10.0.0.2"}, "", "203.0.113.5", "203.0.113.5"},
		"the last line decides":          {[]string{"198.51.100.1", "203.0.113.5"}, "", "203.0.113.5", "203.0.113.5"},
		"with a port":                    {[]string{"203.0.113.5:4711"}, "", "203.0.113.5", "203.0.113.5"},
		"of IPv6":                        {[]string{"2001:db8:1:2:3::4"}, "", "2001:db8:1:2:3::4", "2001:db8:1::"},
		"of IPv6 in brackets":            {[]string{"[2001:db8:1:2:3::4]"}, "", "2001:db8:1:2:3::4", "2001:db8:1::"},
		"of IPv6 with a port":            {[]string{"[2001:db8:1:2:3::4]:4711"}, "", "2001:db8:1:2:3::4", "2001:db8:1::"},
		"of IPv6 with a zone":            {[]string{"2001:db8:1:2:3::4%eth0"}, "", "2001:db8:1:2:3::4", "2001:db8:1::"},
		"of IPv4 within IPv6":            {[]string{"::ffff:203.0.113.5"}, "", "203.0.113.5", "203.0.113.5"},
		"a proxy of IPv4 within IPv6":    {[]string{"203.0.113.5, ::ffff:10.0.0.2"}, "", "203.0.113.5", "203.0.113.5"},
		"a proxy of IPv6":                {[]string{"203.0.113.5"}, "[2001:db8:ff::1]:443", "203.0.113.5", "203.0.113.5"},
		"no header":                      {nil, "", "10.0.0.1", "10.0.0.1"},
		"an empty header":                {[]string{""}, "", "10.0.0.1", "10.0.0.1"},
		"an empty entry at the end":      {[]string{"203.0.113.5,"}, "", "10.0.0.1", "10.0.0.1"},
		"no address":                     {[]string{"203.0.113.5, unknown"}, "", "10.0.0.1", "10.0.0.1"},
		"no address before a proxy":      {[]string{"203.0.113.5, unknown, 10.0.0.2"}, "", "10.0.0.2", "10.0.0.1"},
		"the loopback":                   {[]string{"203.0.113.5, 127.0.0.1"}, "", "10.0.0.1", "10.0.0.1"},
		"the loopback of IPv6":           {[]string{"::1"}, "", "10.0.0.1", "10.0.0.1"},
		"a link-local address":           {[]string{"169.254.169.254"}, "", "10.0.0.1", "10.0.0.1"},
		"a link-local address of IPv6":   {[]string{"fe80::1%eth0"}, "", "10.0.0.1", "10.0.0.1"},
		"the unspecified address":        {[]string{"0.0.0.0"}, "", "10.0.0.1", "10.0.0.1"},
		"a multicast address":            {[]string{"224.0.0.1"}, "", "10.0.0.1", "10.0.0.1"},
		"a private address":              {[]string{"192.168.1.5"}, "", "192.168.1.5", "10.0.0.1"},
		"a private address of IPv6":      {[]string{"fd00::5"}, "", "fd00::5", "10.0.0.1"},
		"private beyond a proxy":         {[]string{"192.168.1.5, 10.0.0.2"}, "", "10.0.0.2", "10.0.0.1"},
		"the loopback beyond a proxy":    {[]string{"127.0.0.1, 10.0.0.2"}, "", "10.0.0.2", "10.0.0.1"},
		"a client among the proxies":     {[]string{"10.0.0.9"}, "", "10.0.0.9", "10.0.0.1"},
		"who names another of them":      {[]string{"10.0.0.8, 10.0.0.7, 10.0.0.9"}, "", "10.0.0.9", "10.0.0.1"},
		"more proxies than there may be": {[]string{"203.0.113.5, " + strings.Join(many, ", ")}, "", "10.0.0.2", "10.0.0.1"},
		"as many as there may be":        {[]string{"203.0.113.5, " + strings.Join(many[1:], ", ")}, "", "203.0.113.5", "203.0.113.5"},
		"not from a proxy":               {[]string{"198.51.100.1"}, "203.0.113.9:1", "203.0.113.9", "203.0.113.9"},
		"from next to the proxies":       {[]string{"198.51.100.1"}, "10.1.0.1:1", "10.1.0.1", "10.1.0.1"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if r.RemoteAddr = c.peer; c.peer == "" {
			r.RemoteAddr = "10.0.0.1:443"
		}
		for _, line := range c.lines {
			r.Header.Add("X-Forwarded-For", line)
		}
		l.ClientAddress(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			seen := strings.TrimSuffix(strings.TrimSuffix(r.RemoteAddr, ":443"), ":1")
			if counted := clientNetwork(r); seen != c.seen || counted != c.counted {
				t.Errorf("%s: %s, counted as %s; want %s as %s", name, seen, counted, c.seen, c.counted)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestClientsAreCountedByNetwork(t *testing.T) {
	for address, want := range map[string][2]string{
		"[2001:db8:1:2::1]:1":  {"2001:db8:1:2::", "2001:db8:1::"},
		"2001:db8:1:3::2":      {"2001:db8:1:3::", "2001:db8:1::"},
		"192.0.2.1:1":          {"192.0.2.1", "192.0.2.1"},
		"[::ffff:192.0.2.1]:1": {"192.0.2.1", "192.0.2.1"},
		"[fe80::1%eth0]:1":     {"fe80::", "fe80::"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = address
		if got := [2]string{clientKey(r), clientNetwork(r)}; got != want {
			t.Errorf("%s is counted as %q, want %q", address, got, want)
		}
	}
}
