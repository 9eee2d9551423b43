#!/bin/sh
# SDKs against build/perilune. Installs those for Node.js (npm ci), then those for Python (a venv in build/).
# Without node or npm everything is skipped, saying so; with CI=true that is a failure. Without a python3 that
# makes a venv, or without a registry for pip, only the part in Python is skipped.
cd "$(dirname "$0")" || exit 1

passed=0 failed=0 skipped=0

finish() {
    echo "clients: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# Nothing of this can run. CI is where it has to.
give_up() {
    if [ "${CI:-}" = true ]; then
        echo "clients: $1, and CI requires the SDK tests"
        failed=1
    else
        echo "clients: SKIPPED, $1"
        skipped=1
    fi
    finish
}

command -v node >/dev/null 2>&1 || give_up "there is no node"
command -v npm >/dev/null 2>&1 || give_up "there is no npm"

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# A stamp says which versions are installed.
if ! cmp -s package-lock.json node_modules/.installed; then
    timeout 120 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error ||
        give_up "npm could not install the SDKs"
    cp package-lock.json node_modules/.installed
fi

timeout 400 node --test --test-reporter=tap ./*.test.mjs >"$output" 2>&1
status=$?
[ "$status" -ne 124 ] || echo "clients: the suites for Node.js did not end within 400 s"
# All of it when something failed, else only the names.
if [ "$status" -eq 0 ]; then grep -E '^(not )?ok ' "$output"; else cat "$output"; fi | grep -v '^# \(pass\|fail\)'
passed=$(sed -n 's/^# pass //p' "$output")
failed=$(sed -n 's/^# fail //p' "$output")
passed=${passed:-0} failed=${failed:-1}
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi

skip_python() {
    echo "clients: SKIPPED the SDKs for Python, $1"
    skipped=1
    finish
}

venv=../../build/clients/venv
if ! cmp -s requirements.txt "$venv/installed"; then
    rm -rf "$venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        skip_python "there is no python3 (3.10 or newer)"
    timeout 60 python3 -m venv "$venv" >/dev/null 2>&1 || skip_python "python3 makes no venv (python3-venv)"
    timeout 150 "$venv/bin/pip" install --quiet --no-compile --disable-pip-version-check --only-binary :all: \
        -r requirements.txt || skip_python "pip could not install them"
    cp requirements.txt "$venv/installed"
fi

# The first run of a suite compiles all that the SDKs import, which a busy machine takes minutes for.
for suite in *_test.py; do
    timeout 400 "$venv/bin/python" -W ignore "$suite" >"$output" 2>&1
    status=$?
    cat "$output"
    [ "$status" -ne 124 ] || echo "clients: $suite did not end within 400 s"
    p=$(sed -n 's/^# .*: \([0-9]*\) passed, .*/\1/p' "$output")
    f=$(sed -n 's/^# .*: .* \([0-9]*\) failed$/\1/p' "$output")
    if [ "$status" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then f=1; fi
    passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1}))
done
finish
