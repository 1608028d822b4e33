#!/usr/bin/env bash
# rerun.sh FLAGS… PACKAGES…: what continuous integration runs instead of `go test FLAGS… PACKAGES…`. A test that failed
# runs once more, since a machine that is busy with others can be late for it; its name goes to the file RERUN_FAILS,
# for .ci/run to tell at the end. It fails where the second time fails, too, and at once on more than five failures, a data
# race, a panic, a timeout, or a package that did not build or failed outside of its tests.
set -euo pipefail

flags=() packages=()
for argument; do
	case "$argument" in
	./*) packages+=("$argument") ;;
	*) flags+=("$argument") ;;
	esac
done

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
touch "$folder/rerun"

failed=0
go tool -modfile="$(dirname "${BASH_SOURCE[0]}")/../../internal/tools/go.mod" gotestsum \
	--format standard-quiet --hide-summary skipped --jsonfile-timing-events "$folder/results" \
	--rerun-fails=1 --rerun-fails-max-failures=5 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
	--rerun-fails-report "$folder/rerun" --packages "${packages[*]}" -- "${flags[@]}" || failed=$?
sed -n 's/: 2 runs, 1 failures$//p' "$folder/rerun" >>"$RERUN_FAILS"
[ "$failed" = 0 ] || exit "$failed"

# goleak fails a package after its tests have passed, and a fatal error ends it in the middle of one. gotestsum finds no
# test to run again then, and calls that a success.
awk -F '"' '
	$8 == "fail" && $14 == "Test" { tests[$12] = 1 }
	$8 == "fail" && $14 != "Test" { packages[$12] = 1 }
	END { for (p in packages) if (!(p in tests)) { print "FAIL " p ": failed outside of its tests, see above"; failed = 1 }; exit failed }
' "$folder/results"
