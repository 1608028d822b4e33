#!/bin/sh
# After installing or upgrading the package: a running Collector restarts with the new version, a new one waits for its key.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart otelcol-amplitude.service
fi
