// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package docblock // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"

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

const ticksPerSecond = 100 // of the times in /proc, on every Linux that Go runs on

// quiet is how many cores all other processes may use while a quiet machine measures.
const quiet = 0.1

// Watch records what else the machine does during a measurement.
type Watch struct {
	start        time.Time
	load, commit string
	machine, own time.Duration
}

// StartWatch starts a Watch.
func StartWatch() Watch {
	return Watch{time.Now(), loadAverage(), revision(), machineTime(), ownTime()}
}

// Stamp describes a measurement: the command, the date, the commit, the number of rounds and the load of the machine.
func (w Watch) Stamp(command string, rounds int) string {
	took := time.Since(w.start)
	others := max(0, (machineTime()-w.machine-ownTime()+w.own).Seconds()/took.Seconds())
	disturbed := ""
	if others > quiet {
		disturbed = " **The machine had other work, so these figures are provisional.**"
	}
	return fmt.Sprintf("`%s` on %s, %s, %s, %s/%s, %d cores: rounds: %d, in %s. Load average %s before and %s after; "+
		"other processes took %.2f cores.%s\n", command, w.start.UTC().Format(time.DateOnly), w.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		rounds, took.Round(time.Second), w.load, loadAverage(), others, disturbed)
}

// revision returns the commit that is checked out, which is the one that make bench has built.
func revision() string {
	commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "no commit"
	}
	// Pages that this run has updated do not change what it measures.
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/docs").Output()
	if err != nil || len(changed) > 0 {
		return "commit " + strings.TrimSpace(string(commit)) + " with changes"
	}
	return "commit " + strings.TrimSpace(string(commit))
}

// loadAverage returns the load average of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}

// ownTime returns the CPU time of this process and of the ended processes that it started.
func ownTime() time.Duration { return usageOf(syscall.RUSAGE_SELF) + usageOf(syscall.RUSAGE_CHILDREN) }

func usageOf(who int) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		panic(err) // cannot happen with these arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// machineTime returns the CPU time of all processes on all cores, including the time stolen by the host of a virtual
// machine.
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
