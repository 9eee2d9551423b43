/* bench_int.h -- what the files of the load tester share.  Private to bench*.c;
 * the picture is in bench.c. */
#ifndef PERILUNE_BENCH_BENCH_INT_H
#define PERILUNE_BENCH_BENCH_INT_H

#include <uv.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/list.h"
#include "http/parse.h"
#include "llm/sse.h"
#include "bench/bench.h"
#include "bench/hist.h"

#define BENCH_INPUT      (256u << 10) /* one read */
#define BENCH_MAX_EVENT  (8u << 20)
#define BENCH_MAX_BODY   (64u << 20)  /* longer ones are counted, not validated */
#define BENCH_CONNECTING 256          /* connections that may be opening at a time */
#define BENCH_MAX_PIDS   16

/* What went wrong with a request: name in the report. */
#define BENCH_ERROR_MAP(XX)                                              \
    XX(CONNECT, "connect")         /* refused, unreachable */            \
    XX(RESET, "reset")             /* RST, or closed before the head */  \
    XX(TIMEOUT, "timeout")                                               \
    XX(STATUS, "status")           /* not 200; see status_count */       \
    XX(MALFORMED, "malformed")     /* HTTP, event or JSON that is none */\
    XX(ERROR_EVENT, "error_event") /* an error inside a 200 stream */    \
    XX(CUT, "cut")                 /* closed before the end of the body */ \
    XX(NO_DONE, "no_done")         /* a stream that ended without [DONE] */

enum bench_error {
#define XX(name, text) BENCH_##name,
    BENCH_ERROR_MAP(XX)
#undef XX
    BENCH_ERROR_COUNT,
    BENCH_OK = BENCH_ERROR_COUNT,
};

struct bench_options {
    const char *url;
    char        host[256], port[8];
    struct buf  path;
    const char *method, *model, *body_file, *only_path;
    const char *headers[64];
    size_t      header_count;
    double      rate, duration_s, timeout_s;     /* rate 0: closed loop; duration 0: by count */
    double      slo_ttft_ms, slo_total_ms;       /* 0: none */
    long        concurrency, requests, warmup, max_connections, prompt_bytes, seed;
    bool        poisson, stream, json, progress, hold, no_validate;
    int         pids[BENCH_MAX_PIDS];
    size_t      pid_count;
};

/* -- Processes measured (bench_proc.c) ---------------------------------------- */

/* CPU time used so far by all threads of pid, those that ended too, or -1. */
int64_t bench_cpu_ns(int pid);
int64_t bench_own_cpu_ns(void);
/* The sums over all --pid. */
int64_t bench_pids_cpu_ns(const struct bench_options *o);
int64_t bench_pids_rss(const struct bench_options *o);

/* -- Requests ------------------------------------------------------------------- */

/* What one request came to. */
struct bench_result {
    enum bench_error error;
    int              status;
    uint64_t         number;                 /* 0, 1, 2 ... */
    uint64_t         scheduled_us, first_us, end_us; /* first_us 0: nothing came */
    uint64_t         tokens;
};

struct bench {
    uv_loop_t             loop;
    struct bench_options *o;
    struct sockaddr_storage address;

    uv_timer_t  tick;       /* timeouts, parked issues, progress */
    uv_poll_t   alarm;      /* timerfd: the next arrival of an open loop */
    uv_signal_t signals[2];
    int         alarm_fd;

    /* Connections (bench_conn.c) */
    struct list idle;       /* most recently used first */
    struct list busy;       /* oldest request first */
    uint64_t    conn_count, connecting, in_flight;
    uint64_t    opened;     /* connections in all */
    char       *input;
    struct http_head head;
    struct json_doc  doc;
    struct buf  fixed;      /* the request, when all are the same */
    struct buf  scratch;
    struct buf  head_text;  /* up to "Content-Length: " */
    struct buf  body_text;
    bool        numbered;   /* body_text holds {{n}} */

    /* Schedule (bench_run.c) */
    struct rng  rng;
    uint64_t    due_us;     /* open loop: next arrival */
    double      due_part;   /* and its fraction of a microsecond */
    uint64_t   *waiting;    /* ring of scheduled times without a connection yet */
    uint64_t    waiting_head, waiting_len, waiting_cap;
    uint64_t    issued, arrived, finished, parked;
    bool        stopped, ending;

    /* Measurement: since start_us, requests from number warmup on */
    uint64_t    start_us, stop_us, last_us;
    uint64_t    settle_us;  /* --hold: all streams stand since then */
    int64_t     cpu_ns, own_cpu_ns, rss_before, rss_peak;
    uint64_t    cpu_spent_ns, own_spent_ns;
    uint64_t    ok, good, failed, tokens, bytes_in, held;
    uint64_t    error_count[BENCH_ERROR_COUNT], status_count[600];
    struct hist ttft, itl, total;
    bool        measuring;
    /* Progress */
    uint64_t    shown_us, shown_ok, shown_tokens;
};

uint64_t bench_now_us(void);

/* -- Connections (bench_conn.c) ---------------------------------------------------- */

/* Builds the request text from the options.  0 or PERILUNE_ERR_... */
int  bench_request_init(struct bench *b);
void bench_request_deinit(struct bench *b);
/* Sends a request on an idle or a new connection; scheduled_us is when it should
 * have left.  Ends in bench_finished(), maybe before it returns. */
void bench_issue(struct bench *b, uint64_t scheduled_us);
bool bench_has_idle(const struct bench *b);
/* Fails the requests that were scheduled before then. */
void bench_expire(struct bench *b, uint64_t before_us);
void bench_close_all(struct bench *b);

/* -- Schedule (bench_run.c) --------------------------------------------------------- */

/* Runs the whole test.  0, or PERILUNE_ERR_... with a sentence on stderr. */
int  bench_run(struct bench *b);
void bench_finished(struct bench *b, const struct bench_result *r);
/* A token came, gap_us after the one before. */
void bench_token_gap(struct bench *b, uint64_t number, uint64_t gap_us);
/* A connection was established, or ended: room for the next. */
void bench_room(struct bench *b);
/* The head of a response came. */
void bench_begun(struct bench *b);

/* -- Report (bench_report.c) ---------------------------------------------------------- */

void bench_report(const struct bench *b);
void bench_progress(struct bench *b, uint64_t now);

#endif
