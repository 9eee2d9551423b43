/* sim.c -- `perilune sim`: an OpenAI-compatible upstream that is simulated, and
 * a server of the same kind for tests and for upstreams configured as `sim`.
 *
 *      sim_options.c   what a request may ask for: delays, lengths, faults
 *      sim_conn.c      sockets: a state machine from accept to close
 *      sim_answer.c    which answer a request gets
 *      sim_stream.c    saying it, token by token
 *      sim_embed.c     made-up vectors
 *      sim_prefix.c    beginnings of prompts, as providers cache them
 *      sim_timer.c     one heap of deadlines for everything
 *      sim.c           the server around them, the command line
 *
 * One loop, one thread: the command runs it on its own, sim_start() on a thread
 * that belongs to the server.  Nothing is shared with the caller's thread after
 * the start but the async handle that stops it.
 *
 * The clock: timers live in sim->timers in microseconds; one uv_timer is armed
 * for the earliest.  A turn handles what was due when it began: a timer that is
 * armed again for at once waits for the next turn, so that sockets get theirs.
 *
 * It is the far end of benchmarks, so it must not be what they measure: no copy
 * of a request that came whole, one write per loop turn and stream, and about
 * a kilobyte per open stream. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "perilune.h"
#include "cli/args.h"
#include "sim/sim_int.h"
#include "sys/sigpipe.h"

#define BACKLOG    4096
#define MAX_FAULTS 32

/* -- Clock --------------------------------------------------------------------------- */

uint64_t sim_now_us(void) { return uv_hrtime() / 1000; }

static void on_clock(uv_timer_t *t);

/* Sets the uv_timer for the earliest deadline, unless it stands right already. */
static void wind_clock(struct sim *s, uint64_t now) {
    if (s->timers.len == 0) return; /* an empty ring of the bell harms nobody */
    uint64_t due = s->timers.at[0]->due_us;
    if (s->armed_us != 0 && s->armed_us <= due) return;
    s->armed_us = due;
    uint64_t ms = due > now ? (due - now + 999) / 1000 : 0;
    /* libuv counts from the loop's clock, which may be as old as this turn. */
    uv_update_time(&s->loop);
    uv_timer_start(&s->clock, on_clock, ms, 0);
}

static void on_clock(uv_timer_t *t) {
    struct sim       *s = t->data;
    struct sim_timer *due;
    uint64_t          now = sim_now_us();
    while ((due = sim_heap_take_due(&s->timers, now)) != NULL) sim_conn_timer(due);
    s->armed_us = 0;
    wind_clock(s, sim_now_us());
}

void sim_arm(struct sim *s, struct sim_timer *t, uint64_t due_us) {
    sim_heap_set(&s->timers, t, due_us);
    wind_clock(s, sim_now_us());
}

void sim_disarm(struct sim *s, struct sim_timer *t) { sim_heap_remove(&s->timers, t); }

/* -- Counters ------------------------------------------------------------------------- */

void sim_write_stats(const struct sim *s, struct buf *out) {
    const struct sim_counters *n = &s->count;
    buf_printf(out,
               "{\"requests\":%llu,\"streams\":%llu,\"cancelled\":%llu,\"open\":%llu,"
               "\"max_open\":%llu,\"answering\":%llu,\"max_answering\":%llu}",
               (unsigned long long)n->requests, (unsigned long long)n->streams,
               (unsigned long long)n->cancelled, (unsigned long long)n->open,
               (unsigned long long)n->max_open, (unsigned long long)n->answering,
               (unsigned long long)n->max_answering);
}

/* -- Server --------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *h, int status) {
    if (status == 0) sim_conn_accept(h->data);
}

static void close_handle(uv_handle_t *h) {
    if (h->type != UV_UNKNOWN_HANDLE && h->loop != NULL && !uv_is_closing(h)) uv_close(h, NULL);
}

static void server_close_handles(struct sim *s) {
    if (s->stopping) return;
    s->stopping = true;
    while (!list_is_empty(&s->conns)) {
        sim_conn_close(container_of(s->conns.next, struct sim_conn, link));
    }
    close_handle((uv_handle_t *)&s->listener);
    close_handle((uv_handle_t *)&s->clock);
    close_handle((uv_handle_t *)&s->stopper);
    for (int i = 0; i < 3; i++) close_handle((uv_handle_t *)&s->signals[i]);
}

static void on_stop(uv_async_t *a) { server_close_handles(a->data); }

static void server_free(struct sim *s) {
    if (s == NULL) return;
    if (s->loop_open) {
        server_close_handles(s);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        uv_loop_close(&s->loop);
    }
    sim_heap_deinit(&s->timers);
    json_deinit(&s->doc);
    buf_deinit(&s->out);
    buf_deinit(&s->event);
    buf_deinit(&s->tmp);
    buf_deinit(&s->last_head);
    buf_deinit(&s->last_body);
    sim_prefixes_deinit(&s->prefixes);
    mem_free(s->input);
    mem_free(s->text);
    mem_free(s);
}

/* "host:port", host an IPv4 address, an IPv6 one in brackets, or empty for all. */
static int parse_address(const char *address, struct sockaddr_storage *out) {
    const char *colon = strrchr(address, ':');
    char        host[64], *end;
    if (colon == NULL || (size_t)(colon - address) >= sizeof(host)) return PERILUNE_ERR_INVAL;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port < 0 || port > 65535) return PERILUNE_ERR_INVAL;
    size_t len = (size_t)(colon - address);
    memcpy(host, address, len);
    host[len] = '\0';

    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        int rc = uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)out);
        return rc == 0 ? 0 : PERILUNE_ERR_INVAL;
    }
    const char *name = len == 0 ? "0.0.0.0" : strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return uv_ip4_addr(name, (int)port, (struct sockaddr_in *)out) == 0 ? 0 : PERILUNE_ERR_INVAL;
}

