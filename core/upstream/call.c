/* call.c -- one HTTP call, as a source of events.
 *
 *      NEW --start--> HEAD --head--> FIRST --mark--> EVENTS --end--> (freed)
 *                       |              |               |
 *                       +--------- deadline -----------+--> ERROR
 *
 * How the bytes travel is a transport's business (call_int.h): http1.c for HTTP/1.1,
 * transfer.c for all that needs libcurl.  Here is what a call means.
 *
 * A 2xx answer is HEAD, BYTES..., END.  Any other status is collected (up to
 * 64 KiB) and becomes one ERROR that carries the upstream's own body, so that a
 * policy sees one kind of failure whether the network or the provider failed.
 * That status stands when its body breaks off, stalls, or does not end.  A verbatim call is
 * for who reads answers of any kind: every final status is an answer, with all its header lines.
 *
 * A body that is read here and came compressed is decoded on its way; one that is only
 * passed on (unread) stays as it came, redirects included.
 *
 * Time: one timer per call.  It is armed for the earliest of the deadlines that
 * apply in the present phase and, when it fires early because an event moved
 * them, armed again: a token costs a store, not a heap operation.
 *
 * Several base URLs: the next in turn whose connection did not fail lately; when
 * a connection cannot be made nothing was sent, so the next URL is tried at once.
 *
 * A request may have a part that the upstream need not understand (call_optional).  One
 * that refuses it is asked once more without it.  When that helps, the part was at fault and not
 * the rest of the request: for an hour it is left out at once, or until a reload.
 *
 * An answer can be complete before its body is: a stream's end mark came, and the connection stays open, or
 * its last bytes come later.  Who reads it releases the call, which then waits a moment for the end by itself, so that
 * the connection is kept where it can be.
 *
 * cancel() and failures found inside a report of the transport are finished by deferred work:
 * no transport loses its exchange under its feet. */
#include "upstream/call_int.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/err_body.h"
#include "base/httpdate.h"
#include "base/log.h"
#include "flow/headers.h"
#include "http/coding.h"
#include "http/field.h"
#include "upstream/origin.h"

#define ERROR_BODY_MAX (64 * 1024) /* it is for people to read; what is longer is cut */
#define DOWN_MS        5000 /* a base URL that refused rests this long */
#define DECODE_STEP    512  /* bytes decoded at once: some of them can stand for megabytes */
#define REFUSED_MS     (60 * 60 * 1000) /* how long an upstream is not asked again for what it refused */
#define RELEASED_MS    500  /* how long a body may take to end behind its end mark, ... */
#define RELEASED_BYTES (64 * 1024) /* ... and what may still come */
#define HEADERS_MAX    8192 /* bytes of upstream headers kept for policies; lines that do not fit are left out */

/* -- Pool ----------------------------------------------------------------------- */

void call_pool_init(struct call_pool *p, struct client *c, const struct target *t) {
    *p = (struct call_pool){ .client = c, .target = t };
}

void call_pool_deinit(struct call_pool *p) {
    for (int i = 0; i < 2; i++)
        while (p->idle[i].len > 0) curl_easy_cleanup(p->idle[i].handles[--p->idle[i].len]);
    for (unsigned i = 0; i < p->target->url_count; i++) origin_put(p->origins[i]);
    memset(p->origins, 0, sizeof(p->origins));
}

static void close_when_empty(struct call_pool *p) {
    if (p->calls > 0 || p->empty == NULL) return;
    call_pool_deinit(p);
    p->empty(p->empty_ud); /* may free p */
}

void call_pool_close(struct call_pool *p, void (*empty)(void *ud), void *ud) {
    p->empty = empty;
    p->empty_ud = ud;
    close_when_empty(p);
}

void call_pool_enter(struct call_pool *p) { p->calls++; }

void call_pool_leave(struct call_pool *p) {
    p->calls--;
    close_when_empty(p);
}

/* Origins belong to the loop's thread, pools are made by another one: hence on first use. */
static const struct call_ops *transport_of(struct call_pool *p, unsigned url) {
    const struct target *t = p->target;
    if (p->client->player != NULL) return &played_ops;
    bool tls = origin_is_tls(t->urls[url]);
    bool proxy = t->proxy != NULL || (p->client->env_proxy && t->reach == NULL);
    if (p->origins[url] == NULL && !p->asked[url] && !proxy && !(tls && t->http2))
        p->origins[url] = origin_take(p->client, t->urls[url], tls ? client_tls(p->client, t) : NULL, t->reach,
                                      &p->paths[url]);
    p->asked[url] = true;
    return p->origins[url] ? &http1_ops : &transfer_ops;
}

