package postgres

// Connections is how many of the pool's connections are in use.
func (s *Store) Connections() int { return int(s.pool.Stat().AcquiredConns()) }
