#!/bin/sh
# All benchmarks, one after the other, as a table.  Words: only these, e.g.
#   tests/bench/run.sh policy noop
cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || set -- policy stream hooks noop request rules library rewriting text idle start reload reloads_memory growth tokens rock count compress index semantic pair swaps neighbour cache redis coalesce batch eviction overload limit router pool plan decompose jobs jobs_http websocket batch_command jobs_redis
echo "figure                                       | value             | anchor     | ratio  | bar      |"
status=0
for name in "$@"; do
    luajit "tests/bench/$name.lua" || status=1
done
exit $status
