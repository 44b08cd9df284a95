package postgres

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	connectTime = 3 * time.Second // for one address of the server
	callTime    = 5 * time.Second // for a call whose caller gives no less
	acceptTime  = 3 * time.Second // for a group of deliveries: its senders are answered within 4 s
	connections = 8               // at most, unless the address says pool_max_conns: calls are short
)

// settings are what every connection is set to, whatever the server's or the
// user's defaults are. Nothing waits on a lock or in a transaction for longer
// than anybody would wait for the answer, so no replica can hold the others up.
// Every statement here is made to go from index to index: the planner, which may
// not have looked at the tables since they were small, is kept from reading them
// whole, from sorting what an index has in order, and from compiling what takes a
// millisecond.
const settings = `SELECT
	set_config('enable_seqscan', 'off', false),
	set_config('enable_bitmapscan', 'off', false),
	set_config('enable_hashjoin', 'off', false),
	set_config('enable_mergejoin', 'off', false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('statement_timeout', '5s', false),
	set_config('idle_in_transaction_session_timeout', '5s', false),
	set_config('jit', 'off', false),
	set_config('TimeZone', 'UTC', false),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`

// Address is a store on a server, as it is configured.
type Address struct {
	// URL is postgres:// and what libpq's form of it may say, but for the
	// password. What it leaves out is taken from libpq's environment variables. It
	// leads to the server itself, or to a pooler that keeps a session for each
	// connection: a session holds a lock and listens.
	URL string
	// PasswordFile holds the password; it is read for each connection, so that a
	// new one needs no restart. Without it the password is libpq's to find: in
	// PGPASSWORD, or in the file PGPASSFILE.
	PasswordFile string
}

// config turns the address into a pool's configuration. Its errors are Invalid,
// name the field, and give no secret away.
func (a Address) config() (*pgxpool.Config, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// The parser's words would quote what may be a password.
		return nil, gitops.FieldErrorf("store", "must be an address such as postgres://tallyman@db.example:5432/tallyman")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") || u.Query().Has("sslpassword") {
		return nil, gitops.FieldErrorf("store", "must not hold the password: use storePasswordFile, or PGPASSWORD in the environment")
	}
	c, err := pgxpool.ParseConfig(a.URL)
	if err != nil {
		return nil, gitops.FieldErrorf("store", "is no address of a PostgreSQL database: %s", reason(err))
	}
	if err := a.secure(u, c.ConnConfig); err != nil {
		return nil, err
	}
	if c.ConnConfig.ConnectTimeout == 0 || c.ConnConfig.ConnectTimeout > connectTime {
		c.ConnConfig.ConnectTimeout = connectTime
	}
	if !u.Query().Has("pool_max_conns") {
		c.MaxConns = connections
	}
	if c.ConnConfig.ValidateConnect == nil {
		c.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // a standby can keep nothing
	}
	c.ConnConfig.RuntimeParams["application_name"] = "tallyman"
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return a.setPassword(c) }
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, settings)
		return err
	}
	c.PingTimeout = connectTime
	return c, nil
}

// secure refuses to go over a network without saying how: libpq's default, to
// encrypt where the server offers it, lets whoever is between switch it off.
func (a Address) secure(u *url.URL, c *pgx.ConnConfig) error {
	if u.Query().Has("sslmode") || os.Getenv("PGSSLMODE") != "" {
		return nil
	}
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if !strings.HasPrefix(host, "/") && host != "localhost" && host != "127.0.0.1" && host != "::1" {
			return gitops.FieldErrorf("store", "must say sslmode for a server on another machine: ?sslmode=verify-full, with sslrootcert=FILE for an authority that the system does not know")
		}
	}
	return nil
}

// setPassword puts the file's password in c. A line break at its end, which
// editors and echo leave, is not part of it.
func (a Address) setPassword(c *pgx.ConnConfig) error {
	if a.PasswordFile == "" {
		return nil
	}
	password, err := os.ReadFile(a.PasswordFile)
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "storePasswordFile: %s cannot be read", a.PasswordFile).WithCause(err)
	}
	password = bytes.TrimRight(password, "\r\n")
	if len(password) == 0 {
		return gitops.Errorf(gitops.Unavailable, "storePasswordFile: %s is empty", a.PasswordFile)
	}
	c.Password = string(password)
	return nil
}

// reason is what pgx says about an address, without the address.
func reason(err error) string {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		if inner := errors.Unwrap(parse); inner != nil {
			return inner.Error()
		}
		return "it cannot be read"
	}
	return err.Error()
}

// Validate reports what is wrong with the address, as far as can be told without
// a server: an Invalid error that names the field, store or storePasswordFile.
func (a Address) Validate() error {
	c, err := a.config()
	if err != nil {
		return err
	}
	if err := a.setPassword(c.ConnConfig); err != nil {
		return gitops.FieldErrorf("storePasswordFile", "%s cannot be read, or is empty", a.PasswordFile).WithCause(err)
	}
	return nil
}
