// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup starts a program in a process group of its own, which keeps Ctrl-C from it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// askToEnd asks a program to end.
func askToEnd(process *os.Process) error {
	return process.Signal(syscall.SIGTERM)
}
