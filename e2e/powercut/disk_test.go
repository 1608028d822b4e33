// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build powercut && linux

package powercut

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ext4Shutdown is EXT4_IOC_SHUTDOWN, withoutJournal the mode that is like a power cut.
const (
	ext4Shutdown   = 0x8004587d
	withoutJournal = 2
)

// disk is a file system that can lose its power.
type disk struct {
	image string
	// dir is where it is mounted.
	dir     string
	mounted bool
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{image: filepath.Join(t.TempDir(), "disk"), dir: t.TempDir()}
	image, err := os.Create(d.image)
	require.NoError(t, err)
	require.NoError(t, image.Truncate(128<<20))
	require.NoError(t, image.Close())
	execute(t, "mkfs.ext4", "-q", d.image)
	d.mount(t)
	t.Cleanup(func() {
		if d.mounted {
			assert.NoError(t, exec.Command("umount", d.dir).Run())
		}
	})
	return d
}

// mount mounts the disk. For a while, only a sync may write to it, or the tests would not know what was lost.
func (d *disk) mount(t *testing.T) {
	t.Helper()
	execute(t, "mount", "-o", "loop,commit=300", d.image, d.dir)
	d.mounted = true
}

// cut cuts the power: what was not synced is gone, and nothing can be read or written anymore.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.dir)
	require.NoError(t, err)
	how := uint32(withoutJournal)
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how)))
	require.Zero(t, failed, failed.Error())
	require.NoError(t, f.Close())
}

// restore turns the power on again, once nobody has a file on the disk open.
func (d *disk) restore(t *testing.T) {
	t.Helper()
	execute(t, "umount", d.dir)
	d.mounted = false
	d.mount(t)
}

func execute(t *testing.T, name string, arguments ...string) {
	t.Helper()
	out, err := exec.Command(name, arguments...).CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
}
