/* call.c -- one HTTP call, as a source of events.
 *
 *      NEW --start--> CONNECTING/SENDING --head--> BODY --curl done--> (freed)
 *                          |                        |
 *                          +------ deadline --------+--> ERROR
 *
 * A 2xx answer is HEAD, BYTES..., END.  Any other status is collected (up to
 * 64 KiB) and becomes one ERROR that carries the upstream's own body, so that a
 * policy sees one kind of failure whether the network or the provider failed.
 *
 * Time: one timer per call.  It is armed for the earliest of the deadlines that
 * apply in the present phase and, when it fires early because an event moved
 * them, armed again: a token costs a store, not a heap operation.
 *
 * Several base URLs: the next in turn whose connection did not fail lately; when
 * a connection cannot be made nothing was sent, so the next URL is tried at once.
 *
 * Easy handles are kept per target with all constant options set; a call changes
 * URL, body and headers.  Nobody removes a handle inside one of its callbacks:
 * cancel() and failures found there are finished by a job. */
#include "upstream/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define ERROR_BODY_MAX (64 * 1024)
#define STREAM_BUFFER  4096L  /* some twenty tokens */
#define WHOLE_BUFFER   65536L /* an answer in few reads */
#define DOWN_MS        5000 /* a base URL that refused rests this long */
#define HEADERS_MAX    8192 /* bytes of upstream headers kept for policies */

enum phase { PHASE_NEW, PHASE_HEAD, PHASE_FIRST, PHASE_EVENTS, PHASE_OVER };

struct call {
    struct source       source;
    struct sink        *sink;
    struct call_pool   *pool;
    CURL               *easy;
    struct arena        arena;   /* URL, header lines */
    struct curl_slist  *headers; /* in the arena */
    struct slice        method, path;
    struct blob        *body;
    struct buf          head;    /* interesting response headers, "name: value\n" */
    struct buf          collected;
    struct slice        content_type;
    struct timer        watch;
    struct job          finish;
    struct target_timeouts timeouts;
    uint64_t            deadline_ms, started_ms, phase_ms; /* loop clock */
    struct failure     *failure; /* found inside a callback */
    enum phase          phase;
    unsigned            url, tried;
    int                 status, retry_after;
    bool                stream, whole, headed, paused, in_callback, cancelled, added;
    char                error[CURL_ERROR_SIZE]; /* curl's sentence */
};

static struct loop *loop_of(const struct call *c) { return c->pool->multi->loop; }

/* -- Pool ----------------------------------------------------------------------- */

static size_t on_body(char *ptr, size_t size, size_t n, void *ud);
static size_t on_header(char *ptr, size_t size, size_t n, void *ud);

void call_pool_init(struct call_pool *p, struct multi *m, const struct target *t) {
    *p = (struct call_pool){ .multi = m, .target = t };
}

void call_pool_deinit(struct call_pool *p) {
    for (int i = 0; i < 2; i++)
        while (p->idle[i].len > 0) curl_easy_cleanup(p->idle[i].handles[--p->idle[i].len]);
}

static bool proxy_in_environment(void) {
    static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0') return true;
    }
    return false;
}

static CURL *easy_new(struct call_pool *p, bool stream) {
    const struct target *t = p->target;
    CURL *e = curl_easy_init();
    if (e == NULL) return NULL;
    multi_prepare(p->multi, e);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, stream ? STREAM_BUFFER : WHOLE_BUFFER);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     t->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    if (t->http2) curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
    /* "" keeps curl from asking the environment anew for every call. */
    if (t->proxy || !proxy_in_environment()) curl_easy_setopt(e, CURLOPT_PROXY, t->proxy ? t->proxy : "");
    if (t->ca) curl_easy_setopt(e, CURLOPT_CAINFO, t->ca);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)t->timeouts.connect_ms);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    return e;
}

static CURL *easy_get(struct call_pool *p, bool stream) {
    struct call_idle *i = &p->idle[!stream];
    return i->len > 0 ? i->handles[--i->len] : easy_new(p, stream);
}

static void easy_put(struct call_pool *p, bool stream, CURL *e) {
    struct call_idle *i = &p->idle[!stream];
    if (i->len < sizeof(i->handles) / sizeof(*i->handles)) i->handles[i->len++] = e;
    else curl_easy_cleanup(e);
}

