/* process_metrics.c -- what the kernel knows of this process, and which program it is.
 *
 * The names are those that Prometheus client libraries give them, so that dashboards for any
 * process fit.  What cannot be read is left out: /proc may not be mounted. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/gateway.h"

typedef unsigned long long ull;

static void gauge(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void memory(struct buf *out) {
    unsigned long long size, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    int n = f ? fscanf(f, "%llu %llu", &size, &resident) : 0;
    if (f != NULL) fclose(f);
    if (n != 2) return;
    gauge(out, "process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.");
    buf_printf(out, "process_resident_memory_bytes %llu\n", resident * (ull)sysconf(_SC_PAGESIZE));
}

static void descriptors(struct buf *out) {
    struct rlimit lim;
    DIR *d = opendir("/proc/self/fd");
    unsigned open = 0;
    while (d != NULL && readdir(d) != NULL) open++;
    if (d != NULL) {
        closedir(d);
        gauge(out, "process_open_fds", "gauge", "Open descriptors of the process.");
        buf_printf(out, "process_open_fds %u\n", open > 3 ? open - 3 : 0); /* without ".", "..", and the folder */
    }
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0) return;
    gauge(out, "process_max_fds", "gauge", "Most descriptors that it may open.");
    buf_printf(out, "process_max_fds %llu\n", (ull)lim.rlim_cur);
}

/* Field 22 of /proc/self/stat, in ticks since the machine started; behind the name, which may
 * have spaces and parentheses in it. */
static void start_time(struct buf *out) {
    char text[1024];
    double up = 0;
    FILE *f = fopen("/proc/self/stat", "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f != NULL) fclose(f);
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    for (int field = 2; p != NULL && field < 22; field++) p = strchr(p + 1, ' ');
    f = fopen("/proc/uptime", "r");
    int got = f ? fscanf(f, "%lf", &up) : 0;
    if (f != NULL) fclose(f);
    if (p == NULL || got != 1) return;
    double age = up - strtod(p + 1, NULL) / (double)sysconf(_SC_CLK_TCK);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    gauge(out, "process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.");
    buf_printf(out, "process_start_time_seconds %.2f\n", (double)now.tv_sec + (double)now.tv_nsec / 1e9 - age);
    gauge(out, "perilune_uptime_seconds", "gauge", "How long the process has been running.");
    buf_printf(out, "perilune_uptime_seconds %.2f\n", age);
}

static void cpu(struct buf *out) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return;
    gauge(out, "process_cpu_seconds_total", "counter", "CPU time of the process.");
    buf_printf(out, "process_cpu_seconds_total %.3f\n", (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                                                           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

void process_metrics_write(struct buf *out) {
    gauge(out, "perilune_build_info", "gauge", "Always 1; the labels say which program it is.");
    buf_printf(out, "perilune_build_info{version=\"%s\",compiler=\"%s\"} 1\n", PERILUNE_VERSION_STRING, __VERSION__);
    memory(out);
    descriptors(out);
    start_time(out);
    cpu(out);
}
