#!/bin/sh
# install.sh -- what `make install` installs is what a C program needs: compiled with nothing but
# what pkg-config says, against the shared library and against the static one, it runs.
cd "$(dirname "$0")/../.." || exit 1
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
passed=0 failed=0

check() {
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    printf 'FAIL  %s: "%s", not "%s"\n' "$1" "$2" "$3"
}

${MAKE:-make} -s install PREFIX="$stage/usr" > "$stage/log" 2>&1 || cat "$stage/log"
export PKG_CONFIG_PATH="$stage/usr/lib/pkgconfig" LD_LIBRARY_PATH="$stage/usr/lib"
version=$(sed -n 's/^#define PERILUNE_VERSION_STRING "\(.*\)"/\1/p' core/include/perilune.h)
check "the version that pkg-config says" "$(pkg-config --modversion perilune)" "$version"

cat > "$stage/version.c" <<'EOF'
#include <perilune.h>
#include <stdio.h>
int main(void) {
    unsigned v = perilune_version();
    printf("%u.%u.%u\n", v >> 16, v >> 8 & 255, v & 255);
    return 0;
}
EOF
${CC:-cc} "$stage/version.c" -o "$stage/shared" $(pkg-config --cflags --libs perilune)
check "with the shared library" "$("$stage/shared")" "$version"
rm -f "$stage"/usr/lib/*.so*
${CC:-cc} "$stage/version.c" -o "$stage/static" $(pkg-config --static --cflags --libs perilune)
check "with the static library" "$("$stage/static")" "$version"
check "the program" "$("$stage/usr/bin/perilune" check examples/quickstart.lua)" "examples/quickstart.lua: ok"

unit="$stage/usr/lib/systemd/system/perilune.service"
check "what the unit starts" "$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")" "$stage/usr/bin/perilune"
check "nothing in the unit is left to fill in" "$(grep -v '^#' "$unit" | grep -c '@PREFIX@')" 0
check "what the socket's unit passes" "$(sed -n 's/^FileDescriptorName=//p' "$stage/usr/lib/systemd/system/perilune.socket")" perilune
if command -v systemd-analyze > /dev/null; then
    check "what systemd says of the unit" "$(systemd-analyze verify "$unit" 2>&1 | grep -i perilune.service)" ""
fi
# With a sanitizer, nothing is built outside of the sanitizer's folder but what all share.
outside=$(${MAKE:-make} -pqn SAN=thread BUILDING=1 2> /dev/null | sed -n 's#^\(build/\(perilune\|libperilune\.[a-z]*\)\):.*#\1#p')
check "what a sanitizer's build puts into the release's place" "$(echo $outside)" ""
${MAKE:-make} -s SAN=thread install BUILDING=1 -o all PREFIX="$stage/no" > "$stage/log" 2>&1
check "installing what has a sanitizer in it" "$?$(ls "$stage/no" 2> /dev/null)" "2"
types=$(sed -n 's/.*"workspace.library": \[ "\(.*\)" \].*/\1/p' "$stage/usr/share/perilune/lua/luarc.json")
check "what an editor reads the types from" "$(head -n 1 "$types")" "---@meta perilune"

echo "install: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
