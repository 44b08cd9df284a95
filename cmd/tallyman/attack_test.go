package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/server/attack"
	"github.com/tallyman-dev/tallyman/server/limits"
)

// attacked is a tallyman in its own process, and a sender that is not attacking.
type attacked struct {
	*site
	ctx         context.Context
	child       *child
	base, admin string
	sent        int
	took        []time.Duration // of each delivery, from the dial to the end of its answer
}

func newAttacked(t *testing.T) *attacked {
	a := &attacked{site: newSite(t, 1), ctx: deadline(t)}
	a.child, a.base, a.admin = a.start(a.ctx)
	return a
}

// play opens a crowd's connections, and returns when each has sent what it sends first.
// The crowd is gone when end returns.
func (a *attacked) play(c attack.Connections) (end func() attack.Tally) {
	ctx, cancel := context.WithCancel(a.ctx)
	ready, result := make(chan struct{}), make(chan attack.Tally, 1)
	c.Target, c.Hold, c.Again, c.Ready = strings.TrimPrefix(a.base, "http://"), time.Hour, cmp.Or(c.Again, time.Second), sync.OnceFunc(func() { close(ready) })
	go func() { result <- c.Run(ctx) }()
	select {
	case <-ready:
	case <-a.ctx.Done():
		a.t.Fatal("the crowd did not come")
	}
	return func() attack.Tally {
		cancel()
		return <-result
	}
}

// deliver sends so many deliveries from an address that nobody attacks from, over a
// new connection each.
func (a *attacked) deliver(n int) {
	a.t.Helper()
	a.deliverFrom("127.0.0.200", n)
}

func (a *attacked) deliverFrom(address string, n int) {
	a.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: attack.Dialer(address).DialContext, DisableKeepAlives: true}}
	for range n {
		a.sent++
		d := dispatch{App: []string{"app-00"}, Environment: []string{"dev"}, Tag: fmt.Sprintf("main-%07x", a.sent), eventType: "update-image", actor: "ann", repositoryID: 1}
		req, err := d.request(a.base, a.secret, fmt.Sprint("d", a.sent))
		a.must(err)
		began := time.Now()
		resp, err := client.Do(req.WithContext(a.ctx))
		a.must(err)
		body, err := io.ReadAll(resp.Body)
		a.took = append(a.took, time.Since(began))
		a.must(err)
		a.must(resp.Body.Close())
		if resp.StatusCode != http.StatusAccepted {
			a.t.Fatalf("delivery %d is answered %s: %s", a.sent, resp.Status, body)
		}
	}
}

// metric is the sum of a metric's series with all of the labels.
func (a *attacked) metric(name string, labels ...string) (sum float64) {
	a.t.Helper()
	resp, err := http.Get(a.admin + "/metrics")
	a.must(err)
	page, err := io.ReadAll(resp.Body)
	a.must(err)
	a.must(resp.Body.Close())
lines:
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		a.must(err)
		sum += value
	}
	return sum
}

// await waits until a metric is at least so much.
func (a *attacked) await(least float64, name string, labels ...string) {
	a.t.Helper()
	for a.metric(name, labels...) < least {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-a.ctx.Done():
			a.t.Fatalf("%s%v does not become %v", name, labels, least)
		}
	}
}

var peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory is the most memory that the process ever had resident, in bytes.
func (a *attacked) peakMemory() int64 {
	a.t.Helper()
	if runtime.GOOS != "linux" {
		a.t.Skip("the memory of a process is known on Linux alone")
	}
	most := peakOf(a.child.cmd.Process.Pid)
	if most == 0 {
		a.t.Fatal("the process has no peak")
	}
	return most
}

// peakOf is the most memory that a process had resident, in bytes, so far; 0 once it has
// ended. What the kernel counts for who waits for it would do as well, but for what it
// counts of the process that started it.
func peakOf(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := peak.FindSubmatch(text)
	if m == nil {
		return 0
	}
	kib, _ := strconv.ParseInt(string(m[1]), 10, 64) // it is digits
	return kib << 10
}

func addresses(first, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("127.0.0.%d", first+i))
	}
	return list
}

// longestHeader is nearly all that a header of a request may have, without its end.
func longestHeader(request string) string {
	var b strings.Builder
	b.WriteString(request + " HTTP/1.1\r\nHost: x\r\n")
	for n := range 92 {
		fmt.Fprintf(&b, "X%d: %s\r\n", n, strings.Repeat("y", 80))
	}
	return b.String()
}

