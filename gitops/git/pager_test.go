package git

import "testing"

// A large directory does not make a page of many commits large.
func TestAPageIsMeasuredByTheOneBefore(t *testing.T) {
	for _, tt := range []struct{ commits, bytes, all, want int }{
		{64, 64 << 10, 64, 4096}, {64, 64 * 85 << 10, 64, 96}, {4096, 1 << 30, 4096, 64}, {0, 0, 0, 64}, {4096, 1 << 20, 9000, 9000},
	} {
		if got := nextPage(tt.commits, tt.bytes, tt.all); got != tt.want {
			t.Errorf("after %d commits of %d bytes come %d, want %d", tt.commits, tt.bytes, got, tt.want)
		}
	}
}
