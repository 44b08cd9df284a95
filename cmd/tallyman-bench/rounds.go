package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// acceptRounds measures one way of accepting, as often as asked, with the one
// binary or both in turn.
func (b *bench) acceptRounds(ctx context.Context, size string, repository *gitserver.Repository, try acceptTry) error {
	binaries := []string{b.binary}
	if b.options.against != "" && !try.profile {
		binaries = append(binaries, b.options.against)
	}
	rounds := make([][]accept, len(binaries))
	for n := range b.options.rounds {
		if try.profile && n > 0 {
			break
		}
		for i, binary := range binaries {
			b.say("accepting over %d connections, round %d with %s", try.connections, n+1, binary)
			found, err := b.accept(ctx, binary, size, repository, try)
			if err != nil {
				return err
			}
			rounds[i] = append(rounds[i], found)
		}
	}
	if try.profile {
		return nil
	}
	b.report.Accepts = append(b.report.Accepts, middleOf(rounds[0]))
	if len(rounds) > 1 {
		b.report.Compared = append(b.report.Compared, compare(rounds[0], rounds[1]))
	}
	return nil
}

// middleOf is the round of median throughput.
func middleOf(rounds []accept) accept {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b accept) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	return sorted[len(sorted)/2]
}

// compared is one way of accepting with both binaries, as the first's median by
// that of the other.
type compared struct {
	Connections int     `json:"connections"`
	BodyBytes   int     `json:"bodyBytes"`
	OriginUp    bool    `json:"originUp"`
	PerSecond   float64 `json:"deliveriesPerSecond"`
	P99         float64 `json:"p99"`
	PerCommit   float64 `json:"deliveriesPerCommit"`
	CPU         float64 `json:"cpuPerDelivery"`
}

func compare(these, others []accept) compared {
	ratio := func(field func(accept) float64) float64 {
		middle := func(rounds []accept) float64 {
			values := make([]float64, len(rounds))
			for i, a := range rounds {
				values[i] = field(a)
			}
			return median(values)
		}
		return middle(these) / middle(others)
	}
	return compared{
		Connections: these[0].Connections, BodyBytes: these[0].BodyBytes, OriginUp: these[0].OriginUp,
		PerSecond: ratio(func(a accept) float64 { return a.PerSecond }),
		P99:       ratio(func(a accept) float64 { return a.P99MS }),
		PerCommit: ratio(func(a accept) float64 { return a.PerCommit }),
		CPU:       ratio(func(a accept) float64 { return a.CPUPerDeliveryUS }),
	}
}