// TestOneConnectionsWorst holds what a connection takes at its worst, with the garbage
// that comes of it, to what is planned for it.
func TestOneConnectionsWorst(t *testing.T) {
	const connections = 700 // fewer than unauthenticated clients may have
	for name, opening := range map[string]string{
		"a header of short lines that does not end": string(attack.UnfinishedHeader(290)),
		"the longest header without its end":        longestHeader("POST /webhooks/github"),
		"an answer to the longest header":           longestHeader("GET /app-created") + "\r\n",
		"and as much of a body as is not counted":   longestHeader("POST /webhooks/github") + "Content-Length: 1048576\r\n\r\n" + strings.Repeat("x", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttacked(t)
			before := a.peakMemory()
			end := a.play(attack.Connections{From: addresses(10, 4), Count: connections, Opening: []byte(opening), Unread: true})
			a.await(connections, "tallyman_connections", `listener="listen"`)
			each := (a.peakMemory() - before) / connections
			t.Logf("%d KiB each", each>>10)
			if each > limits.ConnectionBytes {
				t.Errorf("one takes %d bytes, more than the %d that are planned", each, limits.ConnectionBytes)
			}
			end()
		})
	}
}

// TestAnAttackOfThousands attacks from one address and from eight, in every way that takes
// memory without a credential. Every sender is answered all the time.
func TestAnAttackOfThousands(t *testing.T) {
	a := newAttacked(t)
	a.deliver(1)
	var ends []func() attack.Tally
	play := func(c attack.Connections) { ends = append(ends, a.play(c)) }
	body := string(attack.BodyHeader("/webhooks/github", 1<<20))

	play(attack.Connections{From: addresses(10, 1), Count: 1000, Opening: attack.UnfinishedHeader(32 << 10)})
	a.await(1, "tallyman_http_request_seconds_count", `code="431"`)
	a.await(1, "tallyman_connections_without_request_total", `listener="listen"`)
	a.deliver(5)
	play(attack.Connections{From: addresses(11, 1), Count: 1000, Opening: []byte(longestHeader("POST /webhooks/github"))})
	a.await(1, "tallyman_connections_refused_total", `listener="listen"`, `reason="address_limit"`)
	a.deliver(5)
	play(attack.Connections{From: addresses(20, 8), Count: 400, Opening: []byte(body + strings.Repeat("x", 200<<10)), Unread: true})
	play(attack.Connections{From: addresses(20, 8), Count: 400, Opening: []byte(body), Then: []byte("x"), Every: 100 * time.Millisecond})
	play(attack.Connections{From: addresses(20, 8), Count: 400, Opening: []byte(longestHeader("GET /app-created") + "\r\n"), Unread: true})
	play(attack.Connections{From: addresses(20, 8), Count: 400})
	a.await(1, "tallyman_connections_refused_total", `listener="listen"`, `reason="limit"`)
	a.deliver(20)
	a.deliverFrom("127.0.0.201", 5) // which nobody knows
	a.deliverFrom("127.0.0.20", 5)  // which attacks, too

	a.holdsMemory()
	err := a.child.await(a.ctx, func(line map[string]any) bool {
		network, _ := line["network"].(string)
		return line["msg"] == "connections refused or without a request" && strings.HasPrefix(network, "127.0.0.")
	})
	if err != nil {
		t.Errorf("the log does not tell of the attack: %v", err)
	}
	for _, end := range ends {
		t.Logf("%+v", end())
	}
	a.deliver(1)
	a.await(float64(a.sent), "tallyman_updates_total", `environment="dev"`) // what was accepted is written
}

// holdsMemory holds the process to what an attack may have it take, and returns how long
// deliveries took since the first, at the median.
func (a *attacked) holdsMemory() time.Duration {
	a.t.Helper()
	most := a.peakMemory()
	took := slices.Sorted(slices.Values(a.took[1:]))
	a.t.Logf("%d MiB were resident at most; %d deliveries took %v at the median, %v at most", most>>20, len(took), took[len(took)/2], took[len(took)-1])
	if most > 400<<20 {
		a.t.Error("which is more than 400 MiB")
	}
	return took[len(took)/2]
}

// TestAnAttackOfEightThousand has 8,000 connections at once, from one address and from
// eight: half send a header that is too long, again and again, and half keep one that does
// not end.
func TestAnAttackOfEightThousand(t *testing.T) {
	const again = 5 * time.Second // the processors are the server's, too
	for _, from := range []int{1, 8} {
		t.Run(fmt.Sprintf("from %d", from), func(t *testing.T) {
			a := newAttacked(t)
			a.deliver(1)
			ends := []func() attack.Tally{
				a.play(attack.Connections{From: addresses(20, from), Count: 4000, Opening: attack.UnfinishedHeader(32 << 10), Again: again}),
				a.play(attack.Connections{From: addresses(20, from), Count: 4000, Opening: []byte(longestHeader("POST /webhooks/github")), Again: again}),
			}
			a.await(1, "tallyman_connections_refused_total", `listener="listen"`)
			a.await(1, "tallyman_http_request_seconds_count", `code="431"`)
			a.deliver(100)
			if median := a.holdsMemory(); median > 100*time.Millisecond {
				t.Errorf("half of the deliveries took %v and more", median)
			}
			for _, end := range ends {
				t.Logf("%+v", end())
			}
			a.await(float64(a.sent), "tallyman_updates_total", `environment="dev"`)
		})
	}
}