/* -- The end ---------------------------------------------------------------------- */

static void detach(struct call *c) {
    if (c->added) {
        multi_remove(c->pool->multi, c->easy);
        atomic_fetch_sub_explicit(&c->pool->target->health->in_flight, 1, memory_order_relaxed);
    }
    c->added = false;
    timer_stop(loop_of(c), &c->watch);
    c->phase = PHASE_OVER;
}

static void call_free(struct call *c) {
    detach(c);
    job_cancel(loop_of(c), &c->finish);
    if (c->easy != NULL) {
        curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
        easy_put(c->pool, c->stream, c->easy);
    }
    if (c->failure != NULL) failure_deinit(c->failure);
    mem_free(c->failure);
    blob_put(c->body);
    buf_deinit(&c->head);
    buf_deinit(&c->collected);
    arena_deinit(&c->arena);
    mem_free(c);
}

/* Last event; frees c.  Takes f's content. */
static void end_with(struct call *c, struct failure *f) {
    struct sink *sink = c->sink;
    struct event ev = { .type = EVENT_END };
    if (f != NULL && failure_is_set(f)) {
        ev.type = EVENT_ERROR;
        ev.failure = f;
        atomic_fetch_add_explicit(&c->pool->target->health->failures, 1, memory_order_relaxed);
    }
    detach(c);
    c->in_callback = true;
    sink->event(sink, &ev);
    if (f != NULL) failure_deinit(f);
    call_free(c);
}

static void finish_job(struct job *j) {
    struct call *c = container_of(j, struct call, finish);
    struct failure f;
    failure_init(&f);
    if (!c->cancelled) {
        if (c->failure) failure_move(&f, c->failure);
        else failure_set(&f, FAILURE_NO_MEMORY, "out of memory while reading from the upstream");
        end_with(c, &f);
        return;
    }
    call_free(c);
}

/* From inside a curl callback: remember, let curl unwind, finish in this turn. */
static void fail_later(struct call *c, enum failure_kind kind, const char *message) {
    if (c->phase == PHASE_OVER) return;
    c->phase = PHASE_OVER;
    if (c->failure == NULL) c->failure = mem_zalloc(sizeof(*c->failure));
    if (c->failure != NULL)
        failure_set(c->failure, kind, "upstream '%s': %s", c->pool->target->name, message);
    loop_soon(loop_of(c), &c->finish, finish_job);
}

static void call_cancel(struct source *s) {
    struct call *c = container_of(s, struct call, source);
    c->cancelled = true;
    if (c->in_callback) {
        c->phase = PHASE_OVER;
        loop_soon(loop_of(c), &c->finish, finish_job);
    } else {
        call_free(c);
    }
}

/* -- Deadlines ----------------------------------------------------------------------- */

static uint64_t earlier(uint64_t at, uint64_t from, uint64_t wait_ms) {
    return wait_ms != 0 && from + wait_ms < at ? from + wait_ms : at;
}

static uint64_t expires_at(const struct call *c) {
    uint64_t at = c->deadline_ms ? c->deadline_ms : UINT64_MAX;
    at = earlier(at, c->started_ms, c->timeouts.total_ms);
    if (c->phase == PHASE_HEAD) at = earlier(at, c->started_ms, c->timeouts.headers_ms);
    if (c->phase == PHASE_HEAD || c->phase == PHASE_FIRST)
        at = earlier(at, c->started_ms, c->timeouts.first_token_ms);
    if (c->phase == PHASE_EVENTS && !c->paused) at = earlier(at, c->phase_ms, c->timeouts.idle_ms);
    return at;
}

static void timed_out(struct call *c, uint64_t now) {
    const char *what = "did not finish in time (timeouts.total)";
    enum failure_kind kind = FAILURE_TIMEOUT;
    if (c->deadline_ms && now >= c->deadline_ms) {
        what = "did not answer before the request's deadline";
        kind = FAILURE_DEADLINE;
    } else if (c->timeouts.total_ms && now >= c->started_ms + c->timeouts.total_ms) {
        /* as said */
    } else if (c->phase == PHASE_HEAD && c->timeouts.headers_ms &&
               now >= c->started_ms + c->timeouts.headers_ms) {
        what = "sent no response head in time (timeouts.headers)";
    } else if (c->phase == PHASE_EVENTS) {
        what = "sent nothing for too long (timeouts.idle)";
    } else {
        what = "sent no first token in time (timeouts.first_token)";
    }
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "upstream '%s' %s", c->pool->target->name, what);
    end_with(c, &f);
}

