#!/bin/sh
# Installs the SDK (npm ci) and runs its tests, and those with an HTTP/2 upstream, against build/perilune.
# Without npm: skipped, saying so; with CI=true that is a failure.
cd "$(dirname "$0")" || exit 1

need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ "${CI:-}" = true ]; then
        echo "clients: there is no $1, and CI requires the SDK tests"
        echo "0 passed, 1 failed"
        exit 1
    fi
    echo "clients: SKIPPED, there is no $1 (the SDK tests install their SDK from npm)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

need node
need npm

want=$(sed -n 's/.*"openai": "\([^"]*\)".*/\1/p' package.json)
have=$(sed -n 's/^  "version": "\([^"]*\)".*/\1/p' node_modules/openai/package.json 2>/dev/null)
if [ "$want" != "$have" ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || {
        if [ "${CI:-}" = true ]; then
            echo "0 passed, 1 failed"
            exit 1
        fi
        echo "clients: SKIPPED, npm could not install the SDK"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    }
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
node --test --test-reporter=tap sdk.test.mjs http2.test.mjs >"$output" 2>&1
status=$?
# All of it when something failed, else only the names.
if [ "$status" -eq 0 ]; then grep -E '^(not )?ok ' "$output"; else cat "$output"; fi | grep -v '^# \(pass\|fail\)'
passed=$(sed -n 's/^# pass //p' "$output")
failed=$(sed -n 's/^# fail //p' "$output")
if [ "$status" -ne 0 ] && [ "${failed:-0}" -eq 0 ]; then failed=1; fi
echo "clients: ${passed:-0} passed, ${failed:-1} failed"
exit "$status"
