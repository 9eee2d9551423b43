/* bench_run.c -- when requests leave, and what becomes of the measurement.
 *
 * Closed loop: `concurrency` requests are always out; each result sends the next.
 *
 * Open loop: arrivals come from a clock (constant or Poisson), not from results.
 *
 *      timerfd --> arrivals --> waiting (ring of scheduled times) --> bench_issue()
 *                                  while all max_connections are busy
 *
 * Every latency counts from the scheduled time, also the time spent waiting for a
 * connection, and timeouts do too.  A server that stalls therefore gets the
 * latencies it caused: no coordinated omission.  The kernel's timerfd gives
 * microseconds where libuv's timers give milliseconds.
 *
 * Life: warming up (numbers under `warmup`) -> measuring -> no more arrivals ->
 * last result -> ending (handles close, the loop runs dry).
 *
 * --hold opens `concurrency` streams and keeps them; when all have begun, and a
 * moment has passed, memory is read, and everything is closed. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "perilune.h"
#include "bench/bench_int.h"

#define TICK_MS   50
#define SECOND_US 1000000u

uint64_t bench_now_us(void) { return uv_hrtime() / 1000; }

/* -- Ends ----------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *h) {
    if (h->type != UV_UNKNOWN_HANDLE && h->loop != NULL && !uv_is_closing(h)) uv_close(h, NULL);
}

static void measure_end(struct bench *b) {
    int64_t cpu = bench_pids_cpu_ns(b->o);
    int64_t own = bench_own_cpu_ns();
    int64_t rss = bench_pids_rss(b->o);
    b->stop_us = b->last_us > b->start_us ? b->last_us : bench_now_us();
    b->cpu_spent_ns = cpu > b->cpu_ns ? (uint64_t)(cpu - b->cpu_ns) : 0;
    b->own_spent_ns = own > b->own_cpu_ns ? (uint64_t)(own - b->own_cpu_ns) : 0;
    if (rss > b->rss_peak) b->rss_peak = rss;
}

static void end_run(struct bench *b) {
    if (b->ending) return;
    b->ending = true;
    measure_end(b);
    bench_close_all(b);
    close_handle((uv_handle_t *)&b->tick);
    close_handle((uv_handle_t *)&b->alarm);
    for (int i = 0; i < 2; i++) close_handle((uv_handle_t *)&b->signals[i]);
}

static bool may_issue(const struct bench *b) {
    if (b->stopped || b->ending) return false;
    return b->o->requests == 0 || b->issued < (uint64_t)(b->o->requests + b->o->warmup);
}

static void end_if_done(struct bench *b) {
    if (b->o->hold && !b->stopped) return;
    bool more = b->o->rate > 0 ? b->waiting_len > 0 : b->parked > 0;
    bool arrivals = b->o->rate > 0 && !b->stopped &&
                    (b->o->requests == 0 ||
                     b->arrived < (uint64_t)(b->o->requests + b->o->warmup));
    if (b->in_flight > 0 || more || arrivals) return;
    if (b->o->rate > 0 || !may_issue(b)) end_run(b);
}

/* -- Measurement ------------------------------------------------------------------------ */

static void measure_start(struct bench *b, uint64_t now) {
    b->measuring = true;
    b->start_us = b->shown_us = now;
    b->bytes_in = 0;
    b->cpu_ns = bench_pids_cpu_ns(b->o);
    b->own_cpu_ns = bench_own_cpu_ns();
}

static void record(struct bench *b, const struct bench_result *r) {
    const struct bench_options *o = b->o;
    uint64_t total = r->end_us - r->scheduled_us;
    bool     good = true;
    b->ok++;
    b->tokens += r->tokens;
    hist_add(&b->total, total);
    if (r->first_us != 0) {
        uint64_t ttft = r->first_us - r->scheduled_us;
        hist_add(&b->ttft, ttft);
        good = o->slo_ttft_ms == 0 || (double)ttft <= o->slo_ttft_ms * 1000;
    } else if (o->slo_ttft_ms > 0) {
        good = false;
    }
    if (o->slo_total_ms > 0 && (double)total > o->slo_total_ms * 1000) good = false;
    b->good += good;
}

static void count_error(struct bench *b, const struct bench_result *r) {
    b->failed++;
    b->error_count[r->error]++;
    if (r->error == BENCH_STATUS && r->status > 0 && r->status < 600) b->status_count[r->status]++;
}

void bench_token_gap(struct bench *b, uint64_t number, uint64_t gap_us) {
    if (number >= (uint64_t)b->o->warmup) hist_add(&b->itl, gap_us);
}

/* -- Sending ------------------------------------------------------------------------------ */

