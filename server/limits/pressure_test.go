package limits

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The line comes at most once a minute, and names who takes most.
func TestPressureIsLogged(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var log bytes.Buffer
	places := newConnections(100, 50, false)
	p := newPressure(places, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	few, many := clientAt(netip.MustParseAddr("192.0.2.1")), clientAt(netip.MustParseAddr("2001:db8::7"))
	expect := func(wants ...string) {
		t.Helper()
		text := log.String()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("the log does not have %q: %s", want, text)
			}
		}
		if lines := strings.Count(text, "\n"); lines != min(1, len(wants)) {
			t.Errorf("%d lines: %s", lines, text)
		}
		log.Reset()
	}
	note := func(of client, why Reason, n int) {
		for range n {
			p.note(of, why)
		}
	}
	for range 3 { // what probes do, minute after minute, is not worth a line
		note(few, "", fewEndings-1)
		now = now.Add(time.Minute)
	}
	expect()
	for range 7 {
		places.take(few)
	}
	note(few, ReasonAddressLimit, 1) // refusing one is
	expect(`msg="connections refused or without a request"`, "level=WARN", "refusedByAddress=1 ", "network=192.0.2.1 ", "mostOpen=192.0.2.1 open=7", "limits.connectionsPerAddress")
	now = now.Add(59 * time.Second)
	note(few, ReasonLimit, 3)
	note(many, "", 200)
	expect()
	now = now.Add(time.Second)
	note(client{class: proxy}, ReasonLimit, 1)
	expect("refused=4 ", "refusedByAddress=0 ", "withoutRequest=200 ", "seconds=1", "network=2001:db8::/64 ofNetwork=200")
	now = now.Add(time.Minute)
	note(client{class: proxy}, ReasonLimit, 1)
	expect(`network="trusted proxies" ofNetwork=1`)
}

// The networks that are told apart are bounded, whoever comes.
func TestPressureIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := newPressure(newConnections(1, 1, false), func() time.Time { return now }, slog.New(slog.DiscardHandler))
	p.written = now
	address := netip.MustParseAddr("10.0.0.0")
	for range 2 * mostNetworks {
		address = address.Next()
		p.note(clientAt(address), ReasonLimit)
	}
	if len(p.networks) != mostNetworks || p.refused[ReasonLimit] != 2*mostNetworks {
		t.Errorf("%d networks are held, %d are counted", len(p.networks), p.refused[ReasonLimit])
	}
}
