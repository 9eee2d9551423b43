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
export PKG_CONFIG_PATH="$stage/usr/lib/pkgconfig"
unset LD_LIBRARY_PATH # another prefix works without it
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
${CC:-cc} "$stage/version.c" -o "$stage/beside" $(pkg-config --cflags --libs perilune-static)
mv "$stage/usr/lib/libperilune.so.0" "$stage/away"
check "with the static library, where both are" "$("$stage/beside")" "$version"
check "that it needs the shared one" "$(readelf -d "$stage/beside" | grep -c libperilune)" 0
mv "$stage/away" "$stage/usr/lib/libperilune.so.0"
check "the version of a symbol" "$(nm -D "$stage/shared" | sed -n 's/.* perilune_version@//p')" PERILUNE_0
rm -f "$stage"/usr/lib/*.so*
${CC:-cc} "$stage/version.c" -o "$stage/static" $(pkg-config --static --cflags --libs perilune)
check "with the static library" "$("$stage/static")" "$version"
check "the program" "$("$stage/usr/bin/perilune" check examples/quickstart.lua)" "examples/quickstart.lua: ok"

check "the man pages" "$(cd "$stage/usr/share/man" && echo man*/*)" "man1/perilune.1 man5/perilune.lua.5"
unit="$stage/usr/lib/systemd/system/perilune.service"
check "what the unit starts" "$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")" "$stage/usr/bin/perilune"
check "nothing in the unit is left to fill in" "$(grep -v '^#' "$unit" | grep -c '@PREFIX@')" 0
check "what the socket's unit passes" "$(sed -n 's/^FileDescriptorName=//p' "$stage/usr/lib/systemd/system/perilune.socket")" perilune
if command -v systemd-analyze > /dev/null; then
    check "what systemd says of the unit" "$(systemd-analyze verify "$unit" 2>&1 | grep -i perilune.service)" ""
fi
# Packagers install into a folder that is not the prefix.
${MAKE:-make} -s install PREFIX=/opt/perilune DESTDIR="$stage/tree" > "$stage/log" 2>&1 || cat "$stage/log"
check "a prefix in a DESTDIR" "$(ls "$stage/tree" "$stage/tree/opt" | tr '\n' ' ')" "$stage/tree: opt  $stage/tree/opt: perilune "
check "a DESTDIR in what is installed" "$(grep -rlI "$stage" "$stage/tree" | wc -l)" 0
check "where programs are told to look" "$(sed -n 's/^Libs: //p' "$stage/tree/opt/perilune/lib/pkgconfig/perilune.pc")" \
    '-L${libdir} -Wl,-rpath,${libdir} -lperilune'
${MAKE:-make} -s install PREFIX=/usr DESTDIR="$stage/deb" > "$stage/log" 2>&1 || cat "$stage/log"
check "and below /usr" "$(sed -n 's/^Libs: //p' "$stage/deb/usr/lib/pkgconfig/perilune.pc")" '-L${libdir} -lperilune'
# With a sanitizer, nothing is built outside of the sanitizer's folder but what all share.
outside=$(${MAKE:-make} -pqn SAN=thread BUILDING=1 2> /dev/null | sed -n 's#^\(build/\(perilune\|libperilune\.[a-z]*\)\):.*#\1#p')
check "what a sanitizer's build puts into the release's place" "$(echo $outside)" ""
${MAKE:-make} -s SAN=thread install BUILDING=1 -o all PREFIX="$stage/no" > "$stage/log" 2>&1
check "installing what has a sanitizer in it" "$?$(ls "$stage/no" 2> /dev/null)" "2"
types=$(sed -n 's/.*"workspace.library": \[ "\(.*\)" \].*/\1/p' "$stage/usr/share/perilune/lua/luarc.json")
check "what an editor reads the types from" "$(head -n 1 "$types")" "---@meta perilune"

echo "install: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