static void watch_fired(struct timer *t) {
    struct call *c = container_of(t, struct call, watch);
    uint64_t now = loop_now(loop_of(c)), at = expires_at(c);
    if (now >= at) timed_out(c, now);
    else if (at != UINT64_MAX) timer_start(loop_of(c), t, at - now, watch_fired);
}

/* Call after anything that may bring a deadline nearer. */
static void watch_again(struct call *c) {
    uint64_t at = expires_at(c), now = loop_now(loop_of(c));
    if (at == UINT64_MAX || (timer_is_running(&c->watch) && c->watch.at_ms <= at)) return;
    if (timer_start(loop_of(c), &c->watch, at > now ? at - now : 0, watch_fired) != 0)
        fail_later(c, FAILURE_NO_MEMORY, "out of memory");
}

void call_mark(struct call *c) {
    if (c->phase == PHASE_OVER) return;
    bool first = c->phase != PHASE_EVENTS;
    c->phase = PHASE_EVENTS;
    c->phase_ms = loop_now(loop_of(c));
    if (first) watch_again(c);
}

/* -- Receiving ------------------------------------------------------------------------- */

static bool is_kept(struct slice name) {
    static const char *const kept[] = { "content-type", "retry-after", "retry-after-ms",
                                        "x-request-id", "openai-processing-ms", "content-encoding" };
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
        if (slice_eq_nocase(name, slice_str(kept[i]))) return true;
    return name.len > 12 && strncasecmp(name.ptr, "x-ratelimit-", 12) == 0;
}

struct slice call_header(const struct call *c, struct slice name) {
    struct slice all = buf_get(&c->head);
    while (all.len > 0) {
        const char *nl = memchr(all.ptr, '\n', all.len);
        const char *colon = memchr(all.ptr, ':', all.len);
        if (slice_eq_nocase(slice_of(all.ptr, (size_t)(colon - all.ptr)), name))
            return slice_of(colon + 1, (size_t)(nl - colon - 1));
        all.len -= (size_t)(nl + 1 - all.ptr);
        all.ptr = nl + 1;
    }
    return slice_of(NULL, 0);
}

/* A number of at most nine digits; 0 when it is none. */
static unsigned digits(struct slice s) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return n;
}

static void head_begins(struct call *c, struct slice line) {
    const char *sp = memchr(line.ptr, ' ', line.len);
    c->status = sp && line.ptr + line.len - sp >= 4 ? (int)digits(slice_of(sp + 1, 3)) : 0;
    buf_clear(&c->head);
}

static size_t on_header(char *ptr, size_t size, size_t n, void *ud) {
    struct call *c = ud;
    struct slice line = slice_of(ptr, size * n);
    if (c->phase == PHASE_OVER) return 0;
    if (slice_starts(line, SLICE("HTTP/"))) {
        head_begins(c, line);
        return line.len;
    }
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) line.len--;
    if (line.len == 0) {
        if (c->status >= 200 && c->phase == PHASE_HEAD) {
            c->phase = PHASE_FIRST;
            c->phase_ms = loop_now(loop_of(c));
            watch_again(c);
        }
        return size * n;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL) return size * n;
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = slice_trim(slice_of(colon + 1, (size_t)(line.ptr + line.len - colon - 1)));
    if (is_kept(name) && buf_len(&c->head) + line.len < HEADERS_MAX) {
        buf_slice(&c->head, name);
        buf_putc(&c->head, ':');
        buf_slice(&c->head, value);
        buf_putc(&c->head, '\n');
    }
    return size * n;
}

static bool is_good(const struct call *c) { return c->status >= 200 && c->status < 300; }

static enum flow send_head(struct call *c) {
    c->headed = true;
    struct event ev = { .type = EVENT_HEAD, .status = c->status,
                        .content_type = call_header(c, SLICE("content-type")) };
    curl_off_t length = -1;
    curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    ev.has_length = length >= 0;
    ev.length = length >= 0 ? (uint64_t)length : 0;
    return c->sink->event(c->sink, &ev);
}

