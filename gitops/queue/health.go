package queue

import (
	"context"
	"fmt"
	"time"
)

// CallKind tells calls that change a store from those that only read it: a store
// whose disk is full answers the one and not the other.
type CallKind int

const (
	Reading CallKind = iota
	Writing
)

// Usage is the room that a store takes, and has.
type Usage struct {
	Bytes int64      // its file, or its tables with their indexes
	File  *FileUsage // of a store that is a file; nil where the room is a database server's
}

// FileUsage is what a store knows that is a file.
type FileUsage struct {
	WAL  int64 // bytes of the log beside the file
	Free int64 // bytes that it can still use: free on its volume, and free inside the file
	Room Room
}

// Room is how much a store still has.
type Room int

const (
	RoomEnough Room = iota
	// RoomScarce: what became no updates should not be kept any more, so that there is
	// room for what is accepted.
	RoomScarce
	// RoomReserved: nothing is accepted any more. What is left is for reports, which let
	// the lanes go on.
	RoomReserved
)

// Meter says how much room a store takes. Safe for concurrent use.
type Meter interface {
	// Usage returns the room as it is now. It may take as long as the disk or the server.
	Usage(ctx context.Context) (Usage, error)
}

// OldTransaction is a transaction of another program in a store's database that keeps
// old versions of rows, so that the database cannot remove them.
type OldTransaction struct {
	Kind        string // session, prepared or replication slot
	Name        string // a session's process id, a prepared transaction's gid, or a slot's name
	User        string
	Application string
	State       string    // of a session, such as "idle in transaction"; of a slot "active" or "inactive"
	Since       time.Time // when it began; of a slot, when it was first seen at this place
}

// String names the transaction for a person.
func (t OldTransaction) String() string {
	text := t.Kind + " " + t.Name
	for _, part := range [][2]string{{"user", t.User}, {"application", t.Application}, {"state", t.State}} {
		if part[1] != "" {
			text += fmt.Sprintf(", %s %s", part[0], part[1])
		}
	}
	return text
}

// TransactionWatcher is a store that shares its database with others.
type TransactionWatcher interface {
	// OldTransactions returns the transactions of others that keep old versions of rows,
	// and have done so for longer than a time, oldest first.
	OldTransactions(ctx context.Context, longer time.Duration) ([]OldTransaction, error)
}
