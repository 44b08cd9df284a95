package storehealth

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Measure measures the store's room once.
func (m *Monitor) Measure(ctx context.Context, store queue.Meter) {
	ctx, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	u, err := store.Usage(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.usage = nil // whether the store is away is told elsewhere
		return
	}
	m.usage = &u
	if u.File != nil {
		m.judge(*u.File)
	}
}

// judge notes whether there is room for what became no updates. The caller has the lock.
func (m *Monitor) judge(f queue.FileUsage) {
	switch now := time.Now(); {
	case f.Room != queue.RoomEnough:
		m.enough = time.Time{}
		if !m.scarce {
			m.scarce = true
			m.logger.Warn("the store's volume is nearly full: rejected and ignored deliveries are not kept", slog.Int64("free", f.Free))
		}
	case m.scarce && m.enough.IsZero():
		m.enough = now
	case m.scarce && now.Sub(m.enough) >= enoughFor:
		m.scarce, m.enough = false, time.Time{}
		m.logger.Info("the store's volume has room: rejected and ignored deliveries are kept again", slog.Int64("free", f.Free))
	}
}

// measureOften measures as often as it costs nothing to speak of.
func (m *Monitor) measureOften(ctx context.Context, store queue.Meter) {
	for {
		every := databaseEvery
		if u, known := m.Usage(); !known || u.File != nil {
			every = fileEvery
		}
		if !sleep(ctx, every) {
			return
		}
		m.Measure(ctx, store)
	}
}
