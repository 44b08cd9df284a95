package budget

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// files are those of the machine, by their paths without the first slash.
type files = fs.FS

var root = os.DirFS("/")

// groupLimit is the least memory limit of the process's own cgroup and of those above
// it, as far as they can be seen, of both versions of cgroups. Without one, or where
// there are no cgroups, it reports false. Sources: the kernel's
// admin-guide/cgroup-v2.rst (memory.max), cgroup-v1/memory.rst (limit_in_bytes), and
// proc_pid_mountinfo(5), cgroups(7).
func groupLimit(machine files) (bytes int64, limited bool) {
	groups := ownGroups(machine)
	for _, m := range groupMounts(machine) {
		own, ok := groups[m.controller]
		if !ok {
			continue
		}
		for _, directory := range m.directories(own) {
			if found, ok := readLimit(machine, path.Join(directory, m.file)); ok && (!limited || found < bytes) {
				bytes, limited = found, true
			}
		}
	}
	return bytes, limited
}

// noLimit is the least number that version 1 shows where there is no limit: the
// largest one that is a multiple of a page, on machines with pages of up to 64 KiB.
const noLimit = 1<<63 - 1<<16

func readLimit(machine files, file string) (int64, bool) {
	text, err := fs.ReadFile(machine, strings.TrimPrefix(file, "/"))
	if err != nil {
		return 0, false // the root of all cgroups has no such file
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return bytes, err == nil && bytes < noLimit // version 2 writes max
}

// ownGroups are the paths of the process's cgroups by controller; "" is version 2.
func ownGroups(machine files) map[string]string {
	groups := make(map[string]string)
	for line := range lines(machine, "proc/self/cgroup") {
		parts := strings.SplitN(line, ":", 3) // hierarchy, controllers, path
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			groups[controller] = parts[2]
		}
	}
	return groups
}

// groupMount is where cgroups with limits of memory are to be found.
type groupMount struct {
	controller, file string
	root, point      string // the cgroup that is mounted, and where
}

// directories are that of the cgroup and those above it. A container may see its own
// cgroup alone, mounted at the top, under a path of the host's: then it is the top.
func (m groupMount) directories(own string) []string {
	below, ok := strings.CutPrefix(path.Clean("/"+own), strings.TrimSuffix(m.root, "/"))
	if !ok || below != "" && below[0] != '/' {
		below = ""
	}
	var list []string
	for at := path.Join(m.point, below); ; at = path.Dir(at) {
		list = append(list, at)
		if at == m.point || len(at) <= len(m.point) {
			return list
		}
	}
}

func groupMounts(machine files) []groupMount {
	var mounts []groupMount
	for line := range lines(machine, "proc/self/mountinfo") {
		before, after, _ := strings.Cut(line, " - ")
		mount, kind := strings.Fields(before), strings.Fields(after) // id, parent, device, root, point; type, source, options
		if len(mount) < 5 || len(kind) < 3 {
			continue
		}
		m := groupMount{root: unescape.Replace(mount[3]), point: unescape.Replace(mount[4])}
		switch {
		case kind[0] == "cgroup2":
			m.file = "memory.max"
		case kind[0] == "cgroup" && strings.Contains(","+kind[2]+",", ",memory,"):
			m.controller, m.file = "memory", "memory.limit_in_bytes"
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes what mountinfo does to characters that would end a field.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// lines are those of a file; none where it cannot be read.
func lines(machine files, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		f, err := machine.Open(name)
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }()
		for scanner := bufio.NewScanner(f); scanner.Scan(); {
			if !yield(scanner.Text()) {
				return
			}
		}
	}
}