struct origin *call_pool_origin(struct call_pool *p, unsigned url) {
    transport_of(p, url);
    return p->origins[url];
}

/* -- The end ---------------------------------------------------------------------- */

static void detach(struct call *c) {
    if (c->ops != NULL) {
        c->ops->stop(c);
        atomic_fetch_sub_explicit(&c->pool->target->health->in_flight, 1, memory_order_relaxed);
    }
    c->ops = NULL;
    timer_stop(call_loop(c), &c->watch);
    c->phase = CALL_OVER;
}

static void call_free(struct call *c) {
    detach(c);
    list_remove(&c->link);
    deferred_cancel(&c->finish);
    if (c->failure != NULL) failure_deinit(c->failure);
    mem_free(c->failure);
    blob_put(c->body);
    buf_deinit(&c->head);
    buf_deinit(&c->collected);
    decoder_free(c->decoder);
    if (c->over != NULL) c->over(c->over_ud);
    struct call_pool *p = c->pool;
    mem_free(c);
    call_pool_leave(p);
}

static void note_time(const struct call *c, struct histogram *h) {
    histogram_record_shared(h, loop_hrtime_us() - c->started_us);
}

/* Last event; frees c.  Takes f's content. */
static void end_with(struct call *c, struct failure *f) {
    struct sink *sink = c->sink;
    struct event ev = { .type = EVENT_END };
    if (f != NULL && failure_is_set(f)) {
        bool answered = f->kind == FAILURE_UPSTREAM_STATUS; /* it says itself whether to try again */
        if (c->costs && c->sent && !answered) failure_forbid_repeat(f);
        ev.type = EVENT_ERROR;
        ev.failure = f;
        target_count_failure(c->pool->target->health, f);
    } else {
        note_time(c, &c->pool->target->health->whole);
    }
    detach(c);
    c->in_callback = true;
    sink->event(sink, &ev);
    if (f != NULL) failure_deinit(f);
    call_free(c);
}

static void finish_job(struct deferred *j) {
    struct call *c = container_of(j, struct call, finish);
    struct failure f;
    failure_init(&f);
    if (!c->cancelled && !c->released) {
        if (c->failure) failure_move(&f, c->failure);
        else failure_set(&f, FAILURE_NO_MEMORY, "out of memory while reading from the upstream");
        end_with(c, &f);
        return;
    }
    call_free(c);
}

/* From inside a report: remember, let the transport unwind, finish in this turn. */
static void fail_later(struct call *c, enum failure_kind kind, const char *message) {
    if (c->phase == CALL_OVER) return;
    c->phase = CALL_OVER;
    if (c->failure == NULL) c->failure = mem_zalloc(sizeof(*c->failure));
    if (c->failure != NULL)
        failure_set(c->failure, kind, "the upstream failed: %s", message);
    loop_soon(call_loop(c), &c->finish, finish_job);
}

static void call_cancel(struct source *s) {
    struct call *c = container_of(s, struct call, source);
    c->cancelled = true;
    if (c->in_callback) {
        c->phase = CALL_OVER;
        loop_soon(call_loop(c), &c->finish, finish_job);
    } else {
        call_free(c);
    }
}

void call_drop_released(struct client *client) {
    while (!list_is_empty(&client->released)) call_free(container_of(client->released.next, struct call, link));
}

/* -- Deadlines ----------------------------------------------------------------------- */

static uint64_t earlier(uint64_t at, uint64_t from, uint64_t wait_ms) {
    return wait_ms != 0 && from + wait_ms < at ? from + wait_ms : at;
}

/* The head of a stream comes at once; that of a whole answer when the answer is complete, and
 * timeouts.total says how long that may take. */
static bool waits_for_head(const struct call *c) { return c->phase == CALL_HEAD && c->stream; }

/* There is no connection yet. */
static bool is_unsent(const struct call *c) {
    return c->dial != NULL || (c->transfer != NULL && !c->sent && c->status == 0);
}

