package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// origin is the manifest repository on its server: git's smart protocol, version
// 0, over real objects, as strict as git where the writer could go wrong.
type origin struct {
	mu    sync.Mutex
	all   objects
	tip   hash   // zero while the branch is not there
	stood []seen // where the branch has been, oldest first

	thin   bool // it takes thin packs
	says   bool // and says so when it does not
	filter bool // it offers filters

	frozen freeze
	limit  limit

	topics map[string]hash // by branch
	forge  *pulls

	check *checker
}

// seen is where the branch was from a time on.
type seen struct {
	at  time.Time
	tip hash
}

const branch = "refs/heads/main"

// move puts the branch somewhere else. The lock is held.
func (o *origin) move(to hash) {
	o.check.appears(o.tip, to)
	o.check.reached(to)
	o.tip = to
	o.stood = append(o.stood, seen{time.Now(), to})
	o.check.w.cluster.moved(to)
}

// stale is where the branch was some time ago, as a replica of the server that
// lags behind would say.
func (o *origin) stale(ago time.Duration) hash {
	tip := o.tip
	for i := len(o.stood) - 1; i >= 0; i-- {
		if tip = o.stood[i].tip; o.stood[i].at.Before(time.Now().Add(-ago)) {
			break
		}
	}
	return tip
}

// advertise answers info/refs.
func (o *origin) advertise(service string, lag time.Duration) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	capabilities := "report-status delete-refs side-band-64k ofs-delta agent=simulation"
	if service == "git-upload-pack" {
		capabilities = "multi_ack thin-pack side-band side-band-64k ofs-delta shallow no-progress agent=simulation"
		if o.filter {
			capabilities += " filter"
		}
	} else if !o.thin && o.says {
		capabilities += " no-thin"
	}
	tip := o.tip
	if lag > 0 {
		o.check.lags()
		tip = o.stale(lag)
	}
	out := newLines()
	out.line("# service=%s\n", service)
	out.flush()
	// Another branch is always there: the repository is not empty when main is gone.
	out.line("%s refs/heads/archive\x00%s\n", o.stood[0].tip, capabilities)
	if tip.IsZero() {
		met.meet("the branch was not there")
	} else {
		out.line("%s %s\n", tip, branch)
	}
	for _, topic := range slices.Sorted(maps.Keys(o.topics)) {
		out.line("%s %s%s\n", o.topics[topic], heads, topic)
	}
	out.flush()
	return out.Bytes()
}

// receivePack takes a push that a replica sent at a time, unless a hook refuses it.
func (o *origin) receivePack(replica string, sent sending, body []byte, hook string) ([]byte, error) {
	request := packp.NewReferenceUpdateRequest()
	if err := request.Decode(bytes.NewReader(body)); err != nil {
		return nil, err
	}
	if len(request.Commands) != 1 || request.Commands[0].Name != branch && !isTopic(request.Commands[0].Name.String()) || request.Shallow != nil {
		return nil, fmt.Errorf("a push that the writer should not make: %+v", request.Commands)
	}
	command := request.Commands[0]
	o.mu.Lock()
	defer o.mu.Unlock()
	unpack, status, name := "ok", "ok", command.Name.String()
	fresh, err := o.brought(command, request.Packfile)
	if err == nil && o.tooLarge(fresh) {
		return nil, errTooLarge
	}
	if err == nil && hook == "" && !isTopic(name) {
		hook = o.refuses(command.Old, command.New, fresh)
	}
	switch {
	case err != nil:
		o.check.refusedPack(o.thin, err)
		unpack, status = "unpack-objects abnormal exit", "unpacker error"
	case hook != "":
		status = "pre-receive hook declined"
		met.meet("a hook refused a push")
	case o.isLocked(strings.TrimPrefix(name, heads)):
		status = "protected branch hook declined"
	case o.at(name) != command.Old:
		met.meet("a push lost the race")
		status = "failed to update ref"
	default:
		for name, object := range fresh {
			if _, ok := o.all[name]; !ok {
				o.all[name] = object
			}
		}
		if isTopic(name) {
			o.movesTopic(replica, name, command.Old, command.New)
			break
		}
		o.check.pushed(replica, sent, command.Old, command.New)
		o.move(command.New)
	}
	report := newLines()
	report.line("unpack %s\n", unpack)
	if status == "ok" {
		report.line("ok %s\n", name)
	} else {
		report.line("ng %s %s\n", name, status)
	}
	report.flush()
	out := newLines()
	if hook != "" {
		out.band(2, []byte(hook+"\n"))
	}
	out.band(1, report.Bytes())
	out.flush()
	return out.Bytes(), nil
}

// brought are the objects of a push, which must be whole. Nothing comes with a deletion.
func (o *origin) brought(command *packp.Command, packfile io.Reader) (objects, error) {
	if command.New.IsZero() {
		return nil, nil
	}
	pack, err := io.ReadAll(packfile)
	if err != nil {
		return nil, err
	}
	fresh, err := o.all.unpack(pack, o.thin)
	if err != nil {
		return nil, err
	}
	return fresh, o.all.connected(command.New, fresh)
}

// errTooLarge is a push that what stands before the server does not let through.
var errTooLarge = errors.New("the push is too large")

// lines writes git's packet lines (gitprotocol-common(5)).
type lines struct{ bytes.Buffer }

func newLines() *lines { return &lines{} }

func (l *lines) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(l, "%04x%s", len(text)+4, text)
}

func (l *lines) flush() { l.WriteString("0000") }

// band sends data on a side band, cut into lines.
func (l *lines) band(number byte, data []byte) {
	const most = 65515
	for len(data) > 0 {
		n := min(len(data), most)
		fmt.Fprintf(l, "%04x%c%s", n+5, number, data[:n])
		data = data[n:]
	}
}
