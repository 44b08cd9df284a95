package limits

import (
	"net"
	"syscall"
	"testing"
)

// The kernel keeps little of what nobody reads, in either direction, and does not add to
// it by itself.
func TestSocketBuffersAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	_, served := dialAll(t, FewConnections(inner, "adminListen", newWatch()), 1)
	raw, err := served[0].(*boundedConn).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]int{"receives": syscall.SO_RCVBUF, "sends": syscall.SO_SNDBUF} {
		if err := raw.Control(func(fd uintptr) {
			if n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, option); err != nil || n > SocketBytes/2 {
				t.Errorf("of what it %s the kernel keeps %d bytes, %v", name, n, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
