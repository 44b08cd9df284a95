package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// useStore has the site's configuration name another store.
func (s *site) useStore(address string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config())
	s.must(err)
	text = regexp.MustCompile(`(?m)^store: .*$`).ReplaceAll(text, []byte("store: "+address))
	s.must(os.WriteFile(s.config(), text, 0o600))
}

// TestBackupAndRestore backs a server up that has updates on the branch and others that
// wait, and loses its store after some of those were written, and others accepted that
// were not. A server on the restored store, of either kind, knows all that was answered
// before the backup, finds what was written since, and takes in what is sent again:
// everything is on the branch once. The holds are those of the backup.
func TestBackupAndRestore(t *testing.T) {
	database := postgrestest.Start(t)
	stores := map[string]func(*site) string{
		"SQLite":     func(s *site) string { return "sqlite://" + filepath.Join(s.t.TempDir(), "tallyman.db") },
		"PostgreSQL": func(s *site) string { return database.Schema(s.t) },
	}
	for from, first := range stores {
		for to, second := range stores {
			t.Run(from+" to "+to, func(t *testing.T) {
				f := newTraffic(t, 30)
				backup := filepath.Join(f.dir, "tallyman.backup")
				address := first(f.site)
				f.useStore(address)
				f.hold(address)
				held := f.holds(address)
				f.loseStore(func() {
					out, err := os.Create(backup)
					f.must(err)
					cmd := exec.CommandContext(f.ctx, binary, "backup", "--config", f.config(), "-")
					cmd.Stdout = out
					f.must(cmd.Run())
					f.must(out.Close())
				})

				address = second(f.site)
				f.useStore(address)
				out, errs, exit := run(t, "restore", "--config", f.config(), backup)
				if exit != 0 {
					t.Fatalf("exit %d: %s", exit, errs)
				}
				expect(t, "restore", out, "restored: the store as it was at 20", "  deliveries: 20, updates: 20, ", " proof keys: 1, suspects: 0, holds: 3, lifts: 1, seen images: 0\n", "marked: ", "must be sent again")
				_, errs, exit = run(t, "restore", "--config", f.config(), backup)
				if exit != exitBadInput {
					t.Errorf("over a store: exit %d", exit)
				}
				expect(t, "over a store", errs, "the store", "is not empty (deliveries: 20, ", "--replace")
				f.goOn()
				f.holdsKept(held, address)
			})
		}
	}
}

// loseStore backs the store up when 10 updates are written and 10 wait, has those
// written, has 10 more accepted that are not, and kills the server.
func (f *traffic) loseStore(backup func()) {
	f.t.Helper()
	away := gitserver.Fault{On: gitserver.Push, Times: -1, Status: http.StatusServiceUnavailable}
	send := func(deliveries []*delivery) {
		f.t.Helper()
		for _, d := range deliveries {
			f.must(f.send(http.DefaultClient, d))
		}
	}
	f.begin()
	send(f.deliveries[:10])
	f.drained()
	f.git.Inject(away)
	send(f.deliveries[10:20])
	backup()
	f.git.Heal()
	f.drained()
	f.git.Inject(away)
	send(f.deliveries[20:])
	f.must(f.down().kill())
	f.git.Heal()
}

// goOn starts a server on the restored store, sends it what was lost, and checks that
// everything is on the branch once.
func (f *traffic) goOn() {
	f.t.Helper()
	f.begin()
	for _, d := range f.deliveries {
		again := *d
		if f.must(f.send(http.DefaultClient, &again)); again.update != d.update {
			f.t.Errorf("%s has another update than before", d.id)
		}
		d.answered = again.answered
	}
	f.drained()
	f.must(f.down().stop())
	f.check(nil)
}