static int bound_port(const uv_tcp_t *tcp) {
    struct sockaddr_storage a;
    int                     len = sizeof(a);
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&a, &len) != 0) return 0;
    if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int server_listen(struct sim *s, const struct sockaddr_storage *a) {
    s->loop_open = uv_loop_init(&s->loop) == 0;
    if (!s->loop_open || uv_tcp_init(&s->loop, &s->listener) != 0 ||
        uv_timer_init(&s->loop, &s->clock) != 0 ||
        uv_async_init(&s->loop, &s->stopper, on_stop) != 0) {
        return PERILUNE_ERR_NOMEM;
    }
    s->listener.data = s->clock.data = s->stopper.data = s;
    int rc = uv_tcp_bind(&s->listener, (const struct sockaddr *)a, 0);
    if (rc == 0) rc = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    if (rc != 0) {
        s->listen_error = rc;
        return PERILUNE_ERR_IO;
    }
    s->port = bound_port(&s->listener);
    return 0;
}

/* A server that listens and does not run yet.  After PERILUNE_ERR_IO *why is
 * libuv's code. */
static int server_new(struct sim **out, const char *address, const struct sim_options *opt,
                      int *why) {
    struct sockaddr_storage a;
    *out = NULL;
    memset(&a, 0, sizeof(a));
    if (address == NULL || parse_address(address, &a) != 0) return PERILUNE_ERR_INVAL;

    struct sim *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return PERILUNE_ERR_NOMEM;
    list_init(&s->conns);
    if (opt != NULL) s->options = *opt;
    else sim_options_init(&s->options);
    int rc = PERILUNE_ERR_NOMEM;
    if (s->options.text.ptr != NULL) {
        s->text = mem_dup(s->options.text.ptr, s->options.text.len);
        if (s->text == NULL) goto fail;
        s->options.text.ptr = s->text;
    }
    s->input = mem_alloc(SIM_INPUT);
    if (s->input == NULL) goto fail;
    rng_seed(&s->rng, 0);
    rc = server_listen(s, &a);
    if (rc != 0) goto fail;
    *out = s;
    return 0;

fail:
    *why = s->listen_error;
    server_free(s);
    return rc;
}

