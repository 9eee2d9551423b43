#!/bin/sh
# man.sh -- what man and mandoc, where they are, have to say of the man pages.
#
#   sh tests/lint/man.sh FOLDER
failed=0 checked=0
for page in "$1/perilune.1" "$1/perilune.lua.5"; do
    [ -s "$page" ] || { echo "FAIL  $page is missing"; failed=$((failed + 1)); continue; }
    if command -v groff > /dev/null; then
        said=$(groff -man -Tutf8 -K utf8 -ww -z "$page" 2>&1 | grep -v "can't break line\|cannot break line\|adjust line")
        [ -z "$said" ] || { echo "FAIL  groff: $said"; failed=$((failed + 1)); }
        checked=$((checked + 1))
    fi
    if command -v mandoc > /dev/null; then
        said=$(mandoc -T lint -W error "$page" 2>&1)
        [ -z "$said" ] || { echo "FAIL  mandoc: $said"; failed=$((failed + 1)); }
        checked=$((checked + 1))
    fi
done
[ "$checked" -gt 0 ] || echo "man: neither groff nor mandoc is installed, so the pages are not looked through"
echo "man: $checked looks, $failed failed"
[ "$failed" -eq 0 ]
