package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// process is one process's way to the store.
type process struct {
	*postgresStore
	name string
	open *postgres.Store // nil: it has no session, and the next call opens one
}

func (s *postgresStore) connect(name string) queueCalls {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &process{postgresStore: s, name: name}
	s.processes = append(s.processes, p)
	return p
}

// ready opens the store if it has no session.
func (p *process) ready(ctx context.Context) (err error) {
	if p.open == nil {
		p.open, err = p.database.connect(ctx)
	}
	return err
}

// end ends the session: the server lets go of what it locked.
func (p *process) end(context.Context) error {
	s := p.open
	p.open = nil
	return s.Close()
}

// replaceSession has the server end the session under which the process holds its
// leases, and returns when the store has another and has bound them to it.
func (p *process) replaceSession(ctx context.Context) error {
	const terminate = `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks k WHERE locktype = 'advisory' AND objsubid = 1
		AND EXISTS (SELECT FROM lanes WHERE holder = $1 AND session = (k.classid::bigint << 32) | k.objid::bigint)`
	replaced := p.open.Wake("nobody") // it has no hint but that of a new session, which is everybody's
	select {
	case <-replaced:
	default:
	}
	ended, err := p.conn.Exec(ctx, terminate, p.name)
	if err != nil || ended.RowsAffected() == 0 {
		return err
	}
	met.meet("a session was replaced")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case <-replaced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *postgresStore) killHolder(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		if p.name == name && p.open != nil {
			s.do(p.end)
		}
	}
}

// killHolders ends every session. A process that lives has another at once, or with
// its next call, when others may have claimed its leases.
func (s *postgresStore) killHolders() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		lives := slices.ContainsFunc(s.w.replicas(), func(r *replica) bool { return r.name == p.name && !r.isDead() })
		switch {
		case p.open == nil:
		case lives && s.w.chance.of("session of "+p.name).IntN(2) == 0:
			s.do(p.replaceSession)
		default:
			s.do(p.end)
		}
	}
}

// close leaves the sessions to the next schedule.
func (s *postgresStore) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		if p.open != nil {
			s.idle = append(s.idle, p.open)
		}
	}
}
