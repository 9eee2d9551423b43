/* guard.c -- what the guard says of pairs, for swaps.lua.
 *
 *     bench_guard [time] < PAIRS
 *
 * Lines of two questions and a TAB between them; prints the guard's name for each.  With "time": one line, the
 * nanoseconds of CPU that a pair takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "semantic/embedding.h"
#include "semantic/guard.h"

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    bool timed = argc > 1 && strcmp(argv[1], "time") == 0;
    struct embedder *words = embedder_new(NULL, NULL);
    if (words == NULL) return 1;
    char *line = NULL;
    size_t cap = 0, pairs = 0;
    double spent = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        if (line[n - 1] == '\n') n--;
        char *tab = memchr(line, '\t', (size_t)n);
        if (tab == NULL) continue;
        struct slice a = slice_of(line, (size_t)(tab - line)), b = slice_of(tab + 1, (size_t)(line + n - tab - 1));
        double start = cpu_ns();
        enum guard g = guard_compare(a, b, words);
        spent += cpu_ns() - start;
        pairs++;
        if (!timed) puts(guard_name(g));
    }
    if (timed) printf("%.0f\n", pairs > 0 ? spent / (double)pairs : 0);
    embedder_free(words);
    free(line);
    return 0;
}
