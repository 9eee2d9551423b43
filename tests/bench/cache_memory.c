/* cache_memory.c -- what an entry of the cache costs besides its own bytes.
 *
 *     cache_memory ENTRIES        prints "heap rss cpu": bytes an entry over data, meta and tags, by the allocator's
 *                                 count and by the kernel's; microseconds of cache_put() an entry
 *
 * Entries are as cache_exact makes them: a meta of 80 bytes, two tags, answers of 200 to 900 bytes.  All are
 * within the limit, so that nothing is evicted. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/cache.h"

#define META 80

static size_t heap(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static size_t rss(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1) exit(2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    static const char bytes[1024];
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000, own = 0;
    struct slice tags[] = { SLICE("name:exact"), SLICE("tenant:acme") };
    size_t heap_before = heap(), rss_before = rss();
    double start = cpu_us();
    struct cache *c = cache_new(SIZE_MAX / 2);
    for (size_t i = 0; c != NULL && i < n; i++) {
        size_t len = 200 + i * 2654435761u % 701;
        char name[32];
        int name_len = snprintf(name, sizeof(name), "question %zu", i);
        struct hash128 key = cache_key(c, slice_of(name, (size_t)name_len));
        if (cache_put(c, &(struct cache_item){ .key = key, .meta = slice_of(bytes, META), .data = slice_of(bytes, len),
                                               .tags = tags, .tag_count = 2, .fresh_ms = 60000 }, 1) != 0) return 2;
        own += META + len + 2 * sizeof(uint32_t);
    }
    double us = (cpu_us() - start) / (double)n;
    struct cache_stats stats;
    cache_count(c, &stats);
    if (stats.entries != n) return 2;
    printf("%.1f %.1f %.2f\n", ((double)(heap() - heap_before) - (double)own) / (double)n,
           ((double)(rss() - rss_before) - (double)own) / (double)n, us);
    cache_free(c);
    return 0;
}