static uint64_t expires_at(const struct call *c) {
    uint64_t at = c->deadline_ms ? c->deadline_ms : UINT64_MAX;
    at = earlier(at, c->started_ms, c->timeouts.total_ms);
    if (waits_for_head(c)) at = earlier(at, c->started_ms, c->timeouts.headers_ms);
    if (c->phase == CALL_HEAD || c->phase == CALL_FIRST)
        at = earlier(at, c->started_ms, c->timeouts.first_token_ms);
    if (c->phase == CALL_EVENTS && !c->paused) at = earlier(at, c->phase_ms, c->timeouts.idle_ms);
    return at;
}

static bool has_failed(const struct call *c);
static void failure_from_status(struct call *c, struct failure *f);

static void timed_out(struct call *c, uint64_t now) {
    if (c->released) {
        call_free(c);
        return;
    }
    const char *what = "did not finish in time (timeouts.total)";
    enum failure_kind kind = FAILURE_TIMEOUT;
    if (c->deadline_ms && now >= c->deadline_ms) {
        what = "did not answer before the request's deadline";
        kind = FAILURE_DEADLINE;
    } else if (c->timeouts.total_ms && now >= c->started_ms + c->timeouts.total_ms) {
        /* as said */
    } else if (waits_for_head(c) && c->timeouts.headers_ms && now >= c->started_ms + c->timeouts.headers_ms) {
        what = "sent no response head in time (timeouts.headers)";
    } else if (c->phase == CALL_EVENTS) {
        what = "sent nothing for too long (timeouts.idle)";
    } else {
        what = "sent no first token in time (timeouts.first_token)";
    }
    struct failure f;
    failure_init(&f);
    if (has_failed(c)) failure_from_status(c, &f);
    else failure_set(&f, kind, "the upstream %s", what);
    f.unsent = is_unsent(c);
    end_with(c, &f);
}

static void watch_fired(struct timer *t) {
    struct call *c = container_of(t, struct call, watch);
    uint64_t now = loop_now(call_loop(c)), at = expires_at(c);
    if (now >= at) timed_out(c, now);
    else if (at != UINT64_MAX) timer_start(call_loop(c), t, at - now, watch_fired);
}

/* Call after anything that may bring a deadline nearer. */
static void watch_again(struct call *c) {
    uint64_t at = expires_at(c), now = loop_now(call_loop(c));
    if (at == UINT64_MAX || (timer_is_running(&c->watch) && c->watch.at_ms <= at)) return;
    if (timer_start(call_loop(c), &c->watch, at > now ? at - now : 0, watch_fired) != 0)
        fail_later(c, FAILURE_NO_MEMORY, "out of memory");
}

static void mark(struct call *c) {
    if (c->phase == CALL_OVER) return;
    bool first = c->phase != CALL_EVENTS;
    c->phase = CALL_EVENTS;
    c->phase_ms = loop_now(call_loop(c));
    if (first) watch_again(c);
}

static enum flow nobody_hears(struct sink *k, const struct event *ev) {
    (void)k;
    (void)ev;
    return FLOW_MORE;
}

static void call_release(struct source *s) {
    static const struct sink nobody = { nobody_hears };
    struct call *c = container_of(s, struct call, source);
    if (call_is_over(c)) {
        call_cancel(s);
        return;
    }
    note_time(c, &c->pool->target->health->whole);
    c->released = true;
    c->sink = (struct sink *)(uintptr_t)&nobody;
    c->length = 0; /* from here on, of what came behind the end mark */
    c->timeouts = (struct target_timeouts){ .connect_ms = 0 };
    c->deadline_ms = loop_now(call_loop(c)) + RELEASED_MS;
    list_append(&c->pool->client->released, &c->link);
    if (c->over != NULL) c->over(c->over_ud);
    c->over = NULL;
    watch_again(c);
}

static void call_mark(struct source *s) { mark(container_of(s, struct call, source)); }

/* -- Receiving ------------------------------------------------------------------------- */

static bool is_kept(struct slice name) {
    static const struct slice kept[] = { SLICE("content-type"), SLICE("retry-after"), SLICE("retry-after-ms"),
                                         SLICE("x-request-id"), SLICE("openai-processing-ms"),
                                         SLICE("content-encoding"), SLICE("x-should-retry"),
                                         SLICE("cache-control") };
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        if (slice_eq_nocase(name, kept[i])) return true;
    return name.len > 12 && strncasecmp(name.ptr, "x-ratelimit-", 12) == 0;
}