// TestBackupToFiles writes a file and a directory's newest beside a server; restore in
// the place of the store keeps that.
func TestBackupToFiles(t *testing.T) {
	f := newTraffic(t, 1)
	f.begin()
	f.must(f.send(http.DefaultClient, f.deliveries[0]))
	f.drained()
	file, dir := filepath.Join(f.dir, "a.backup"), filepath.Join(f.dir, "backups")+"/"
	f.must(os.Mkdir(dir, 0o700))
	for _, args := range [][]string{{file}, {"--keep", "1", dir}} {
		if out, errs, exit := run(t, append([]string{"backup", "--config", f.config()}, args...)...); exit != 0 || out+errs != "" {
			t.Fatalf("%q: exit %d: %s%s", args, exit, out, errs)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if found, _ := filepath.Glob(dir + "tallyman-*Z.backup"); len(found) != 1 {
		t.Errorf("the directory has %q", found)
	}
	for _, args := range [][]string{{"restore", file}, {"restore", "--replace", file}, {"restore", "--mark-only"}} {
		_, errs, exit := run(t, append(args, "--config", f.config())...)
		if exit != exitBadInput {
			t.Errorf("%q beside serve: exit %d", args, exit)
		}
		expect(t, "beside serve", errs, "the store is in use by another process")
	}
	f.must(f.down().stop())
	out, errs, exit := run(t, "restore", "--mark-only", "--config", f.config())
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	expect(t, "restore --mark-only", out, "marked: what is open")
	out, errs, exit = run(t, "restore", "--replace", "--config", f.config(), file)
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	expect(t, "restore --replace", out, "kept: the store that was there is now "+f.dir+"/tallyman.db.replaced-")
}

func TestBackupRefuses(t *testing.T) {
	s := newSite(t, 1)
	missing := filepath.Join(s.dir, "none.yaml")
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"backup", "--config", s.config(), filepath.Join(s.dir, "backup.db")}, exitFailed, "there is no store at " + s.dir},
		{[]string{"backup", "--config", s.config()}, exitBadInput, "backup needs FILE, DIRECTORY/ or -, not 0 arguments"},
		{[]string{"backup", "--config", missing, "x"}, exitBadInput, "none.yaml"},
		{[]string{"backup", "--config", s.config(), s.dir + "/"}, exitBadInput, s.dir + "/ is a directory, so --keep must say"},
		{[]string{"backup", "--config", s.config(), "--keep", "3", "x"}, exitBadInput, "x is a file: end a directory's name with /"},
		{[]string{"backup", "--config", s.config(), "--keep", "0", s.dir + "/"}, exitBadInput, "at least 1 backup"},
		{[]string{"backup", "--config", s.config(), s.config()}, exitBadInput, "is there already, and a backup overwrites nothing: give another name"},
		{[]string{"restore", "--config", s.config()}, exitBadInput, "restore needs FILE or -, not 0 arguments"},
		{[]string{"restore", "--config", missing, "x"}, exitBadInput, "none.yaml"},
		{[]string{"restore", "--config", s.config(), s.config()}, exitBadInput, "this is not a backup of tallyman"},
		{[]string{"restore", "--config", s.config(), missing}, exitBadInput, "none.yaml: no such file"},
		{[]string{"restore", "--config", s.config(), "--mark-only", "--replace"}, exitBadInput, "nothing to --replace"},
		{[]string{"restore", "--config", s.config(), "--mark-only", "x"}, exitBadInput, "it takes no backup: leave out x, or --mark-only"},
		{[]string{"restore", "--config", s.config(), "--mark-only"}, exitFailed, "there is no store at " + s.dir},
	} {
		if _, errs, exit := run(t, c.args...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("%q: exit %d: %s", c.args, exit, errs)
		}
	}
}

// TestBackupSaysWhenItsTargetFails has nobody read, nobody read any more, no room, and
// a terminal.
func TestBackupSaysWhenItsTargetFails(t *testing.T) {
	f := newTraffic(t, 1)
	f.begin()
	f.must(f.send(http.DefaultClient, f.deliveries[0]))
	f.drained()
	f.must(f.down().stop())
	r, broken, err := os.Pipe()
	f.must(err)
	f.must(r.Close())
	defer broken.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	f.must(err)
	defer full.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	f.must(err)
	defer terminal.Close()
	for _, c := range []struct {
		name string
		out  *os.File
		exit int
		says string
	}{
		{"a pipe that nobody reads", broken, exitFailed, "cannot be written to its target"},
		{"a full disk", full, exitFailed, "cannot be written to its target"},
		{"a terminal", terminal, exitBadInput, "standard output is a terminal"},
	} {
		cmd := exec.CommandContext(f.ctx, binary, "backup", "--config", f.config(), "-")
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = c.out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.exit || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: %v: %s", c.name, err, errs.String())
		}
	}
}
