package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report is everything that was measured. Its JSON form is the file that is
// written; times are in milliseconds unless their names say otherwise.
type report struct {
	Date    time.Time  `json:"date"`
	Machine machine    `json:"machine"`
	Numbers []number   `json:"numbers"`
	Single  []single   `json:"single"`
	Starts  []start    `json:"starts"`
	Bursts  []burst    `json:"bursts"`
	Sound   []string   `json:"sound"` // sizes whose repositories git fsck found clean in the end
	Accepts []accept   `json:"accepting"`
	Readers []readers  `json:"readers"`
	Row     []rowPoint `json:"row,omitempty"`

	Held       *held       `json:"held,omitempty"`
	Freed      *freed      `json:"freed,omitempty"`
	Stopped    *stopped    `json:"stopped,omitempty"`
	Images     *images     `json:"images,omitempty"`
	Rollouts   *rollouts   `json:"rollouts,omitempty"`
	Failover   *failover   `json:"failover,omitempty"`
	OneFile    *oneFile    `json:"oneFile,omitempty"`
	Discovered *discovered `json:"discovered,omitempty"`
	Compared   []compared  `json:"compared,omitempty"`
	Contention *contention `json:"contention,omitempty"`
}

type machine struct {
	Revision       string `json:"revision"` // of the checkout
	Processors     int    `json:"processors"`
	System         string `json:"system"`
	Go             string `json:"go"`
	Git            string `json:"git"`
	Repositories   string `json:"repositoriesOn"` // file system
	Store          string `json:"storeOn"`        // file system
	LoadBefore     string `json:"loadBefore"`     // averages over 1, 5 and 15 minutes
	TimedRuns      int    `json:"timedRuns"`
	BurstsOverConn int    `json:"burstConnections"`
}

// single is one contender's updates, one after the other.
type single struct {
	Size      string  `json:"size"`
	Latency   string  `json:"latency"`
	Contender string  `json:"contender"`
	Median    float64 `json:"medianMS"` // until the commit is on origin
	Min       float64 `json:"minMS"`
	Max       float64 `json:"maxMS"`
	Ratio     float64 `json:"timesTallyman"` // median of this one by that of tallyman
	Server    float64 `json:"serverMS"`      // of the median run's push: git's part
	Answered  float64 `json:"answeredMS,omitempty"`
	CPU       float64 `json:"cpuMS"`

	Requests    float64 `json:"requests"`
	Connections float64 `json:"connections"`
	Up          float64 `json:"bytesUp"`
	Down        float64 `json:"bytesDown"`
}

// start is how long a tallyman takes from nothing, and what it needs.
type start struct {
	Size          string  `json:"size"`
	ReadyMS       float64 `json:"readyMS"`       // until it takes deliveries
	FirstCommitMS float64 `json:"firstCommitMS"` // until its first commit is on origin
	RestMiB       float64 `json:"restMiB"`       // resident after all of the size's updates and bursts
	PeakMiB       float64 `json:"peakMiB"`       // most ever resident
}

type burst struct {
	Size           string  `json:"size"`
	Deliveries     int     `json:"deliveries"`
	AcceptedMS     float64 `json:"acceptedMS"` // from the first request to the last 202
	OnOriginMS     float64 `json:"onOriginMS"` // from the first request to the last commit on origin
	PerSecond      float64 `json:"updatesPerSecond"`
	Pushes         int     `json:"pushes"`
	CPUPerUpdateMS float64 `json:"cpuPerUpdateMS"`
}

type accept struct {
	Connections     int     `json:"connections"`
	BodyBytes       int     `json:"bodyBytes"`
	OriginUp        bool    `json:"originUp"`
	Deliveries      int     `json:"deliveries"`
	PerSecond       float64 `json:"deliveriesPerSecond"`
	FsyncsPerSecond float64 `json:"fsyncsPerSecond"`
	P50MS           float64 `json:"p50MS"`
	P99MS           float64 `json:"p99MS"`

	PerCommit  float64 `json:"deliveriesPerCommit"` // that share one transaction of the store and its fsync
	CommitMS   float64 `json:"commitMS"`            // mean time of such a transaction
	Committing float64 `json:"committing"`          // share of the time in which one was under way
	WrittenKiB float64 `json:"writtenKiBEach"`      // to the disk, for each delivery

	CPUPerDeliveryUS          float64 `json:"cpuPerDeliveryUS"`
	GeneratorCPUPerDeliveryUS float64 `json:"generatorCPUPerDeliveryUS"`
	Processors                float64 `json:"processorsBusy"` // with tallyman and generator
}

type rowPoint struct {
	Updates     int     `json:"updates"`
	Seconds     float64 `json:"seconds"`
	Pushes      int     `json:"pushes"`
	ResidentMiB float64 `json:"residentMiB"`
	PeakMiB     float64 `json:"peakMiB"`
	Goroutines  int     `json:"goroutines"`
	Connections int     `json:"connections"` // opened to origin since the start
}

type contention struct {
	Size           string  `json:"size"`
	Seconds        float64 `json:"seconds"`
	Updates        int     `json:"updates"` // each landed once
	Pushes         int     `json:"pushes"`
	Conflicts      int     `json:"conflicts"` // pushes that found the branch moved
	PersonCommits  int     `json:"personCommits"`
	PersonRejected int     `json:"personRejectedPushes"`
}

func newReport(b *bench) *report {
	git, _ := exec.Command("git", "version").Output()
	revision, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	load, _ := os.ReadFile("/proc/loadavg")
	averages := strings.Fields(string(load))
	return &report{Date: time.Now().UTC().Truncate(time.Second), Machine: machine{
		Revision: strings.TrimSpace(string(revision)), Processors: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Git: strings.TrimSpace(string(git)), Repositories: fileSystem(b.repositories), Store: fileSystem(b.stores),
		LoadBefore: strings.Join(averages[:min(3, len(averages))], " "),
		TimedRuns:  b.options.runs, BurstsOverConn: burstConnections,
	}}
}

// addSingle adds what a contender did at a size and a distance.
func (r *report) addSingle(size, latency, contender string, samples, tallymans []sample) {
	middle := func(samples []sample, field func(sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = field(s)
		}
		return median(values)
	}
	wall := func(s sample) float64 { return s.wall }
	found := single{
		Size: size, Latency: latency, Contender: contender,
		Median: middle(samples, wall), Min: samples[0].wall, Max: samples[0].wall,
		Server:      middle(samples, func(s sample) float64 { return s.server }),
		CPU:         middle(samples, func(s sample) float64 { return s.cpu }),
		Requests:    middle(samples, func(s sample) float64 { return s.requests }),
		Connections: middle(samples, func(s sample) float64 { return s.connections }),
		Up:          middle(samples, func(s sample) float64 { return s.up }),
		Down:        middle(samples, func(s sample) float64 { return s.down }),
	}
	for _, s := range samples {
		found.Min, found.Max = min(found.Min, s.wall), max(found.Max, s.wall)
	}
	if contender == endToEnd {
		found.Answered = middle(samples, func(s sample) float64 { return s.answered })
	}
	found.Ratio = found.Median / middle(tallymans, wall)
	r.Single = append(r.Single, found)
}

// write writes the JSON file.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