static bool is_wanted(const struct call *c, struct slice name) {
    /* An error's own clock: Retry-After may be a date. */
    bool clock = c->status >= 300 && slice_eq_nocase(name, SLICE("date"));
    return c->verbatim || clock || is_kept(name) || headers_list_has(&c->pool->target->pass_headers, name);
}

static struct slice header(const struct call *c, struct slice name) { return headers_find(buf_get(&c->head), name); }

/* A number of at most nine digits; 0 when it is none. */
static unsigned digits(struct slice s) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return n;
}

void call_on_status(struct call *c, int status) {
    c->sent = true; /* or enough of it */
    c->status = status;
    c->has_length = false;
    buf_clear(&c->head);
}

void call_on_field(struct call *c, struct slice name, struct slice value) {
    if (name.len == 14 && value.len <= 9 && slice_eq_nocase(name, SLICE("content-length"))) {
        c->has_length = true;
        c->length = digits(value);
        if (!c->verbatim) return; /* who frames the reply says its length */
    }
    if (!is_wanted(c, name) || buf_len(&c->head) + name.len + value.len + 4 > HEADERS_MAX) return;
    if (http_field_problem(name, value) != NULL) { /* to some reader of ours it would be two headers */
        fail_later(c, FAILURE_MALFORMED, "the upstream sent a header with a control byte in it");
        return;
    }
    char number[24];
    if (!c->verbatim && slice_eq_nocase(name, SLICE("retry-after-ms"))) {
        /* Clients get this line: a wait that is none (-1) would be slept by some of them. */
        int64_t ms = httpdate_wait_ms(value);
        if (ms < 0) return;
        snprintf(number, sizeof(number), "%lld", (long long)ms);
        value = slice_str(number);
    }
    headers_put(&c->head, name, value);
}

/* A redirect, or "not modified", is for who asked; where we read the answer it is none. */
static bool is_good(const struct call *c) {
    return c->status >= 200 && (c->verbatim || c->status < (c->unread ? 400 : 300));
}

static bool has_no_body(const struct call *c) {
    return c->status == 204 || c->status == 304 || slice_eq(c->method, SLICE("HEAD"));
}

/* Of all lines that say one, which are a list; the list goes to `words`. */
static enum coding coding_said(const struct call *c, char *words, size_t size) {
    enum coding coding = CODING_NONE;
    struct slice block = buf_get(&c->head), name, value;
    size_t n = 0;
    words[0] = '\0';
    while (headers_next(&block, &name, &value)) {
        if (!slice_eq_nocase(name, SLICE("content-encoding"))) continue;
        coding = coding_over(coding, coding_of(value));
        if (n >= size) continue;
        n += (size_t)snprintf(words + n, size - n, "%s%.*s", n > 0 ? ", " : "", (int)value.len, value.ptr);
    }
    return coding;
}

/* A body that is read here is decoded, although nothing but identity was asked for; one that is
 * passed on stays as it is, and its header goes with it.  Who reads verbatim sees that header, and
 * may know a coding that we do not. */
static void expect_coding(struct call *c) {
    char said[41];
    enum coding coding = coding_said(c, said, sizeof(said));
    if (coding == CODING_NONE || has_no_body(c) || (c->unread && is_good(c))) return;
    if (coding == CODING_UNKNOWN && c->verbatim) return;
    c->has_length = false; /* it is that of the coded body */
    headers_drop(&c->head, SLICE("content-length"));
    c->unreadable = coding == CODING_UNKNOWN;
    if (c->unreadable && is_good(c)) {
        char why[160];
        snprintf(why, sizeof(why), "its answer is coded (content-encoding: %s), which was not asked for; only "
                 CODINGS_KNOWN " can be read", said);
        fail_later(c, FAILURE_MALFORMED, why);
    }
    if (c->unreadable) return;
    uint64_t most = !is_good(c) ? ERROR_BODY_MAX : c->stream ? SIZE_MAX : c->pool->target->max_answer;
    c->decoder = decoder_new(coding, (size_t)most);
    if (c->decoder == NULL) fail_later(c, FAILURE_NO_MEMORY, "out of memory");
    while (header(c, SLICE("content-encoding")).ptr != NULL) headers_drop(&c->head, SLICE("content-encoding"));
}