static size_t collect(struct call *c, struct slice s, size_t limit) {
    if (buf_len(&c->collected) + s.len > limit) {
        if (!is_good(c)) return s.len; /* of an error body the beginning is enough */
        fail_later(c, FAILURE_ANSWER_TOO_LARGE, "the answer is over max_body");
        return 0;
    }
    buf_slice(&c->collected, s);
    if (!buf_failed(&c->collected)) return s.len;
    fail_later(c, FAILURE_NO_MEMORY, "out of memory");
    return 0;
}

static size_t on_body(char *ptr, size_t size, size_t n, void *ud) {
    struct call *c = ud;
    struct slice s = slice_of(ptr, size * n);
    if (c->phase == PHASE_OVER) return 0;
    if (!is_good(c)) return collect(c, s, ERROR_BODY_MAX);
    if (c->whole) {
        call_mark(c);
        return collect(c, s, c->pool->target->max_answer);
    }
    c->in_callback = true;
    enum flow flow = FLOW_MORE;
    if (!c->headed) flow = send_head(c);
    if (c->phase != PHASE_OVER) {
        struct event ev = { .type = EVENT_BYTES, .raw = s };
        if (c->sink->event(c->sink, &ev) == FLOW_FULL) flow = FLOW_FULL;
    }
    c->in_callback = false;
    if (c->phase == PHASE_OVER) return 0; /* cancelled: curl gives up, finish_job frees */
    if (flow == FLOW_FULL && !c->paused) {
        c->paused = true;
        curl_easy_pause(c->easy, CURLPAUSE_RECV);
    }
    return s.len;
}

static void call_resume(struct source *s) {
    struct call *c = container_of(s, struct call, source);
    if (!c->paused || c->phase == PHASE_OVER) return;
    c->paused = false;
    c->phase_ms = loop_now(loop_of(c));
    watch_again(c);
    curl_easy_pause(c->easy, CURLPAUSE_CONT); /* may call on_body() at once */
}

/* -- Results ------------------------------------------------------------------------------ */

static void retry_after(const struct call *c, struct failure *f) {
    struct slice v = call_header(c, SLICE("retry-after"));
    if (v.ptr == NULL || v.len > 9) return; /* the HTTP-date form is rare here */
    unsigned seconds = digits(v);
    if (seconds > 0) f->retry_after = (int)seconds;
}

/* The upstream's own status becomes ours, where it means the same to a client. */
static int status_for_client(int status) {
    if (status >= 400 && status < 500) return status;
    if (status == 503 || status == 529) return 503;
    return status == 504 ? 504 : 502;
}

/* What {"error":{"message","code","type"}} says, where it says it. */
static void read_error_body(struct slice body, struct failure *f) {
    struct json_doc doc = { .nodes = NULL };
    if (json_parse(&doc, body, &(struct json_error){ 0 }) == 0 && json_type(&doc, 0) == JSON_OBJECT) {
        uint32_t e = json_get(&doc, 0, SLICE("error"));
        if (e != JSON_NONE && json_type(&doc, e) == JSON_OBJECT) {
            size_t n = strlen(f->message);
            char text[300] = "";
            json_copy_string(&doc, e, SLICE("message"), text, sizeof(text));
            if (text[0]) snprintf(f->message + n, sizeof(f->message) - n, ": %s", text);
            json_copy_string(&doc, e, SLICE("code"), f->code, sizeof(f->code));
            if (f->status < 500) json_copy_string(&doc, e, SLICE("type"), f->type, sizeof(f->type));
        }
    }
    json_deinit(&doc);
}

static void failure_from_status(struct call *c, struct failure *f) {
    failure_set(f, FAILURE_UPSTREAM_STATUS, "upstream '%s' answered %d", c->pool->target->name, c->status);
    f->status = status_for_client(c->status);
    f->retryable = c->status == 408 || c->status == 409 || c->status == 429 || c->status >= 500;
    if (c->status == 429) snprintf(f->code, sizeof(f->code), "rate_limit_exceeded");
    retry_after(c, f);
    read_error_body(buf_get(&c->collected), f);
    struct buf tmp = c->collected;
    c->collected = f->body;
    f->body = tmp;
}

