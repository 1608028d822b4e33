// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// quiet is how many cores all other processes may use while a quiet machine measures.
const quiet = 0.1

// watch notes what the machine does while a part is measured.
type watch struct {
	start         time.Time
	load          string
	machine, ours time.Duration
}

func startWatch() watch {
	return watch{time.Now(), loadAverage(), machineTime(), oursTime()}
}

// stamp says when, of what and under what load a part was measured.
func (w watch) stamp(name string, rounds int) string {
	took := time.Since(w.start)
	others := max(0, (machineTime()-w.machine-oursTime()+w.ours).Seconds()/took.Seconds())
	disturbed := ""
	if others > quiet {
		disturbed = " **The machine had other work, so these figures are provisional.**"
	}
	return fmt.Sprintf("`make bench BENCH='-parts %s'` on %s, %s, %s, %s/%s, %d cores: %d rounds in %s. Load average %s before and %s after; "+
		"other processes took %.2f cores.%s\n", name, w.start.UTC().Format(time.DateOnly), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		rounds, took.Round(time.Second), w.load, loadAverage(), others, disturbed)
}

// revision is the commit that is checked out, which is what make bench has built.
func revision() string {
	commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "no commit"
	}
	// Pages that this run has renewed are no change to what it measures.
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/docs").Output()
	if err != nil || len(changed) > 0 {
		return "commit " + strings.TrimSpace(string(commit)) + " with changes"
	}
	return "commit " + strings.TrimSpace(string(commit))
}

// loadAverage is that of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}

// oursTime is what this process and those it has started and seen end have used.
func oursTime() time.Duration { return cpuTime() + usageOf(syscall.RUSAGE_CHILDREN) }

// machineTime is what all processes have used on all cores, what the host of a virtual machine took included.
func machineTime() (busy time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	// user nice system idle iowait irq softirq steal
	for i, field := range strings.Fields(line)[1:] {
		ticks, err := strconv.Atoi(field)
		if err == nil && i != 3 && i != 4 && i < 8 {
			busy += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return busy
}