/* All calls leave it out from now on; the first one says so. */
static void remember_refusal(struct call *c) {
    const struct target *t = c->pool->target;
    struct log *log = c->pool->client->log;
    uint64_t now = loop_now(call_loop(c));
    uint64_t was = atomic_exchange_explicit(&t->health->refused_until_ms, now + REFUSED_MS, memory_order_relaxed);
    if (was > now || log == NULL || !log_wants(log, PERILUNE_LOG_WARN)) return;
    struct buf line;
    buf_init(&line, 0);
    log_begin(&line, PERILUNE_LOG_WARN, "the upstream refuses a part of requests that it need not understand: it is "
                                        "left out for an hour (usage = \"leave\" saves the first try)");
    log_str(&line, "upstream", slice_str(t->name));
    log_str(&line, "part", slice_str(c->optional.words[0]));
    log_end(log, PERILUNE_LOG_WARN, &line);
    buf_deinit(&line);
}

void call_on_head_end(struct call *c) {
    c->phase = CALL_FIRST;
    c->phase_ms = loop_now(call_loop(c));
    note_time(c, &c->pool->target->health->head);
    watch_again(c);
    expect_coding(c);
    if (c->without && c->status >= 200 && c->status < 300) remember_refusal(c);
}

/* The head said so; whatever becomes of the body, this is the answer. */
static bool has_failed(const struct call *c) { return c->phase == CALL_FIRST && !is_good(c); }

/* An error body that is as long as one may be, and may have no end: it is over now. */
static void enough(struct call *c) {
    if (c->failure == NULL) c->failure = mem_zalloc(sizeof(*c->failure));
    if (c->failure != NULL) failure_from_status(c, c->failure);
    c->phase = CALL_OVER;
    loop_soon(call_loop(c), &c->finish, finish_job);
}

static enum flow send_head(struct call *c) {
    c->headed = true;
    struct event ev = { .type = EVENT_HEAD, .status = c->status,
                        .content_type = header(c, SLICE("content-type")), .headers = buf_get(&c->head),
                        .has_length = c->has_length, .length = c->length };
    return c->sink->event(c->sink, &ev);
}

static void collect(struct call *c, struct slice s, size_t limit) {
    if (buf_len(&c->collected) + s.len > limit) {
        if (is_good(c)) fail_later(c, FAILURE_ANSWER_TOO_LARGE, "its answer is over max_body");
        else enough(c);
        return;
    }
    if (c->has_length && c->collected.cap == 0 && c->length <= limit) buf_reserve(&c->collected, (size_t)c->length);
    buf_slice(&c->collected, s);
    if (buf_failed(&c->collected)) fail_later(c, FAILURE_NO_MEMORY, "out of memory");
}

/* Behind the end mark: an end of the body is waited for, more of it is not. */
static void drain(struct call *c, size_t n) {
    c->length += n;
    if (c->length <= RELEASED_BYTES) return;
    c->phase = CALL_OVER;
    loop_soon(call_loop(c), &c->finish, finish_job);
}

static enum flow on_plain(struct call *c, struct slice s) {
    if (c->released) {
        drain(c, s.len);
        return FLOW_MORE;
    }
    if (!is_good(c)) {
        collect(c, s, ERROR_BODY_MAX);
        return FLOW_MORE;
    }
    if (c->whole) {
        mark(c);
        collect(c, s, c->pool->target->max_answer);
        return FLOW_MORE;
    }
    if (c->unread) mark(c);
    /* A comment is a sign of life, too, but no first token. */
    if (c->phase == CALL_EVENTS) c->phase_ms = loop_now(call_loop(c));
    c->in_callback = true;
    enum flow flow = FLOW_MORE;
    if (!c->headed) flow = send_head(c);
    if (!call_is_over(c)) {
        struct event ev = { .type = EVENT_BYTES, .raw = s };
        if (c->sink->event(c->sink, &ev) == FLOW_FULL) flow = FLOW_FULL;
    }
    c->in_callback = false;
    if (c->released) flow = FLOW_MORE;
    if (flow == FLOW_FULL) c->paused = true;
    return flow;
}

static void decoding_failed(struct call *c, int rc) {
    if (call_is_over(c)) return;
    if (!is_good(c)) { /* the status stands; what it says is lost, or enough of it is there */
        c->unreadable = true;
        if (rc != PERILUNE_ERR_LIMITED) buf_deinit(&c->collected);
    } else if (rc == PERILUNE_ERR_LIMITED) {
        fail_later(c, FAILURE_ANSWER_TOO_LARGE, "its answer is over max_body");
    } else if (rc == PERILUNE_ERR_NOMEM) {
        fail_later(c, FAILURE_NO_MEMORY, "out of memory");
    } else {
        fail_later(c, FAILURE_MALFORMED, "its answer is not coded as its content-encoding says");
    }
}

