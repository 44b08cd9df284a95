package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What must be free, on the volume and inside the file together. On a volume of 10 GiB
// or more:
//
//	1,024 MiB  what became no updates is kept while more than this is free
//	  250 MiB  of it the WAL may take under load (defaultLimits.most)
//	   64 MiB  of it are the reserve: with less, nothing is accepted
//	  710 MiB  are left for what is accepted: 80,000 dispatches of 9 KiB
//
// The reserve is for what lanes report: 1 KiB for each update, and 16 MiB by which the
// WAL grows before it begins again. On a smaller volume each is a part of it.
const (
	mostSpare    = 1 << 30
	sparePart    = 10
	mostReserve  = 64 << 20
	leastReserve = 24 << 20
	reservePart  = 40
)

const pageSize = 4096

// reserve is a 40th of the volume, between its bounds, and never more than a quarter.
func (v Volume) reserve() int64 {
	return min(max(v.Size/reservePart, leastReserve), mostReserve, v.Size/4)
}

func (v Volume) spare() int64 { return max(min(v.Size/sparePart, mostSpare), 2*v.reserve()) }

// room is how much there is, with so many bytes free on the volume and inside the file.
func (v Volume) room(free int64) queue.Room {
	switch {
	case v.Size == 0: // not known
		return queue.RoomEnough
	case free < v.reserve():
		return queue.RoomReserved
	case free < v.spare():
		return queue.RoomScarce
	}
	return queue.RoomEnough
}

// usable is how many bytes the store can still write: what is free on the volume and
// inside the file, without that by which the file grows when the WAL is moved into it. A
// WAL for which there is no room could never begin again. The file is measured before the
// volume: when it grows in between, that counts twice and not never.
func usable(ctx context.Context, c *connection, path string, volumeOf func(string) (Volume, error)) (v Volume, free int64, err error) {
	file, err := os.Stat(path)
	if err == nil {
		v, err = volumeOf(path)
	}
	if err != nil {
		return Volume{}, 0, gitops.Errorf(gitops.Unavailable, "the store's file or its volume cannot be examined").WithCause(err)
	}
	var pages, inside int64
	if _, err = c.one(ctx, `PRAGMA page_count`, nil, func(r row) { pages = r.number(0) }); err == nil {
		_, err = c.one(ctx, `PRAGMA freelist_count`, nil, func(r row) { inside = r.number(0) })
	}
	return v, v.Free + inside*pageSize - max(0, pages*pageSize-file.Size()), err
}

// roomCheck is the result of checkRoom, which is the same for a whole transaction.
type roomCheck struct{ err error }

// checkRoom returns why nothing can be accepted: what is left of the volume is the
// reserve. A disk that is really full fails the transaction.
func (tx *tx) checkRoom() error {
	if tx.room == nil {
		tx.room = &roomCheck{tx.w.checkRoom(tx.connection)}
	}
	return tx.room.err
}

func (w *writer) checkRoom(c *connection) error {
	v, err := w.volumeOf(w.path)
	if err != nil {
		return nil // the disk says it itself, when it is written
	}
	free := v.Free
	if v.room(free) != queue.RoomEnough {
		if v, free, err = usable(context.Background(), c, w.path, w.volumeOf); err != nil {
			return err
		}
	}
	full := v.room(free) == queue.RoomReserved
	if full != w.full {
		w.full = full
		w.logRoom(free, v.reserve())
	}
	if full {
		return gitops.Errorf(gitops.Unavailable, "the store's disk is nearly full: what is left is for updates that were accepted before")
	}
	return nil
}

func (w *writer) logRoom(free, reserve int64) {
	if w.full {
		w.log.Error("the store accepts no deliveries: its volume is nearly full", slog.Int64("free", free), slog.Int64("reserve", reserve))
		return
	}
	w.log.Info("the store accepts deliveries again", slog.Int64("free", free))
}

// Usage implements [queue.Meter].
func (s *Store) Usage(ctx context.Context) (queue.Usage, error) {
	file, err := os.Stat(s.path)
	if err != nil {
		return queue.Usage{}, gitops.Errorf(gitops.Unavailable, "the store's file cannot be examined").WithCause(err)
	}
	u := queue.Usage{Bytes: file.Size(), File: &queue.FileUsage{}}
	wal, err := os.Stat(s.path + "-wal")
	switch {
	case err == nil:
		u.File.WAL = wal.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return queue.Usage{}, gitops.Errorf(gitops.Unavailable, "the store's WAL cannot be examined").WithCause(err)
	}
	var v Volume
	err = s.read(ctx, func(ctx context.Context, c *connection) (err error) {
		v, u.File.Free, err = usable(ctx, c, s.path, s.volumeOf)
		return err
	})
	if err != nil {
		return queue.Usage{}, err
	}
	u.File.Free = max(0, u.File.Free)
	u.File.Room = v.room(u.File.Free)
	return u, nil
}
