/* library.c -- what the library costs the program that it is added to: prints "NAME NUMBER" lines.
 *
 *     library LIBPERILUNE.SO [LIBRARY...]
 *
 * The program has nothing of it until it asks: what comes into memory with dlopen(), the libraries that it needs
 * included, and until a rule and a request have been answered, is the library's.  With others named, which are loaded
 * before anything is measured, it is a program that has these already.  Milliseconds of CPU time; megabytes resident, and
 * of these what no other process could share. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "include/perilune.h"

static const char CONFIG[] =
    "local perilune = require 'perilune'\n"
    "return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = { { path = '/v1/chat/completions',\n"
    "  policies = { function() return perilune.respond{ text = 'hello' } end } } } }\n";
static const char ASK[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Resident, and of that what is private, in megabytes. */
static void memory(double *all, double *own) {
    char line[200];
    long kb;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    *all = *own = 0;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "Rss: %ld", &kb) == 1) *all += (double)kb / 1024;
        if (sscanf(line, "Private_Dirty: %ld", &kb) == 1) *own += (double)kb / 1024;
    }
    if (f != NULL) fclose(f);
}

static int config_text(void *ud, const char *name, perilune_str *text) {
    (void)ud;
    *text = (perilune_str){ CONFIG, sizeof(CONFIG) - 1 };
    return strcmp(name, "host.lua") == 0;
}

static void *library;

static void *find(const char *name) {
    void *p = dlsym(library, name);
    if (p == NULL) fprintf(stderr, "library: there is no %s\n", name), exit(1);
    return p;
}

#define FIND(name) __typeof__(name) *p_##name = (__typeof__(name) *)find(#name)

int main(int argc, char **argv) {
    double before, own_before, after, own_after, begun, opening;
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    perilune_request *r;
    perilune_str text;
    char why[500];
    for (int i = 2; i < argc; i++) {
        if (dlopen(argv[i], RTLD_LAZY) == NULL) return fprintf(stderr, "library: %s\n", dlerror()), 1;
        if (strstr(argv[i], "libcurl") == NULL) continue;
        int (*init)(long) = (int (*)(long))dlsym(dlopen(argv[i], RTLD_LAZY), "curl_global_init");
        if (init == NULL || init(3) != 0) return 1; /* CURL_GLOBAL_ALL, which readies OpenSSL */
    }
    memory(&before, &own_before);
    begun = now_ms();
    if (argc < 2 || (library = dlopen(argv[1], RTLD_LAZY)) == NULL) return fprintf(stderr, "library: %s\n", dlerror()), 1;
    FIND(perilune_open);
    FIND(perilune_eval);
    FIND(perilune_request_new);
    FIND(perilune_request_start);
    FIND(perilune_request_text);
    FIND(perilune_request_free);
    FIND(perilune_close);
    o.config = "host.lua";
    o.read = config_text;
    opening = now_ms();
    if (p_perilune_open(&g, &o, why, sizeof(why)) != 0) return fprintf(stderr, "library: %s\n", why), 1;
    double opened = now_ms();
    if (p_perilune_eval(g, "return 1 + 1", NULL, NULL, 0, &text) != 0) return 1;
    if (p_perilune_request_new(g, "/v1/chat/completions", ASK, sizeof(ASK) - 1, &r) != 0) return 1;
    if (p_perilune_request_start(r, NULL, NULL) != 0 || p_perilune_request_text(r, &text) != 0) return 1;
    double answered = now_ms();
    memory(&after, &own_after);
    printf("load %.3f\nopen %.3f\nanswered %.3f\nresident %.3f\nown %.3f\n", opening - begun, opened - opening,
           answered - begun, after - before, own_after - own_before);
    p_perilune_request_free(r);
    p_perilune_close(g);
    return 0;
}
