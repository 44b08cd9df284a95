package sqlite

import "context"

// Wake implements [queue.Lanes].
func (s *Store) Wake(environment string) <-chan struct{} { return s.wakes.Channel(environment) }

// Nudge implements [queue.Lanes].
func (s *Store) Nudge(ctx context.Context, environments []string) error {
	if s.isClosed() {
		return errClosed()
	}
	if err := ctx.Err(); err != nil {
		return domainError(err)
	}
	for _, environment := range environments {
		s.wakes.Wake(environment)
	}
	return nil
}
