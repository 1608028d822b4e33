#!/bin/sh
# Before removing the package: Debian passes "remove", RPM 0; for an upgrade ("upgrade" or 1), nothing is stopped.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now otelcol-amplitude.service
	fi
	;;
esac