static void issue(struct bench *b, uint64_t scheduled_us) {
    if (!b->measuring && b->issued >= (uint64_t)b->o->warmup) measure_start(b, bench_now_us());
    bench_issue(b, scheduled_us);
}

/* Closed loop: up to the concurrency, but not all connections at once: a listen
 * queue that overflows costs seconds. */
static void fill(struct bench *b) {
    while (b->in_flight + b->parked < (uint64_t)b->o->concurrency && may_issue(b) &&
           (b->connecting < BENCH_CONNECTING || bench_has_idle(b))) {
        issue(b, bench_now_us());
    }
}

static void dispatch(struct bench *b) {
    while (b->waiting_len > 0 && !b->ending &&
           (bench_has_idle(b) || b->conn_count < (uint64_t)b->o->max_connections)) {
        uint64_t due = b->waiting[b->waiting_head];
        b->waiting_head = (b->waiting_head + 1) % b->waiting_cap;
        b->waiting_len--;
        issue(b, due);
    }
}

void bench_room(struct bench *b) {
    if (b->ending) return;
    if (b->o->rate > 0) dispatch(b);
    else if (!b->o->hold || b->issued < (uint64_t)b->o->concurrency) fill(b);
}

void bench_finished(struct bench *b, const struct bench_result *r) {
    b->in_flight--;
    b->finished++;
    if (r->status != 0) b->held--; /* it had begun */
    b->last_us = r->end_us;
    if (r->error != BENCH_OK) count_error(b, r);
    else if (r->number >= (uint64_t)b->o->warmup) record(b, r);
    /* A connection that cannot be made fails at once: asking again at once would
     * be a busy loop, so the next try waits for the tick. */
    if (r->error == BENCH_CONNECT && b->o->rate == 0) b->parked++;
    else bench_room(b);
    end_if_done(b);
}

/* -- Arrivals ------------------------------------------------------------------------------ */

static void push_waiting(struct bench *b, uint64_t due) {
    if (b->waiting_len == b->waiting_cap) {
        uint64_t  cap = b->waiting_cap ? b->waiting_cap * 2 : 1024;
        uint64_t *ring = mem_alloc(cap * sizeof(*ring));
        if (ring == NULL) {
            struct bench_result lost = { .error = BENCH_CONNECT, .scheduled_us = due, .end_us = due };
            count_error(b, &lost);
            return;
        }
        for (uint64_t i = 0; i < b->waiting_len; i++) {
            ring[i] = b->waiting[(b->waiting_head + i) % b->waiting_cap];
        }
        mem_free(b->waiting);
        b->waiting = ring;
        b->waiting_cap = cap;
        b->waiting_head = 0;
    }
    b->waiting[(b->waiting_head + b->waiting_len++) % b->waiting_cap] = due;
}

static void next_arrival(struct bench *b) {
    double gap = 1e6 / b->o->rate;
    if (b->o->poisson) gap *= -log(1 - rng_double(&b->rng));
    double whole = floor(gap + b->due_part);
    b->due_part += gap - whole;
    b->due_us += (uint64_t)whole;
}