static enum flow decode(struct call *c, struct slice s) {
    enum flow flow = FLOW_MORE;
    while (s.len > 0 && !call_is_over(c) && !c->unreadable) {
        size_t n = s.len < DECODE_STEP ? s.len : DECODE_STEP;
        struct buf out;
        buf_init(&out, 0);
        int rc = decoder_feed(c->decoder, slice_of(s.ptr, n), &out);
        if (buf_len(&out) > 0 && on_plain(c, buf_get(&out)) == FLOW_FULL) flow = FLOW_FULL;
        buf_deinit(&out);
        if (rc != 0) decoding_failed(c, rc);
        s = slice_of(s.ptr + n, s.len - n);
    }
    return flow;
}

enum flow call_on_body(struct call *c, struct slice s) {
    if (c->unreadable) return FLOW_MORE;
    return c->decoder ? decode(c, s) : on_plain(c, s);
}

static void call_resume(struct source *s) {
    struct call *c = container_of(s, struct call, source);
    if (!c->paused || call_is_over(c)) return;
    c->paused = false;
    c->phase_ms = loop_now(call_loop(c));
    watch_again(c);
    c->ops->resume(c); /* may report body at once */
}

/* -- Results ------------------------------------------------------------------------------ */

static void retry_after(const struct call *c, struct failure *f) {
    struct retry_after h = { header(c, SLICE("retry-after-ms")), header(c, SLICE("retry-after")),
                             header(c, SLICE("date")) };
    f->retry_after_ms = httpdate_retry_after(&h, clock_wall_s());
}

/* A 429 without a Retry-After tells when its limits are lifted, maybe: the latest of those that are used up. */
static void limits_lifted(const struct call *c, struct failure *f) {
    static const struct { const char *left, *reset; } limits[] = {
        { "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests" },
        { "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens" },
        { "x-ratelimit-remaining", "x-ratelimit-reset" } };
    if (f->retry_after_ms != 0 || c->status != 429) return;
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct slice left = header(c, slice_str(limits[i].left));
        uint32_t ms = httpdate_reset(header(c, slice_str(limits[i].reset)), clock_wall_s());
        bool used_up = left.len == 0 || slice_eq(slice_trim(left), SLICE("0"));
        if (used_up && ms > f->retry_after_ms) f->retry_after_ms = ms;
    }
}

/* The upstream knows better than its status says, when it says so. */
static void should_retry(const struct call *c, struct failure *f) {
    struct slice said = header(c, SLICE("x-should-retry"));
    if (slice_eq_nocase(said, SLICE("true"))) f->retryable = true;
    if (slice_eq_nocase(said, SLICE("false"))) f->retryable = false;
}

/* Lines for the client.  What does not fit in memory is left out. */
static void pass_headers(const struct call *c, struct failure *f) {
    struct slice all = buf_get(&c->head), name, value;
    while (headers_next(&all, &name, &value))
        if (headers_list_has(&c->pool->target->pass_headers, name)) headers_put(&f->headers, name, value);
    if (buf_failed(&f->headers)) buf_deinit(&f->headers);
}

static void failure_from_status(struct call *c, struct failure *f) {
    err_body_status(f, c->status);
    retry_after(c, f);
    limits_lifted(c, f);
    pass_headers(c, f);
    err_body_add(f, buf_get(&c->collected));
    should_retry(c, f);
    struct buf tmp = c->collected;
    c->collected = f->body;
    f->body = tmp;
}

static int attach(struct call *c);

/* The next base URL, when the connection to this one could not be made. */
static bool try_next_url(struct call *c) {
    struct target_health *h = c->pool->target->health;
    uint64_t now = loop_now(call_loop(c));
    atomic_store_explicit(&h->down_until_ms[c->url], now + DOWN_MS, memory_order_relaxed);
    if (c->tried >= c->pool->target->url_count || now >= expires_at(c)) return false;
    atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed);
    c->ops = NULL;
    return attach(c) == 0;
}

