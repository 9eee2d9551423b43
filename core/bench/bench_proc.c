/* bench_proc.c -- what a process has used, as the kernel counts it.
 *
 * CPU time, the finest count first:
 *   1. the process' CPU clock (clock_getcpuclockid): nanoseconds, all threads,
 *      also those that have ended;
 *   2. the sum over /proc/PID/task/N/schedstat: nanoseconds, living threads;
 *   3. /proc/PID/stat: ticks of 10 ms.
 *
 * Everything is read anew each time; no state. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench_int.h"

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) return -1;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The whole small file as a string; false when there is none. */
static bool read_file(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    size_t n = fread(out, 1, size - 1, f);
    fclose(f);
    out[n] = '\0';
    return n > 0;
}

static int64_t schedstat_ns(int pid) {
    char path[300], text[128];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (dir == NULL) return -1;
    int64_t        sum = 0;
    struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, e->d_name);
        if (read_file(path, text, sizeof(text))) sum += strtoll(text, NULL, 10);
    }
    closedir(dir);
    return sum > 0 ? sum : -1;
}

static int64_t stat_ns(int pid) {
    char          path[64], text[1024];
    unsigned long user, kernel;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!read_file(path, text, sizeof(text))) return -1;
    /* The name in parentheses may hold anything, also parentheses. */
    char *p = strrchr(text, ')');
    if (p == NULL) return -1;
    if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) {
        return -1;
    }
    return (int64_t)(user + kernel) * (1000000000 / sysconf(_SC_CLK_TCK));
}

int64_t bench_cpu_ns(int pid) {
    clockid_t clock;
    int64_t   ns = -1;
    if (clock_getcpuclockid(pid, &clock) == 0) ns = clock_ns(clock);
    if (ns < 0) ns = schedstat_ns(pid);
    return ns < 0 ? stat_ns(pid) : ns;
}

int64_t bench_own_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static int64_t rss(int pid) {
    char path[64], text[128];
    long pages;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    if (!read_file(path, text, sizeof(text)) || sscanf(text, "%*d %ld", &pages) != 1) return -1;
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int64_t sum_over(const struct bench_options *o, int64_t (*get)(int pid)) {
    int64_t sum = 0;
    for (size_t i = 0; i < o->pid_count; i++) {
        int64_t v = get(o->pids[i]);
        if (v > 0) sum += v;
    }
    return sum;
}

int64_t bench_pids_cpu_ns(const struct bench_options *o) { return sum_over(o, bench_cpu_ns); }
int64_t bench_pids_rss(const struct bench_options *o) { return sum_over(o, rss); }
