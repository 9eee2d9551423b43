/* index.c -- vectors: adding, removing, finding the nearest, for index.lua.
 *
 *     bench_index DIMS COUNT
 *
 * One line: nanoseconds of CPU to add, to remove and to search; per mille of searches that find the nearest,
 * before and after ten times as many have come and gone.  Vectors lie in clusters, as questions do, and a
 * search asks for one of them a little changed.  The nearest is told by comparing with all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "store/index.h"

#define SEARCHES 300

static unsigned dims;

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct hash128 key_of(uint64_t n) { return (struct hash128){ n, n * 0x9E3779B97F4A7C15u }; }

static void add_noise(struct rng *r, float *v, float much) {
    for (unsigned i = 0; i < dims; i++) v[i] += much * (float)(rng_double(r) + rng_double(r) + rng_double(r) - 1.5);
}

/* The vector of a number: a cluster of eight, and its own part. */
static void vector_of(uint64_t n, float *v) {
    struct rng r;
    for (unsigned i = 0; i < dims; i++) v[i] = 0;
    rng_seed(&r, 1 + n / 8);
    add_noise(&r, v, 1);
    rng_seed(&r, 1000000000 + n);
    add_noise(&r, v, 0.6f);
}

static void asked(uint64_t n, uint64_t seed, float *v) {
    struct rng r;
    vector_of(n, v);
    rng_seed(&r, 2000000000 + seed);
    add_noise(&r, v, 0.3f);
}

static struct index *x;
static const struct hash128 part = { 1, 2 };

/* Per mille that are found, of numbers from `first` on; *ns: of one search. */
static unsigned recall(uint64_t first, uint64_t count, float *v, double *ns) {
    struct index_hit hit;
    unsigned found = 0;
    *ns = 0;
    for (uint64_t i = 0; i < SEARCHES; i++) {
        uint64_t n = first + i * 7919 % count;
        asked(n, i, v);
        double start = cpu_ns();
        unsigned got = index_search(x, part, v, &hit, 1);
        *ns += (cpu_ns() - start) / SEARCHES;
        found += got == 1 && hit.key.low == key_of(n).low;
    }
    return found * 1000 / SEARCHES;
}

int main(int argc, char **argv) {
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    dims = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    float *v = malloc((dims + 1) * sizeof(*v));
    x = index_new(dims, (size_t)8 << 30);
    if (x == NULL || v == NULL || count == 0) return 1;
    double add = 0, take = 0, before, after;
    for (uint64_t n = 0; n < count; n++) {
        vector_of(n, v);
        double start = cpu_ns();
        if (index_add(x, part, key_of(n), v) != 0) return 1;
        add += (cpu_ns() - start) / (double)count;
    }
    unsigned was = recall(0, count, v, &before);
    uint64_t turns = count > 20000 ? 1 : 10; /* to make a hundred thousand vectors ten times takes minutes */
    for (uint64_t n = count; n < count * (turns + 1); n++) {
        vector_of(n, v);
        if (index_add(x, part, key_of(n), v) != 0) return 1;
        double start = cpu_ns();
        index_remove(x, part, key_of(n - count));
        take += (cpu_ns() - start) / (double)(count * turns);
    }
    unsigned is = recall(count * turns, count, v, &after);
    struct index_stats s;
    index_count(x, &s);
    printf("%.0f %.0f %.0f %u %u %llu %s\n", add, take, before, was, is, (unsigned long long)(s.bytes / count),
           index_kernel());
    index_free(x);
    free(v);
    return 0;
}
