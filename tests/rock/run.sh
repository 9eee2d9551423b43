#!/bin/sh
# run.sh -- tests of the rock: in a plain LuaJIT, in a host written in C, and as LuaRocks installs it.
#
#   tests/rock/run.sh build/rock [SANITIZER]     from the root of the project; CC: who compiles the host
#
# With a sanitizer the module needs its library in a LuaJIT that has none, and leaks are not looked for: LuaJIT's own
# end would be full of them.
failed=0
case "$2" in
address|thread) export LD_PRELOAD="$(cc -print-file-name=lib$([ "$2" = address ] && echo a || echo t)san.so)" ASAN_OPTIONS=detect_leaks=0 ;;
esac
for name in primitives loop host script; do
    LUA_CPATH="$PWD/$1/?.so" timeout 300 luajit "tests/rock/$name.lua" || failed=1
done
unset LD_PRELOAD
[ -n "$2" ] || sh tests/rock/luarocks.sh || failed=1
exit $failed
