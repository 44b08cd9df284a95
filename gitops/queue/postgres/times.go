package postgres

import "time"

// stored is t as the functions take it; nil is the zero time.
func stored(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// rounded is t as it comes back from the tables.
func rounded(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// read is a time as it comes from the tables.
func read(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
