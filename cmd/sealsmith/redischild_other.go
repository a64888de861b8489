//go:build !linux

package main

import "syscall"

// childAttributes keeps Ctrl-C in a terminal from reaching the child before we have
// stopped using it. Only Linux can end a child with its parent.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
