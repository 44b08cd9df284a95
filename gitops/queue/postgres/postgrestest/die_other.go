//go:build unix && !linux

package postgrestest

import "syscall"

// dieWithParent is Linux's alone: elsewhere a test that is killed leaves its
// server running.
func dieWithParent(*syscall.SysProcAttr) {}