static bool refuses_optional(const struct call *c) {
    if (c->optional.len == 0 || (c->status != 400 && c->status != 422)) return false;
    return err_body_names(buf_get(&c->collected), c->optional.words,
                          sizeof(c->optional.words) / sizeof(*c->optional.words));
}

int call_join_body(struct call *c) {
    struct blob *whole = c->body ? blob_whole(c->body) : NULL;
    if (c->body != NULL && whole == NULL) return PERILUNE_ERR_NOMEM;
    blob_put(c->body);
    c->body = whole;
    return 0;
}

void call_drop_body(struct call *c) {
    blob_put(c->body);
    c->body = NULL;
}

/* The same request once more, without what the upstream does not understand. */
static bool try_without_optional(struct call *c) {
    struct call_optional o = c->optional;
    if (!refuses_optional(c) || loop_now(call_loop(c)) >= expires_at(c) || call_join_body(c) != 0) return false;
    struct slice body = blob_get(c->body);
    struct buf out;
    buf_init(&out, 0);
    buf_reserve(&out, body.len + 8);
    buf_put(&out, body.ptr, o.at);
    buf_puts(&out, o.instead);
    buf_put(&out, body.ptr + o.at + o.len, body.len - o.at - o.len);
    struct blob *without = blob_take(&out);
    if (without == NULL) return false; /* its refusal is an answer, too */
    blob_put(c->body);
    c->body = without;
    c->optional.len = 0;
    c->without = true;
    c->status = 0;
    decoder_free(c->decoder);
    c->decoder = NULL;
    c->unreadable = false;
    buf_deinit(&c->collected);
    atomic_fetch_sub_explicit(&c->pool->target->health->in_flight, 1, memory_order_relaxed);
    c->ops = NULL;
    c->tried--;
    return attach(c) == 0;
}

/* What is held until now, because the whole was to come first. */
static void deliver_held(struct call *c) {
    c->in_callback = true; /* a cancel in there must not free c under us */
    send_head(c);
    if (!call_is_over(c) && buf_len(&c->collected) > 0) {
        struct event ev = { .type = EVENT_BYTES, .raw = buf_get(&c->collected) };
        c->sink->event(c->sink, &ev);
    }
    c->in_callback = false;
}

/* What TLS and libcurl say names hosts, addresses and settings. */
static void failure_of_end(const struct call_end *end, struct failure *f) {
    if (end->kind == FAILURE_TLS) failure_set(f, end->kind, "there is no secure connection to the upstream");
    else failure_set(f, end->kind, "the upstream failed: %s", end->why);
    if (end->detail != NULL) failure_explain(f, end->detail);
    else if (end->kind == FAILURE_TLS) failure_explain(f, end->why);
}

void call_on_end(struct call *c, const struct call_end *end) {
    if (call_is_over(c)) return; /* finish_job is on its way */
    if (c->released) {
        call_free(c);
        return;
    }
    if (end->unsent && try_next_url(c)) return;
    if (end->kind == FAILURE_RESET && end->at_once) c->sent = false;
    if (end->kind == FAILURE_NONE && try_without_optional(c)) return;
    struct failure f;
    failure_init(&f);
    if (end->kind != FAILURE_NONE && !has_failed(c)) {
        failure_of_end(end, &f);
        f.unsent = end->unsent;
    } else if (!is_good(c)) {
        failure_from_status(c, &f);
    } else if (c->decoder != NULL && decoder_end(c->decoder) != 0) {
        failure_set(&f, FAILURE_TRUNCATED, "the upstream failed: its compressed answer broke off");
    } else if (!c->headed) {
        deliver_held(c);
        if (call_is_over(c)) return;
    }
    end_with(c, &f);
}

/* -- Starting -------------------------------------------------------------------------------- */

static unsigned choose_url(struct call *c) {
    const struct target *t = c->pool->target;
    if (t->url_count == 1) return 0;
    uint64_t now = loop_now(call_loop(c));
    unsigned first = atomic_fetch_add_explicit(&t->health->next_url, 1, memory_order_relaxed);
    for (unsigned i = 0; i < t->url_count; i++) {
        unsigned u = (first + i) % t->url_count;
        if (atomic_load_explicit(&t->health->down_until_ms[u], memory_order_relaxed) <= now) return u;
    }
    return first % t->url_count; /* all rest: one must be tried */
}

