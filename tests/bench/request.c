/* request.c -- what a request without HTTP costs, for request.lua.
 *
 *     bench_request CONFIG BODY REQUESTS AT_ONCE     CPU microseconds per request, of this thread
 *
 * So many requests are under way at once; each that ends is freed and starts the next, from within its callback. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "include/perilune.h"

struct load {
    perilune *g;
    char      body[65536];
    size_t    body_len;
    long      to_start, done, failed;
};

static void start_one(struct load *l);

static void on_event(perilune_request *r, const perilune_event *ev, void *ud) {
    struct load *l = ud;
    if (ev->type != PERILUNE_EV_END && ev->type != PERILUNE_EV_ERROR) return;
    if (ev->type == PERILUNE_EV_ERROR && l->failed++ == 0) fprintf(stderr, "%.*s\n", (int)ev->text.len, ev->text.ptr);
    l->done++;
    perilune_request_free(r);
    if (l->to_start > 0) start_one(l);
}

static void start_one(struct load *l) {
    perilune_request *r;
    int rc = perilune_request_new(l->g, "/v1/chat/completions", l->body, l->body_len, &r);
    if (rc == 0) rc = perilune_request_start(r, on_event, l);
    if (rc != 0) {
        fprintf(stderr, "%s\n", perilune_errmsg(l->g));
        exit(1);
    }
    l->to_start--;
}

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run(struct load *l, long requests, int at_once) {
    double before = cpu_us();
    l->to_start = requests;
    l->done = 0;
    for (int i = 0; i < at_once && l->to_start > 0; i++) start_one(l);
    while (l->done < requests) perilune_poll(l->g, -1);
    return (cpu_us() - before) / (double)requests;
}

int main(int argc, char **argv) {
    static struct load l;
    perilune_options o = PERILUNE_OPTIONS_INIT;
    char err[500];
    FILE *f = argc == 5 ? fopen(argv[2], "r") : NULL;
    if (f == NULL) return 2;
    l.body_len = fread(l.body, 1, sizeof(l.body), f);
    fclose(f);
    o.config = argv[1];
    if (perilune_open(&l.g, &o, err, sizeof(err)) != 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    long requests = atol(argv[3]);
    run(&l, requests / 10, atoi(argv[4]));
    printf("%.3f %ld\n", run(&l, requests, atoi(argv[4])), l.failed);
    perilune_close(l.g);
    return 0;
}