static enum failure_kind kind_of(CURLcode result) {
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return FAILURE_DNS;
    case CURLE_COULDNT_CONNECT: return FAILURE_CONNECT;
    case CURLE_OPERATION_TIMEDOUT: return FAILURE_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER: return FAILURE_TLS;
    case CURLE_OUT_OF_MEMORY: return FAILURE_NO_MEMORY;
    case CURLE_PARTIAL_FILE: return FAILURE_TRUNCATED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return FAILURE_MALFORMED;
    default: return FAILURE_RESET;
    }
}

static bool is_connect_failure(CURLcode r, const struct call *c) {
    return r == CURLE_COULDNT_CONNECT || r == CURLE_COULDNT_RESOLVE_HOST ||
           (r == CURLE_OPERATION_TIMEDOUT && c->status == 0);
}

static int attach(struct call *c);

/* The next base URL, when the connection to this one could not be made. */
static bool try_next_url(struct call *c, CURLcode result) {
    struct target_health *h = c->pool->target->health;
    if (!is_connect_failure(result, c)) return false;
    uint64_t now = loop_now(loop_of(c));
    atomic_store_explicit(&h->down_until_ms[c->url], now + DOWN_MS, memory_order_relaxed);
    if (c->tried >= c->pool->target->url_count || now >= expires_at(c)) return false;
    multi_remove(c->pool->multi, c->easy);
    atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed);
    c->added = false;
    return attach(c) == 0;
}

static void call_done(struct call *c, CURLcode result) {
    if (c->phase == PHASE_OVER) return; /* finish_job is on its way */
    if (result != CURLE_OK && try_next_url(c, result)) return;
    struct failure f;
    failure_init(&f);
    if (result == CURLE_OUT_OF_MEMORY && c->phase == PHASE_HEAD && c->status != 0) {
        /* What curl says of a head over its limit. */
        failure_set(&f, FAILURE_MALFORMED, "upstream '%s': the response head is too large", c->pool->target->name);
    } else if (result != CURLE_OK) {
        failure_set(&f, kind_of(result), "upstream '%s': %s", c->pool->target->name,
                    c->error[0] ? c->error : curl_easy_strerror(result));
    } else if (!is_good(c)) {
        failure_from_status(c, &f);
    } else if (!c->headed) {
        c->in_callback = true; /* a cancel in there must not free c under us */
        send_head(c);
        if (c->phase != PHASE_OVER && buf_len(&c->collected) > 0) {
            struct event ev = { .type = EVENT_BYTES, .raw = buf_get(&c->collected) };
            c->sink->event(c->sink, &ev);
        }
        c->in_callback = false;
        if (c->phase == PHASE_OVER) return;
    }
    end_with(c, &f);
}

void call_on_done(CURL *easy, CURLcode result) {
    char *priv = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &priv);
    struct call *c = (struct call *)priv;
    call_done(c, result);
}

/* -- Starting -------------------------------------------------------------------------------- */

static unsigned choose_url(struct call *c) {
    const struct target *t = c->pool->target;
    if (t->url_count == 1) return 0;
    uint64_t now = loop_now(loop_of(c));
    unsigned first = atomic_fetch_add_explicit(&t->health->next_url, 1, memory_order_relaxed);
    for (unsigned i = 0; i < t->url_count; i++) {
        unsigned u = (first + i) % t->url_count;
        if (atomic_load_explicit(&t->health->down_until_ms[u], memory_order_relaxed) <= now) return u;
    }
    return first % t->url_count; /* all rest: one must be tried */
}

static int set_url(struct call *c) {
    const char *base = c->pool->target->urls[c->url];
    size_t n = strlen(base);
    char *url = arena_alloc(&c->arena, n + c->path.len + 1);
    if (url == NULL) return PERILUNE_ERR_NOMEM;
    memcpy(url, base, n);
    memcpy(url + n, c->path.ptr, c->path.len);
    url[n + c->path.len] = '\0';
    return curl_easy_setopt(c->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : PERILUNE_ERR_NOMEM;
}

static void set_method(struct call *c) {
    CURL *e = c->easy;
    bool post = slice_eq(c->method, SLICE("POST"));
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL);
    if (post || c->body != NULL) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, c->body ? c->body->data : "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(c->body ? c->body->len : 0));
    } else {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    }
    if (!post && !slice_eq(c->method, SLICE("GET")))
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, arena_dup(&c->arena, c->method));
}

