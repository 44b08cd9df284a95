package postgrestest

import (
	"net/url"
	"path/filepath"
	"testing"
)

// DumpAndRestore dumps the schema of an address that [Server.Schema] gave, drops it, and
// restores the dump, with the tools of PostgreSQL.
func (s *Server) DumpAndRestore(tb testing.TB, address string) {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	schema, file := u.Query().Get("search_path"), filepath.Join(s.dir, "dump")
	server, err := filepath.EvalSymlinks(filepath.Join(s.bin, "initdb"))
	if err != nil {
		tb.Fatal(err)
	}
	run := func(name string, args ...string) {
		cmd := s.command(name, args...)
		cmd.Path = filepath.Join(filepath.Dir(server), name)
		cmd.Err = nil
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("pg_dump", "--format=custom", "--schema="+schema, "--file="+file, s.URL(""))
	s.Exec(tb, `DROP SCHEMA `+schema+` CASCADE`)
	run("pg_restore", "--exit-on-error", "--dbname="+s.URL(""), file)
}
