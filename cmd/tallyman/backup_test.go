package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A backup that is made beside a server under traffic has all that was answered
// before it, and a server that is started on it goes on from there.
func TestBackupAndRestore(t *testing.T) {
	f := newTraffic(t, 150)
	f.begin()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for _, d := range f.deliveries[:50] {
		f.must(f.send(client, d))
	}
	sent := make(chan error)
	go func() {
		var err error
		for _, d := range f.deliveries[50:] {
			if err == nil {
				err = f.send(client, d)
			}
		}
		sent <- err
	}()
	backup := filepath.Join(f.dir, "backup.db")
	if out, errs, exit := run(t, "backup", "--config", f.config(), backup); exit != 0 || out+errs != "" {
		t.Fatalf("exit %d: %s%s", exit, out, errs)
	}
	_, errs, exit := run(t, "backup", "--config", f.config(), backup)
	if exit != exitBadInput {
		t.Errorf("over the first: exit %d", exit)
	}
	expect(t, "over the first", errs, "is there already")
	f.must(<-sent)
	f.drained()
	f.must(f.down().stop())
	f.check(nil)

	// The disk is lost, and the backup put in its place.
	store := filepath.Join(f.dir, "tallyman.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(store + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	f.must(os.Rename(backup, store))
	f.begin()
	for _, d := range f.deliveries[:50] {
		again := *d
		if f.must(f.send(client, &again)); again.update != d.update {
			t.Errorf("%s, answered before the backup, is not in it", d.id)
		}
	}
	f.drained()
	f.must(f.down().stop())
	f.check(nil) // what waited when the backup was made was found on the branch
}

func TestBackupRefuses(t *testing.T) {
	s := newSite(t, 1)
	text, err := os.ReadFile(s.config())
	s.must(err)
	postgres := filepath.Join(s.dir, "postgres.yaml")
	s.must(os.WriteFile(postgres, []byte(strings.Replace(string(text), "sqlite://"+s.dir+"/tallyman.db", "postgres://tallyman@db.example/tallyman", 1)), 0o600))
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"backup", "--config", s.config(), filepath.Join(s.dir, "backup.db")}, exitFailed, "there is no store at " + s.dir},
		{[]string{"backup", "--config", postgres, "x"}, exitBadInput, "store: is a database of PostgreSQL"},
		{[]string{"backup", "--config", s.config()}, exitBadInput, "the name of the file"},
		{[]string{"backup", "--config", filepath.Join(s.dir, "none.yaml"), "x"}, exitBadInput, "none.yaml"},
	} {
		if _, errs, exit := run(t, c.args...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("%q: exit %d: %s", c.args, exit, errs)
		}
	}
}
