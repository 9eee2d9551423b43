#!/bin/sh
# run.sh -- tests of the rock: in a plain LuaJIT, in a host written in C, and as LuaRocks installs it.
#
#   tests/rock/run.sh build/rock          from the root of the project; CC: who compiles the host
export LUA_CPATH="$PWD/$1/?.so" LUA_PATH="$PWD/tests/?.lua;;"
failed=0
for name in primitives loop host; do
    [ -f "tests/rock/$name.lua" ] || continue
    timeout 120 luajit "tests/rock/$name.lua" || failed=1
done
exit $failed
