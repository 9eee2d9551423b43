#!/bin/sh
# luarocks.sh -- the rock, as LuaRocks installs it: from the checkout, and from the packed file.
#
#   tests/rock/luarocks.sh          from the root of the project
command -v luarocks >/dev/null 2>&1 || { echo "rock, luarocks: SKIPPED, there is no luarocks (Debian: apt install luarocks)"; exit 0; }
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$PWD
unset LUA_PATH LUA_CPATH
failed=0

rocks() { timeout 600 luarocks --lua-version=5.1 "$@" > "$stage/log" 2>&1 || { cat "$stage/log"; failed=1; }; }

# In a LuaJIT that knows nothing but this tree, from a folder that has nothing of ours.
try() {
    (cd "$stage" && eval "$(luarocks --lua-version=5.1 --tree "$2" path)" &&
        luajit -e 'local p = require "perilune" assert(p.tokens("hello world", "gpt-4o") == 2)
                   assert(p.run({ upstreams = { up = { sim = {} } } }, function()
                     return #p.ask{ upstream = "up", messages = "hi" }:text() > 0 end))
                   assert(package.searchpath("perilune.meta", package.path))') ||
        { echo "FAIL  the rock $1"; failed=1; }
}

rocks --tree "$stage/a" make rockspec/perilune-scm-1.rockspec
try "from the checkout" "$stage/a"
(cd "$stage" && timeout 100 luarocks --lua-version=5.1 --tree "$stage/a" pack perilune > "$stage/log" 2>&1) || failed=1
rocks --tree "$stage/b" install "$stage"/perilune-scm-1.linux-*.rock
try "from the packed file" "$stage/b"
[ -n "$(nm -D --defined-only "$stage"/b/lib/lua/5.1/perilune.so | grep -v ' luaopen_perilune$')" ] &&
    { echo "FAIL  the module shows more than luaopen_perilune"; failed=1; }
ldd "$stage"/b/lib/lua/5.1/perilune.so | grep -qi lua && { echo "FAIL  the module brings a Lua of its own"; failed=1; }
cd "$root" || exit 1
[ $failed = 0 ] && echo "rock, luarocks: all passed"
exit $failed
