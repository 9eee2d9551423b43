/* bench.h -- the load tester behind `perilune bench`.  See bench.c.
 *
 * Its only entry is perilune_tool_bench() in perilune.h; this header names the
 * struct for the files that belong to it (bench_int.h). */
#ifndef PERILUNE_BENCH_BENCH_H
#define PERILUNE_BENCH_BENCH_H

struct bench;

#endif
