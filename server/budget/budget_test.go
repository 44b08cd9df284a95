package budget

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tallyman-dev/tallyman/gitops"
)

const mib = 1 << 20

// machine has the files of one.
func machine(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const v2 = "25 21 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

func TestTheCgroupsLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64 // 0: no limit
	}{
		"none at all": {nil, 0},
		"a pod sees its own cgroup as the root": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "536870912\n",
		}, 512 * mib},
		"max is no limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "max\n",
		}, 0},
		"a parent has less": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/a.slice/tallyman.service\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/system.slice/a.slice/tallyman.service/memory.max": "1073741824\n",
			"sys/fs/cgroup/system.slice/a.slice/memory.max":                  "268435456\n",
			"sys/fs/cgroup/system.slice/memory.max":                          "max\n",
		}, 256 * mib},
		"its own has less": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": v2,
			"sys/fs/cgroup/a/b/memory.max": "268435456\n", "sys/fs/cgroup/a/memory.max": "1073741824\n",
		}, 256 * mib},
		"a part of the tree is mounted": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/c1\n", "proc/self/mountinfo": "25 21 0:22 /kubepods/pod1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/c1/memory.max": "max\n", "sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 * mib},
		"the mounted part has another name": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod12\n", "proc/self/mountinfo": "25 21 0:22 /kubepods/pod1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 * mib},
		"outside of its namespace": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 * mib},
		"version 1": {map[string]string{
			"proc/self/cgroup":    "5:cpu,cpuacct:/x\n4:memory:/docker/1\n",
			"proc/self/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "268435456\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "1\n",
		}, 256 * mib},
		"version 1 without a limit, pages of 64 KiB": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "proc/self/mountinfo": "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854710272\n",
		}, 0},
		"both versions": {map[string]string{
			"proc/self/cgroup": "4:memory:/a\n0::/\n", "proc/self/mountinfo": v2 + "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n",
			"cg/memory/a/memory.limit_in_bytes": "268435456\n",
		}, 256 * mib},
		"a mount point with a space": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": `25 21 0:22 / /a\040b rw - cgroup2 cgroup2 rw` + "\n", "a b/memory.max": "268435456\n",
		}, 256 * mib},
		"nonsense": {map[string]string{
			"proc/self/cgroup": "0::\nx\n", "proc/self/mountinfo": "x\n - \n" + v2, "sys/fs/cgroup/memory.max": "much\n",
		}, 0},
	} {
		if got, limited := groupLimit(machine(c.files)); got != c.want || limited != (c.want != 0) {
			t.Errorf("%s: %d, limited %t, want %d", name, got, limited, c.want)
		}
	}
}

func TestWhoSaysHowMuch(t *testing.T) {
	pod := map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "1073741824\n"}
	const none = int64(math.MaxInt64)
	for name, c := range map[string]struct {
		configured, runtime int64
		files               map[string]string
		memory              int64
		source, problem     string
	}{
		"nobody":                   {0, none, nil, Default, "default", ""},
		"the cgroup":               {0, none, pod, (1 << 30) * 80 / 100, "cgroup", ""},
		"GOMEMLIMIT":               {0, 300 * mib, pod, 300 * mib, "GOMEMLIMIT", ""},
		"the field":                {200 * mib, 300 * mib, pod, 200 * mib, "limits.memory", ""},
		"more than the cgroup has": {2 << 30, none, pod, 0, "", "limits.memory: is 2048MiB, but the cgroup of this process is limited to 1024MiB: give at most 819MiB"},
		"GOMEMLIMIT has more":      {0, 2 << 30, pod, 0, "", "GOMEMLIMIT: is 2048MiB, but"},
		"too little":               {64 * mib, none, nil, 0, "", "limits.memory: is 64MiB, and must be at least 192MiB"},
		"GOMEMLIMIT has little":    {0, 1, nil, 0, "", "GOMEMLIMIT: is 1 bytes, and must"},
		"the cgroup has little": {0, none, map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2, "sys/fs/cgroup/memory.max": "134217728\n"}, 0, "",
			"limits.memory: would be 102MiB, 80 % of the cgroup's limit of 128MiB, and must be at least 192MiB: raise the cgroup's limit to 240MiB"},
	} {
		got, err := read(c.configured, c.runtime, machine(c.files))
		if c.problem != "" {
			if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("%s: %v, want %s", name, err, c.problem)
			}
			continue
		}
		if err != nil || got.Memory != c.memory || got.Source != c.source {
			t.Errorf("%s: %d by %s, %v", name, got.Memory, got.Source, err)
		}
	}
}

// Whatever the memory is, its shares are all of it and nobody goes without one.
func TestSharesAreTheWhole(t *testing.T) {
	for _, memory := range []int64{Least, Default, 1<<30 + 7, 64 << 30} {
		s := Split(memory)
		shares := []int64{s.Program, s.Connections, s.Bodies, s.Parsers, s.Snapshot, s.Search, s.Streams, s.Answers, s.Garbage}
		sum := int64(0)
		for i, share := range shares {
			if sum += share; share < mib {
				t.Errorf("of %s share %d is %s", Text(memory), i, Text(share))
			}
		}
		if sum != memory || s.Heap() != memory-s.Program {
			t.Errorf("of %d the shares are %d", memory, sum)
		}
	}
}
