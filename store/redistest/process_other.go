//go:build !linux

package redistest

import "syscall"

// dieWithUs needs Linux: elsewhere a test binary that crashes leaves its servers behind.
func dieWithUs() *syscall.SysProcAttr { return nil }