static int attach(struct call *c) {
    c->tried++;
    c->url = choose_url(c);
    c->ops = transport_of(c->pool, c->url);
    atomic_fetch_add_explicit(&c->pool->target->health->in_flight, 1, memory_order_relaxed);
    c->phase = CALL_HEAD;
    c->sent = false;
    return c->ops->start(c);
}

static void call_start(struct source *s, struct sink *to) {
    struct call *c = container_of(s, struct call, source);
    c->sink = to;
    c->started_ms = c->phase_ms = loop_now(call_loop(c));
    c->started_us = loop_hrtime_us();
    atomic_fetch_add_explicit(&c->pool->target->health->calls, 1, memory_order_relaxed);
    if (attach(c) != 0) fail_later(c, FAILURE_NO_MEMORY, "out of memory");
    else watch_again(c);
}

/* -- Making ------------------------------------------------------------------------------------ */

static void put_fields(struct buf *b, const struct call_options *opt) {
    const struct target *t = opt->pool->target;
    bool accept = false, encoding = false;
    for (unsigned i = 0; i < opt->header_count; i++) {
        accept |= slice_eq_nocase(opt->headers[i].name, SLICE("accept"));
        encoding |= slice_eq_nocase(opt->headers[i].name, SLICE("accept-encoding"));
        headers_put(b, opt->headers[i].name, opt->headers[i].value);
    }
    if (!accept) buf_puts(b, "Accept: */*\r\n");
    for (unsigned i = 0; i < t->header_count; i++) {
        encoding |= strncasecmp(t->headers[i], "accept-encoding:", 16) == 0;
        buf_puts(b, t->headers[i]);
        buf_puts(b, "\r\n");
    }
    /* Without it, any coding is welcome (RFC 9110 12.5.3). */
    if (!encoding) buf_puts(b, "Accept-Encoding: identity\r\n");
    struct slice key = opt->key.len ? opt->key : slice_str(t->key);
    if (key.len == 0) return;
    buf_puts(b, "Authorization: Bearer ");
    buf_slice(b, key);
    buf_puts(b, "\r\n");
}

/* Method, path and fields, one behind the other, for the call to keep. */
static struct call *call_with_text(const struct call_options *opt) {
    struct buf *b = &opt->pool->client->out;
    buf_clear(b);
    buf_slice(b, opt->method);
    buf_putc(b, '\0');
    buf_slice(b, opt->path);
    buf_putc(b, '\0');
    put_fields(b, opt);
    struct slice text = buf_get(b);
    struct call *c = buf_failed(b) ? NULL : mem_alloc(sizeof(*c) + text.len);
    if (c == NULL) return NULL;
    memset(c, 0, sizeof(*c));
    memcpy(c->text, text.ptr, text.len);
    c->method = slice_of(c->text, opt->method.len);
    c->path = slice_of(c->text + opt->method.len + 1, opt->path.len);
    size_t before = opt->method.len + opt->path.len + 2;
    c->fields = slice_of(c->text + before, text.len - before);
    return c;
}

static const char *call_describe(const struct source *s, char *buf, size_t size) {
    static const char *const waits[] = { "start", "response head", "first token", "next event", "end" };
    const struct call *c = container_of((struct source *)(uintptr_t)s, struct call, source);
    snprintf(buf, size, "upstream %s: %s", c->pool->target->name, c->paused ? "the client" : waits[c->phase]);
    return buf;
}

static bool call_is_unsent(const struct source *s) {
    return is_unsent(container_of((struct source *)(uintptr_t)s, struct call, source));
}

static const struct source_ops source_ops = { call_start, call_resume, call_cancel, call_mark, call_describe,
                                               call_release, call_is_unsent };

struct source *call_new(const struct call_options *opt) {
    struct call *c = call_with_text(opt);
    if (c == NULL) return NULL;
    c->source.ops = &source_ops;
    list_init(&c->link);
    c->pool = opt->pool;
    call_pool_enter(c->pool);
    buf_init(&c->head, 0);
    buf_init(&c->collected, 0);
    c->timeouts = opt->timeouts;
    c->deadline_ms = opt->deadline_ms;
    c->over = opt->over;
    c->over_ud = opt->over_ud;
    c->whole = opt->whole;
    c->unread = opt->unread;
    c->costs = opt->costs;
    c->verbatim = opt->verbatim;
    c->body = blob_ref(opt->body);
    c->optional = opt->optional;
    c->stream = opt->stream;
    return &c->source;
}