static void wind_alarm(struct bench *b) {
    uint64_t          ns = b->due_us * 1000;
    struct itimerspec t = { .it_value = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };
    timerfd_settime(b->alarm_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static bool may_arrive(const struct bench *b) {
    if (b->stopped || b->ending) return false;
    return b->o->requests == 0 || b->arrived < (uint64_t)(b->o->requests + b->o->warmup);
}

static void on_alarm(uv_poll_t *h, int status, int events) {
    struct bench *b = h->data;
    uint64_t      expirations, now = bench_now_us();
    (void)status;
    (void)events;
    if (read(b->alarm_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN) return;
    while (b->due_us <= now && may_arrive(b)) {
        push_waiting(b, b->due_us);
        b->arrived++;
        next_arrival(b);
    }
    dispatch(b);
    if (may_arrive(b)) wind_alarm(b);
    else end_if_done(b);
}

/* -- The tick ------------------------------------------------------------------------------- */

static void expire(struct bench *b, uint64_t now) {
    uint64_t limit = (uint64_t)(b->o->timeout_s * 1e6);
    if (now <= limit) return;
    bench_expire(b, now - limit);
    /* Who has waited that long for a connection is late as well. */
    while (b->waiting_len > 0 && b->waiting[b->waiting_head] < now - limit) {
        struct bench_result r = { .error = BENCH_TIMEOUT, .number = b->issued++,
                                  .scheduled_us = b->waiting[b->waiting_head], .end_us = now };
        b->waiting_head = (b->waiting_head + 1) % b->waiting_cap;
        b->waiting_len--;
        count_error(b, &r);
        b->finished++;
    }
}

static void stop_issuing(struct bench *b) {
    if (b->stopped) return;
    b->stopped = true;
    b->parked = 0;
}

void bench_begun(struct bench *b) { b->held++; }

/* All streams have begun, or as many as will: a second later memory is read. */
static void tick_hold(struct bench *b, uint64_t now) {
    uint64_t moment = (uint64_t)(b->o->duration_s * 1e6);
    bool     all = b->held + b->finished >= (uint64_t)b->o->concurrency;
    if (all && b->settle_us == 0) b->settle_us = now;
    if (b->settle_us != 0 && now - b->settle_us >= moment) end_run(b);
}

static void on_tick(uv_timer_t *t) {
    struct bench *b = t->data;
    uint64_t      now = bench_now_us();
    expire(b, now);
    if (b->ending) return;
    if (b->parked > 0) {
        b->parked = 0;
        bench_room(b);
    }
    if (now - b->shown_us >= SECOND_US) {
        int64_t rss = b->o->pid_count ? bench_pids_rss(b->o) : 0;
        if (rss > b->rss_peak) b->rss_peak = rss;
        if (b->o->progress) bench_progress(b, now);
        b->shown_us = now;
        b->shown_ok = b->ok;
        b->shown_tokens = b->tokens;
    }
    if (b->o->hold) {
        tick_hold(b, now);
    } else if (b->o->duration_s > 0 && b->measuring &&
               (double)(now - b->start_us) >= b->o->duration_s * 1e6) {
        stop_issuing(b);
    }
    end_if_done(b);
}

static void on_signal(uv_signal_t *h, int number) {
    (void)number;
    struct bench *b = h->data;
    stop_issuing(b);
    end_run(b);
}

/* -- Start ------------------------------------------------------------------------------------ */

static int resolve(struct bench *b) {
    uv_getaddrinfo_t req;
    struct addrinfo  hints = { .ai_socktype = SOCK_STREAM };
    int              rc = uv_getaddrinfo(&b->loop, &req, NULL, b->o->host, b->o->port, &hints);
    if (rc != 0) {
        fprintf(stderr, "perilune bench: cannot resolve %s: %s\n", b->o->host, uv_strerror(rc));
        return PERILUNE_ERR_IO;
    }
    memcpy(&b->address, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
    uv_freeaddrinfo(req.addrinfo);
    return 0;
}

static int start_open_loop(struct bench *b) {
    b->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (b->alarm_fd < 0 || uv_poll_init(&b->loop, &b->alarm, b->alarm_fd) != 0) {
        fprintf(stderr, "perilune bench: no timer: %s\n", strerror(errno));
        return PERILUNE_ERR_IO;
    }
    b->alarm.data = b;
    uv_poll_start(&b->alarm, UV_READABLE, on_alarm);
    b->due_us = bench_now_us();
    next_arrival(b);
    wind_alarm(b);
    return 0;
}

static int start(struct bench *b) {
    static const int numbers[2] = { SIGINT, SIGTERM };
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&b->loop, &b->signals[i]);
        b->signals[i].data = b;
        uv_signal_start(&b->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&b->loop, &b->tick);
    b->tick.data = b;
    uv_timer_start(&b->tick, on_tick, TICK_MS, TICK_MS);

    uint64_t now = bench_now_us();
    b->shown_us = now;
    b->rss_before = b->rss_peak = bench_pids_rss(b->o);
    if (b->o->warmup == 0) measure_start(b, now);
    if (b->o->rate > 0) return start_open_loop(b);
    fill(b);
    return 0;
}

static int prepare(struct bench *b) {
    list_init(&b->idle);
    list_init(&b->busy);
    hist_init(&b->ttft);
    hist_init(&b->itl);
    hist_init(&b->total);
    rng_seed(&b->rng, (uint64_t)b->o->seed);
    b->input = mem_alloc(BENCH_INPUT);
    if (b->input == NULL) return PERILUNE_ERR_NOMEM;
    int rc = bench_request_init(b);
    if (rc == PERILUNE_ERR_IO) {
        fprintf(stderr, "perilune bench: cannot read %s: %s\n", b->o->body_file, strerror(errno));
    }
    return rc;
}

static void release(struct bench *b) {
    if (b->alarm_fd >= 0) close(b->alarm_fd);
    bench_request_deinit(b);
    json_deinit(&b->doc);
    mem_free(b->input);
    mem_free(b->waiting);
}

int bench_run(struct bench *b) {
    b->alarm_fd = -1;
    if (uv_loop_init(&b->loop) != 0) return PERILUNE_ERR_NOMEM;
    int rc = prepare(b);
    if (rc == 0) rc = resolve(b);
    if (rc == 0) {
        rc = start(b);
        if (rc != 0) end_run(b);
        uv_run(&b->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&b->loop);
    release(b);
    return rc;
}
