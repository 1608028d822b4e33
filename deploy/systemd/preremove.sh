#!/bin/sh
# Before removing the package: Debian says "remove", RPM 0; an upgrade says "upgrade" or 1, and stops nothing.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now otelcol-amplitude.service
	fi
	;;
esac
