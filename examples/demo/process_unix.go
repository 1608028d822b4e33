// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup starts a program in its own process group, so that Ctrl-C does not reach it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// askToEnd asks a program to exit.
func askToEnd(process *os.Process) error {
	return process.Signal(syscall.SIGTERM)
}