static void run_thread(void *arg) {
    struct sim *s = arg;
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

int sim_start(struct sim **out, const char *address, const struct sim_options *opt) {
    struct sim *s;
    int         why, rc = server_new(&s, address, opt, &why);
    *out = NULL;
    if (rc != 0) return rc;

    /* Signals belong to the caller's threads; and SIGPIPE, raised by a write to a
     * client that left, must not end a program that did not think of it. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    s->threaded = uv_thread_create(&s->thread, run_thread, s) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!s->threaded) {
        server_free(s);
        return PERILUNE_ERR_NOMEM;
    }
    *out = s;
    return 0;
}

int sim_port(const struct sim *s) { return s->port; }

void sim_stop(struct sim *s) {
    if (s == NULL) return;
    if (s->threaded) {
        uv_async_send(&s->stopper);
        uv_thread_join(&s->thread);
    }
    server_free(s);
}

/* -- The command ------------------------------------------------------------------------ */

static void print_stats(const struct sim *s) {
    struct buf text;
    buf_init(&text, 0);
    sim_write_stats(s, &text);
    fprintf(stderr, "%.*s\n", SLICE_ARG(buf_get(&text)));
    buf_deinit(&text);
}

static void on_signal(uv_signal_t *h, int number) {
    struct sim *s = h->data;
    if (number == SIGUSR1) print_stats(s);
    else server_close_handles(s);
}

static int watch_signals(struct sim *s) {
    static const int numbers[3] = { SIGINT, SIGTERM, SIGUSR1 };
    for (int i = 0; i < 3; i++) {
        if (uv_signal_init(&s->loop, &s->signals[i]) != 0) return PERILUNE_ERR_NOMEM;
        s->signals[i].data = s;
        if (uv_signal_start(&s->signals[i], on_signal, numbers[i]) != 0) return PERILUNE_ERR_IO;
    }
    return 0;
}

/* Ten thousand streams are ten thousand descriptors. */
static void raise_file_limit(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

struct command {
    const char        *listen;
    const char        *text;
    long               seed;
    struct sim_options options;
    struct arg_list    fault_texts;
    struct sim_fault   faults[MAX_FAULTS];
    char               names[SIM_OPTION_COUNT][24]; /* ttft-ms ... */
    const char        *fault_items[MAX_FAULTS];
};

static struct arg arg_of_option(struct command *m, size_t i) {
    static const enum arg_type types[] = {
        [SIM_MS] = ARG_NUMBER, [SIM_COUNT] = ARG_INT, [SIM_BOOL] = ARG_FLAG, [SIM_TEXT] = ARG_STRING,
    };
    const struct sim_option *d = &sim_option_table()[i];
    snprintf(m->names[i], sizeof(m->names[i]), "%s", d->name);
    for (char *p = m->names[i]; *p != '\0'; p++) *p = *p == '_' ? '-' : *p;
    void *out = d->type == SIM_TEXT ? (void *)&m->text : (char *)&m->options + d->offset;
    return (struct arg){ m->names[i], 0, types[d->type], out, d->value, d->help, d->min, d->max };
}

static int parse_command(struct command *m, int argc, char **argv) {
    struct arg table[SIM_OPTION_COUNT + 4] = {
        { "listen", 'l', ARG_STRING, &m->listen, "ADDR", "host:port (default 127.0.0.1:8000)", 0, 0 },
        { "fault", 0, ARG_LIST, &m->fault_texts, "P:OPTS", "with probability P, e.g. 0.05:status=500",
          0, 0 },
        { "seed", 0, ARG_INT, &m->seed, "N", "of the dice for --fault and --jitter", 0, 9e15 },
    };
    for (size_t i = 0; i < SIM_OPTION_COUNT; i++) table[3 + i] = arg_of_option(m, i);
    struct args a = {
        .command = "perilune sim",
        .usage = "[options]",
        .about = "A simulated OpenAI-compatible upstream. A request may override the options with a\n"
                 "header like `x-sim: ttft_ms=20,tokens=8`. GET /sim/stats counts, GET /sim/last\n"
                 "shows the last request as it came; SIGUSR1 prints the counters.",
        .table = table,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return rc;
    if (m->text != NULL) m->options.text = slice_str(m->text);
    for (size_t i = 0; i < m->fault_texts.len; i++) {
        char err[200];
        if (sim_fault_parse(&m->faults[i], slice_str(m->fault_items[i]), err, sizeof(err)) != 0) {
            return args_fail(&a, "--fault: %s", err);
        }
    }
    return ARGS_OK;
}

static void say_address(const struct sim *s, const char *listen) {
    int len = (int)(strrchr(listen, ':') - listen);
    printf("listening on http://%.*s:%d/v1\n", len, listen, s->port);
    fflush(stdout);
}

static int command_run(const struct command *m) {
    struct sim *s;
    int         why, rc = server_new(&s, m->listen, &m->options, &why);
    if (rc == PERILUNE_ERR_INVAL) {
        fprintf(stderr, "perilune sim: --listen wants host:port with a numeric host, not '%s'\n",
                m->listen);
        return 2;
    }
    if (rc != 0) {
        fprintf(stderr, "perilune sim: cannot listen on %s: %s\n", m->listen, uv_strerror(why));
        return 1;
    }
    s->faults = m->faults;
    s->fault_count = m->fault_texts.len;
    if (m->seed != 0) rng_seed(&s->rng, (uint64_t)m->seed);
    rc = watch_signals(s);
    if (rc == 0) {
        say_address(s, m->listen);
        uv_run(&s->loop, UV_RUN_DEFAULT);
    }
    server_free(s);
    return rc == 0 ? 0 : 1;
}

int perilune_tool_sim(int argc, char **argv) {
    struct command m = { .listen = "127.0.0.1:8000" };
    sim_options_init(&m.options);
    m.fault_texts = (struct arg_list){ m.fault_items, 0, MAX_FAULTS };
    int rc = parse_command(&m, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);

    struct sigpipe pipe;
    sigpipe_hold(&pipe);
    raise_file_limit();
    int status = command_run(&m);
    sigpipe_release(&pipe);
    return status;
}
