package main

import "syscall"

// childAttributes keeps Ctrl-C in a terminal from reaching the child before we have
// stopped using it, and ends the child when this process is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
