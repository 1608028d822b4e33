#!/usr/bin/env bash
# npm.sh FOLDER: what continuous integration runs instead of `npm test` in FOLDER, which has tests of Node.js. When one fails, all
# of them run once more; the names of those that failed the first time go to the file RERUN_FAILS, as with rerun.sh.
set -euo pipefail

folder="$1"
results="$(mktemp)"
trap 'rm -f "$results"' EXIT

run() {
	(cd "$folder" && npm test -- --test-reporter=spec --test-reporter-destination=stdout --test-reporter=tap --test-reporter-destination="$results")
}
failures() { sed -n "s|^not ok [0-9]* - |$folder: |p" "$results"; }

run && exit
first="$(failures)"
printf '==> %s failed, and runs once more. Failed were\n%s\n' "$folder" "$first"
if run; then
	echo "$first" >>"$RERUN_FAILS"
	exit
fi
printf '==> %s failed twice. Failed were the first time\n%s\nand the second time\n%s\n' "$folder" "$first" "$(failures)"
exit 1