static int attach(struct call *c) {
    CURL *e = c->easy;
    c->tried++;
    c->url = choose_url(c);
    c->error[0] = '\0';
    if (set_url(c) != 0) return PERILUNE_ERR_NOMEM;
    set_method(c);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(e, CURLOPT_PRIVATE, c);
    int err = multi_add(c->pool->multi, e);
    if (err) return err;
    c->added = true;
    c->phase = PHASE_HEAD;
    atomic_fetch_add_explicit(&c->pool->target->health->in_flight, 1, memory_order_relaxed);
    return 0;
}

static void call_start(struct source *s, struct sink *to) {
    struct call *c = container_of(s, struct call, source);
    c->sink = to;
    c->started_ms = c->phase_ms = loop_now(loop_of(c));
    atomic_fetch_add_explicit(&c->pool->target->health->calls, 1, memory_order_relaxed);
    if (attach(c) != 0) fail_later(c, FAILURE_NO_MEMORY, "out of memory");
    else watch_again(c);
}

/* curl_slist nodes in the arena: one allocation for all instead of two each. */
static int add_line(struct call *c, char *line) {
    struct curl_slist *node = line ? arena_alloc(&c->arena, sizeof(*node)) : NULL;
    if (node == NULL) return PERILUNE_ERR_NOMEM;
    node->data = line;
    node->next = c->headers;
    c->headers = node;
    return 0;
}

static int add_header(struct call *c, struct slice name, struct slice value) {
    char *line = arena_alloc(&c->arena, name.len + value.len + 3);
    if (line == NULL) return PERILUNE_ERR_NOMEM;
    memcpy(line, name.ptr, name.len);
    memcpy(line + name.len, ": ", 2);
    memcpy(line + name.len + 2, value.ptr, value.len);
    line[name.len + value.len + 2] = '\0';
    return add_line(c, line);
}

static int add_key(struct call *c, struct slice key) {
    static const char bearer[] = "Authorization: Bearer ";
    char *line = arena_alloc(&c->arena, sizeof(bearer) + key.len);
    if (line == NULL) return PERILUNE_ERR_NOMEM;
    memcpy(line, bearer, sizeof(bearer) - 1);
    memcpy(line + sizeof(bearer) - 1, key.ptr, key.len);
    line[sizeof(bearer) - 1 + key.len] = '\0';
    return add_line(c, line);
}

static int add_headers(struct call *c, const struct call_options *opt) {
    const struct target *t = c->pool->target;
    int err = 0;
    for (unsigned i = 0; err == 0 && i < opt->header_count; i++)
        err = add_header(c, opt->headers[i].name, opt->headers[i].value);
    for (unsigned i = 0; err == 0 && i < t->header_count; i++)
        err = add_line(c, (char *)(uintptr_t)t->headers[i]);
    struct slice key = opt->key.len ? opt->key : slice_str(t->key);
    if (err == 0 && key.len > 0) err = add_key(c, key);
    static char no_expect[] = "Expect:";
    return err ? err : add_line(c, no_expect);
}

struct source *call_source(struct call *c) { return &c->source; }

struct call *call_new(const struct call_options *opt) {
    struct call *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    c->source = (struct source){ call_start, call_resume, call_cancel };
    c->pool = opt->pool;
    arena_init(&c->arena);
    buf_init(&c->head, 0);
    buf_init(&c->collected, 0);
    c->timeouts = opt->timeouts;
    c->deadline_ms = opt->deadline_ms;
    c->whole = opt->whole;
    c->body = blob_ref(opt->body);
    c->stream = opt->stream;
    c->easy = easy_get(opt->pool, opt->stream);
    char *method = arena_dup(&c->arena, opt->method);
    char *path = arena_dup(&c->arena, opt->path);
    if (c->easy == NULL || method == NULL || path == NULL || add_headers(c, opt) != 0) {
        call_free(c);
        return NULL;
    }
    c->method = slice_of(method, opt->method.len);
    c->path = slice_of(path, opt->path.len);
    return c;
}
