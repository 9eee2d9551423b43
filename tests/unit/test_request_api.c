/* test_request_api.c -- requests of the program that the library is part of: no HTTP, and everything else as ever.
 *
 * Answers come from policies (made in the process), from the simulated upstream, or from an upstream of this file that
 * says what it is told, byte by byte. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "include/perilune.h"
#include "unit.h"

#define CHAT(rest) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" rest "}"
#define PATH "/v1/chat/completions"

/* -- A gateway -------------------------------------------------------------------------- */

static char log_text[65536];
static size_t log_len;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *ud, int level, perilune_str line) {
    (void)ud, (void)level;
    pthread_mutex_lock(&log_lock);
    if (log_len + line.len + 2 < sizeof(log_text)) {
        memcpy(log_text + log_len, line.ptr, line.len);
        log_len += line.len;
        log_text[log_len++] = '\n';
        log_text[log_len] = '\0';
    }
    pthread_mutex_unlock(&log_lock);
}

static bool is_logged(const char *what) {
    pthread_mutex_lock(&log_lock);
    bool found = strstr(log_text, what) != NULL;
    pthread_mutex_unlock(&log_lock);
    return found;
}

static perilune *open_with(const char *fields, int threads) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[800] = "", path[] = "/tmp/perilune-request-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    CHECK(f != NULL);
    fprintf(f, "local perilune = require 'perilune'\nreturn { %s }\n", fields);
    fclose(f);
    o.config = path;
    o.threads = threads;
    o.log = on_log;
    if (perilune_open(&g, &o, err, sizeof(err)) != 0) FAIL("%s", err);
    unlink(path);
    return g;
}

#define POLICY(body)                                                                                          \
    "upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = { { path = '/v1/chat/completions', policies = { " \
    "function(req, next) " body " end } } }"
#define HELLO POLICY("return perilune.respond{ text = 'hello', usage = { prompt_tokens = 3, completion_tokens = 2 } }")
#define SIM "upstreams = { up = { sim = { tokens = 5, text = 'one two three' } } }"

/* -- What is heard ------------------------------------------------------------------------- */

struct heard {
    struct buf text, raw; /* what came, in a row; all bytes */
    int        error, status, events;
    bool       over;      /* the last event came */
    void     (*each)(struct heard *h, perilune_request *r, const perilune_event *ev);
    perilune  *g;
    perilune_request *r, *other;
    int        count;
};

static void hear(struct heard *h, const perilune_event *ev) {
    static const char *const names[] = { "?", "begin", "text", "reasoning", "tool", "usage", "end", "error", "refusal",
                                         "finish", "data" };
    CHECK(!h->over); /* nothing follows */
    CHECK(ev->text.ptr != NULL && ev->name.ptr != NULL && ev->id.ptr != NULL && ev->raw.ptr != NULL &&
          ev->headers.ptr != NULL);
    buf_printf(&h->text, " %s", names[ev->type]);
    if (ev->type == PERILUNE_EV_BEGIN) buf_printf(&h->text, " %d", h->status = ev->status);
    if (ev->choice > 0) buf_printf(&h->text, "%u", ev->choice);
    if (ev->type == PERILUNE_EV_TOOL) buf_printf(&h->text, "[%.*s][%.*s]", (int)ev->id.len, ev->id.ptr,
                                                 (int)ev->name.len, ev->name.ptr);
    if (ev->type == PERILUNE_EV_USAGE)
        buf_printf(&h->text, "[%d %d %d]", (int)ev->tokens_in, (int)ev->tokens_out, (int)ev->tokens_cached);
    else if (ev->type == PERILUNE_EV_ERROR) buf_printf(&h->text, " %d %.*s", h->status = ev->status, (int)ev->name.len,
                                                       ev->name.ptr);
    else if (ev->type != PERILUNE_EV_DATA) {
        buf_putc(&h->text, '[');
        buf_put(&h->text, ev->text.ptr, ev->text.len);
        buf_putc(&h->text, ']');
    }
    if (ev->type != PERILUNE_EV_ERROR) buf_put(&h->raw, ev->raw.ptr, ev->raw.len);
    h->error = ev->error;
    h->events++;
    h->over = ev->type == PERILUNE_EV_END || ev->type == PERILUNE_EV_ERROR;
}

static void on_event(perilune_request *r, const perilune_event *ev, void *ud) {
    struct heard *h = ud;
    hear(h, ev);
    if (h->each != NULL) h->each(h, r, ev);
}

static void forget(struct heard *h) {
    buf_deinit(&h->text);
    buf_deinit(&h->raw);
    memset(h, 0, sizeof(*h));
}

static bool holds(struct slice s, const char *text) { return memmem(s.ptr, s.len, text, strlen(text)) != NULL; }

static perilune_request *request(perilune *g, const char *path, const char *json) {
    perilune_request *r = NULL;
    if (perilune_request_new(g, path, json, json ? strlen(json) : 0, &r) != 0) FAIL("%s", perilune_errmsg(g));
    return r;
}

static void poll_until_over(perilune *g, const struct heard *h) {
    for (int i = 0; !h->over; i++) {
        CHECK(i < 30000);
        CHECK_INT(perilune_poll(g, 1), 0);
    }
}

/* Asks with a callback, and by asking for each event: the same must come. */
static void check_answer(perilune *g, const char *path, const char *json, const char *want, struct heard *kept) {
    struct heard pushed = { .over = false }, pulled = { .over = false };
    const perilune_event *ev;
    int rc = 0;
    NOTE("%s", json ? json : path);
    perilune_request *r = request(g, path, json);
    CHECK_INT(perilune_request_start(r, on_event, &pushed), 0);
    poll_until_over(g, &pushed);
    perilune_request_free(r);
    if (want != NULL) CHECK_SLICE(buf_get(&pushed.text), slice_str(want));
    r = request(g, path, json);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    while (!pulled.over) {
        rc = perilune_request_next(r, &ev, 30000);
        if (ev == NULL) FAIL("%s", perilune_request_errmsg(r));
        hear(&pulled, ev);
        CHECK_INT(rc, ev->error);
    }
    if (rc != 0) CHECK(perilune_request_errmsg(r)[0] != '\0');
    CHECK_INT(perilune_request_next(r, &ev, 0), PERILUNE_ERR_STATE);
    CHECK(ev == NULL);
    perilune_request_free(r);
    if (want != NULL) CHECK_SLICE(buf_get(&pulled.text), slice_str(want));
    if (kept != NULL) *kept = pulled;
    else forget(&pulled);
    forget(&pushed);
}

/* -- Answers ------------------------------------------------------------------------------- */

TEST_NOFAULT(answers_made_in_the_process) {
    struct heard h;
    perilune *g = open_with(HELLO, 0);
    check_answer(g, PATH, CHAT(""), " begin 200[application/json] text[hello] finish[stop] usage[3 2 0] end[stop]", &h);
    CHECK(holds(buf_get(&h.raw), "\"content\":\"hello\""));
    forget(&h);
    check_answer(g, PATH, CHAT(",\"stream\":true"),
                 " begin 200[text/event-stream] data text[hello] finish[stop] data usage[3 2 0] end[stop]", &h);
    CHECK(holds(buf_get(&h.raw), "data: [DONE]\n\n"));
    forget(&h);
    CHECK_INT(perilune_port(g), 0);
    perilune_close(g);
}

TEST_NOFAULT(answers_of_the_simulated_upstream) {
    struct heard h;
    perilune *g = open_with(SIM, 0);
    check_answer(g, PATH, CHAT(",\"stream\":true"), NULL, &h);
    CHECK(holds(buf_get(&h.text), " text[one"));
    CHECK(holds(buf_get(&h.text), " finish[stop]"));
    CHECK(holds(buf_get(&h.text), " usage["));
    CHECK(holds(buf_get(&h.text), " end[stop]"));
    forget(&h);
    perilune_request *r = request(g, PATH, CHAT(""));
    perilune_str text;
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("one two three"));
    CHECK_INT(perilune_request_text(r, &text), 0); /* again */
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("one two three"));
    perilune_request_free(r);
    check_answer(g, "/v1/models", NULL, NULL, &h);
    CHECK(holds(buf_get(&h.raw), "\"object\":\"list\""));
    forget(&h);
    check_answer(g, "/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}", NULL, &h);
    CHECK(holds(buf_get(&h.text), " begin 200[application/json] data usage["));
    CHECK(holds(buf_get(&h.raw), "\"embedding\":"));
    r = request(g, "/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}");
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK(holds(slice_of(text.ptr, text.len), "\"embedding\":")); /* of what is no chat, the body */
    perilune_request_free(r);
    forget(&h);
    perilune_close(g);
}

/* -- An upstream that says what it is told ---------------------------------------------------- */

struct upstream {
    int           fd, port;
    pthread_t     thread;
    _Atomic(const char *) reply; /* all of it, head included; the connection closes behind it */
    atomic_size_t sent, endless; /* endless: so many bytes of events more */
    atomic_bool   stop;
};

static void send_all(struct upstream *u, int fd, const char *s, size_t len) {
    while (len > 0 && !atomic_load(&u->stop)) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        if (poll(&p, 1, 20) <= 0) continue;
        ssize_t n = send(fd, s, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) continue;
        if (n <= 0) return;
        atomic_fetch_add(&u->sent, (size_t)n);
        s += n;
        len -= (size_t)n;
    }
}

static const char PIECE[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}}]}\n\n";
static const char LAST[] = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

static void serve_one(struct upstream *u, int fd) {
    char in[8192];
    size_t got = 0;
    for (bool whole = false; !whole;) {
        ssize_t n = recv(fd, in + got, sizeof(in) - 1 - got, 0);
        if (n <= 0) return;
        in[got += (size_t)n] = '\0';
        const char *end = strstr(in, "\r\n\r\n"), *length = strcasestr(in, "content-length:");
        whole = end != NULL && (length == NULL || got >= (size_t)(end + 4 - in) + strtoul(length + 15, NULL, 10));
    }
    const char *reply = atomic_load(&u->reply);
    send_all(u, fd, reply, strlen(reply));
    size_t left = atomic_load(&u->endless);
    for (; left > 0 && !atomic_load(&u->stop); left -= left < sizeof(PIECE) ? left : sizeof(PIECE))
        send_all(u, fd, PIECE, sizeof(PIECE) - 1);
    if (atomic_load(&u->endless) > 0) send_all(u, fd, LAST, sizeof(LAST) - 1);
}

static void *serve(void *arg) {
    struct upstream *u = arg;
    while (!atomic_load(&u->stop)) {
        struct pollfd p = { .fd = u->fd, .events = POLLIN };
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(u->fd, NULL, NULL);
        if (fd < 0) continue;
        serve_one(u, fd);
        close(fd);
    }
    return NULL;
}

static void upstream_start(struct upstream *u) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    memset(u, 0, sizeof(*u));
    u->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(u->fd >= 0);
    CHECK_INT(bind(u->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(listen(u->fd, 16), 0);
    CHECK_INT(getsockname(u->fd, (struct sockaddr *)&a, &len), 0);
    u->port = ntohs(a.sin_port);
    CHECK_INT(pthread_create(&u->thread, NULL, serve, u), 0);
}

static void upstream_stop(struct upstream *u) {
    atomic_store(&u->stop, true);
    pthread_join(u->thread, NULL);
    close(u->fd);
}

static perilune *open_before(const struct upstream *u, const char *more) {
    char fields[1000];
    snprintf(fields, sizeof(fields), "upstreams = { up = { url = 'http://127.0.0.1:%d/v1', price = { input = 1, output = 2 } "
             "} }%s", u->port, more);
    return open_with(fields, 0);
}

#define STREAM "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
#define JSON "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
#define D0(delta) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "}}]}\n\n"
#define D1(delta) "data: {\"choices\":[{\"index\":1,\"delta\":{" delta "}}]}\n\n"
#define E(n, reason) "data: {\"choices\":[{\"index\":" n ",\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"

TEST_NOFAULT(everything_that_a_chat_says) {
    static const struct { const char *json, *reply; struct slice want; } cases[] = {
        { CHAT(",\"stream\":true"),
          STREAM D0("\"role\":\"assistant\"") D0("\"reasoning_content\":\"hm\"") D0("\"content\":\"\\u4f60\"")
          D0("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]")
          D0("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]") E("0", "tool_calls")
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"prompt_tokens_details\":"
          "{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n",
          SLICE(" begin 200[text/event-stream] data reasoning[hm] text[\xe4\xbd\xa0] data data tool[a][f][{}] finish[tool_calls]"
          " data usage[7 5 2] end[tool_calls]") },
        { CHAT(",\"stream\":true,\"n\":2"),
          STREAM D0("\"content\":\"a\"") D1("\"content\":\"b\"") E("1", "length") D0("\"refusal\":\"no\"") E("0", "stop")
          "data: [DONE]\n\n",
          SLICE(" begin 200[text/event-stream] text[a] text1[b] finish1[length] refusal[no] finish[stop] data end[stop]") },
        { CHAT(",\"n\":2"),
          JSON "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\",\"reasoning\":\"r\",\"tool_calls\":[{\"id\":\"i\","
          "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"},{\"index\":1,\"message\":"
          "{\"content\":\"b\\u0000\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
          SLICE(" begin 200[application/json] reasoning[r] text[a] tool[i][f][{}] finish[tool_calls] text1[b\0] finish1[stop]"
          " usage[1 2 0] end[tool_calls]") },
        /* It breaks off: a call that is not whole is not told. */
        { CHAT(",\"stream\":true"),
          STREAM D0("\"content\":\"a\"") D0("\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}]"),
          SLICE(" begin 200[text/event-stream] text[a] data error 502 upstream_truncated") },
        { CHAT(",\"stream\":true"), STREAM "data: {\"error\":{\"message\":\"oh\",\"code\":\"broken\"}}\n\n",
          SLICE(" error 502 broken") },
        { CHAT(""), "HTTP/1.1 400 Bad Request\r\ncontent-length: 30\r\n\r\n{\"error\":{\"message\":\"too bad\"}}",
          SLICE(" error 400 upstream_status") },
    };
    struct upstream u;
    upstream_start(&u);
    perilune *g = open_before(&u, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct heard h;
        atomic_store(&u.reply, cases[i].reply);
        check_answer(g, PATH, cases[i].json, NULL, &h);
        NOTE("%s", cases[i].reply);
        CHECK_SLICE(buf_get(&h.text), cases[i].want);
        if (h.error != 0) CHECK_INT(h.error, PERILUNE_ERR_UPSTREAM);
        forget(&h);
    }
    /* Paths that nobody reads: bytes as they come. */
    struct heard h;
    atomic_store(&u.reply, STREAM "event: x\ndata: {\"a\":1}\n\n");
    check_answer(g, "/v1/responses", "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}", NULL, &h);
    CHECK_SLICE(buf_get(&h.raw), SLICE("event: x\ndata: {\"a\":1}\n\n"));
    CHECK(!holds(buf_get(&h.text), "text["));
    forget(&h);
    perilune_close(g);
    upstream_stop(&u);
}

/* What is not taken stops the upstream, and nothing of it is lost. */
TEST_NOFAULT(a_program_that_is_slow) {
    struct upstream u;
    struct heard h = { .over = false };
    const size_t all = 48u << 20;
    upstream_start(&u);
    perilune *g = open_before(&u, "");
    atomic_store(&u.reply, STREAM);
    atomic_store(&u.endless, all);
    for (int pulls = 0; pulls < 2; pulls++) {
        size_t text = 0, before = 1;
        atomic_store(&u.sent, 0);
        perilune_request *r = request(g, PATH, CHAT(",\"stream\":true"));
        if (pulls == 0) perilune_request_pause(r, 1);
        CHECK_INT(perilune_request_start(r, pulls ? NULL : on_event, &h), 0);
        for (int quiet = 0; quiet < 100 || before == 0;) { /* until it sends nothing any more */
            perilune_poll(g, 1);
            size_t sent = atomic_load(&u.sent);
            quiet = sent == before ? quiet + 1 : 0;
            before = sent;
        }
        CHECK(before < all / 2);
        CHECK_INT(h.events, 0);
        if (pulls == 0) {
            perilune_request_pause(r, 0);
            poll_until_over(g, &h);
        }
        const perilune_event *ev;
        while (pulls == 1 && !h.over) {
            CHECK_INT(perilune_request_next(r, &ev, 30000), 0);
            if (ev->type == PERILUNE_EV_TEXT) text += ev->text.len;
            h.over = ev->type == PERILUNE_EV_END;
        }
        if (pulls == 0) CHECK(buf_len(&h.raw) >= all / sizeof(PIECE) * (sizeof(PIECE) - 1));
        if (pulls == 1) CHECK(text >= all / sizeof(PIECE) * 36);
        perilune_request_free(r);
        forget(&h);
    }
    perilune_close(g);
    upstream_stop(&u);
}

/* -- As by HTTP ------------------------------------------------------------------------------- */

TEST_NOFAULT(who_asks_and_headers) {
    struct heard h;
    perilune *g = open_with("tenants = { header = 'x-tenant' }, "
                            POLICY("return perilune.respond{ text = req.tenant .. ' ' .. tostring(req.headers['x-a']) .. ' ' "
                                   ".. tostring(req.headers['content-type']) }"), 0);
    perilune_request *r = request(g, PATH "?a=b", CHAT(""));
    perilune_str text;
    CHECK_INT(perilune_request_set(r, "tenant", "acme"), 0);
    CHECK_INT(perilune_request_set(r, "X-A", "1"), 0);
    CHECK_INT(perilune_request_set(r, "x-a", "2"), 0);
    CHECK_INT(perilune_request_set(r, "x-tenant", "other"), 0);
    CHECK_INT(perilune_request_set(r, "x-request-id", "id-7"), 0);
    CHECK_INT(perilune_request_set(r, "x-b", "1"), 0);
    CHECK_INT(perilune_request_set(r, "x-b", NULL), 0);
    CHECK_INT(perilune_request_set(r, "x-c", NULL), 0);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("acme 2 application/json"));
    CHECK_INT(perilune_request_set(r, "x-a", "3"), PERILUNE_ERR_STATE);
    perilune_request_free(r);
    r = request(g, PATH, CHAT("")); /* without a word on it, as by HTTP */
    CHECK_INT(perilune_request_set(r, "x-tenant", "other"), 0);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("other nil application/json"));
    perilune_request_free(r);
    char stats[65536];
    CHECK(perilune_stats(g, stats, sizeof(stats)) > 0);
    CHECK(strstr(stats, "status=\"200\"} 2\n") != NULL || strstr(stats, "200\"} 2") != NULL);
    CHECK(strstr(stats, "perilune_in_flight 0\n") != NULL);
    memset(&h, 0, sizeof(h));
    perilune_close(g);
    CHECK(is_logged("\"via\":\"library\""));
    CHECK(is_logged("\"request_id\":\"id-7\""));
    CHECK(is_logged("\"tenant\":\"acme\""));
}

static void keep_header(struct heard *h, perilune_request *r, const perilune_event *ev) {
    perilune_str v;
    (void)r;
    if (perilune_event_header(ev, "X-Cache", &v) == 0 && v.len == 3 && memcmp(v.ptr, "hit", 3) == 0) h->count++;
}

TEST_NOFAULT(the_same_caches) {
    struct heard h = { .each = keep_header };
    perilune *g = open_with("upstreams = { up = { sim = { tokens = 3 } } }, routes = { { path = '/v1/chat/completions', "
                            "policies = { { 'cache_exact', ttl = 60 } } } }", 0);
    for (int i = 0; i < 2; i++) {
        h.over = false;
        perilune_request *r = request(g, PATH, CHAT(",\"temperature\":0"));
        CHECK_INT(perilune_request_start(r, on_event, &h), 0);
        poll_until_over(g, &h);
        perilune_request_free(r);
    }
    CHECK_INT(h.count, 1);
    perilune_str v = { NULL, 1 };
    CHECK_INT(perilune_event_header(NULL, "x", &v), PERILUNE_ERR_INVAL);
    CHECK_INT(v.len, 0);
    forget(&h);
    perilune_close(g);
}

TEST_NOFAULT(what_goes_wrong) {
    static const struct { const char *path, *json, *config; int error, status; const char *code; } cases[] = {
        { PATH, "{", HELLO, PERILUNE_ERR_INVAL, 400, "invalid_json" },
        { PATH, "{}", HELLO, PERILUNE_ERR_INVAL, 400, NULL },
        { "/v2/none", "{}", HELLO, PERILUNE_ERR_INVAL, 404, "not_found" },
        { "/v1/%2e%2e/x", "{}", HELLO, PERILUNE_ERR_INVAL, 400, NULL },
        { PATH, NULL, HELLO, PERILUNE_ERR_INVAL, 405, "method_not_allowed" },
        { PATH, CHAT(""), POLICY("error('x')"), PERILUNE_ERR_POLICY, 500, "policy_error" },
        { PATH, CHAT(""), POLICY("while true do end"), PERILUNE_ERR_POLICY, 500, "policy_budget_exceeded" },
        { PATH, CHAT(""), POLICY("return nil, { code = 'rate_limited', status = 429, message = 'slow' }"),
          PERILUNE_ERR_LIMITED, 429, "rate_limited" },
        { PATH, CHAT(""), POLICY("return nil, { code = 'no', status = 403, message = 'no' }"), PERILUNE_ERR_REJECTED, 403,
          "no" },
        { PATH, CHAT(""), POLICY("return next(req)"), PERILUNE_ERR_UPSTREAM, 502, "upstream_unreachable" },
        { PATH, CHAT(""), "limits = { request_timeout = 0.05 }, " POLICY("perilune.sleep(60)"), PERILUNE_ERR_TIMEOUT, 504,
          "deadline_exceeded" },
        { "/v1/async/chat/completions", CHAT(""), "jobs = { memory = true }, " HELLO, PERILUNE_ERR_INVAL, 404, "not_found" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct heard h;
        NOTE("case %zu", i);
        perilune *g = open_with(cases[i].config, 0);
        check_answer(g, cases[i].path, cases[i].json, NULL, &h);
        NOTE("case %zu: %.*s", i, SLICE_ARG(buf_get(&h.text)));
        CHECK_INT(h.error, cases[i].error);
        CHECK_INT(h.status, cases[i].status);
        if (cases[i].code != NULL) CHECK(holds(buf_get(&h.text), cases[i].code));
        CHECK_INT(buf_len(&h.raw), 0);
        forget(&h);
        perilune_close(g);
    }
}

TEST_NOFAULT(arguments) {
    perilune_request *r = (perilune_request *)&log_len;
    const perilune_event *ev = (const perilune_event *)&log_len;
    perilune_str text;
    perilune *g = open_with("limits = { body = 1000 }, " HELLO, 0);
    CHECK_INT(perilune_request_new(NULL, PATH, "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK(r == NULL);
    CHECK_INT(perilune_request_new(g, PATH, "{}", 2, NULL), PERILUNE_ERR_INVAL);
    CHECK(perilune_errmsg(g)[0] != '\0');
    CHECK_INT(perilune_request_new(g, NULL, "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, "", "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, "v1", "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, "/v1/a b", "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, "/v1\r\n", "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, PATH, NULL, 2, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_new(g, PATH, "{}", (size_t)-1, &r), PERILUNE_ERR_LIMITED);
    CHECK(strstr(perilune_errmsg(g), "limits.body") != NULL);
    CHECK_INT(perilune_request_new(g, PATH, "{}", 1001, &r), PERILUNE_ERR_LIMITED);
    static char long_path[9000];
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[0] = '/';
    CHECK_INT(perilune_request_new(g, long_path, "{}", 2, &r), PERILUNE_ERR_INVAL);
    CHECK(r == NULL);
    r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_set(NULL, "a", "b"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, NULL, "b"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "", "b"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "a b", "b"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "a", "b\nc: d"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "tenant", "b\nc"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "tenant", long_path), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_set(r, "content-length", "7"), PERILUNE_ERR_INVAL);
    CHECK(strstr(perilune_request_errmsg(r), "content-length") != NULL);
    int rc = 0, n = 0;
    for (; rc == 0 && n < 200; n++) {
        char name[20];
        snprintf(name, sizeof(name), "x-%d", n);
        rc = perilune_request_set(r, name, "v");
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK_INT(n, 101);
    CHECK_INT(perilune_request_start(r, NULL, NULL), PERILUNE_ERR_LIMITED); /* its content-type */
    CHECK_INT(perilune_request_set(r, "x-5", NULL), 0);
    CHECK_INT(perilune_request_next(r, &ev, 0), PERILUNE_ERR_STATE);
    CHECK(ev == NULL);
    CHECK_INT(perilune_request_text(r, &text), PERILUNE_ERR_STATE);
    CHECK_INT(text.len, 0);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_start(r, NULL, NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_request_next(r, NULL, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_text(r, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK_INT(perilune_request_start(NULL, NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_next(NULL, &ev, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_request_text(NULL, &text), PERILUNE_ERR_INVAL);
    perilune_request_pause(NULL, 1);
    perilune_request_cancel(NULL);
    perilune_request_free(NULL);
    CHECK(perilune_request_errmsg(NULL)[0] != '\0');
    CHECK_INT(perilune_post(NULL, NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_post(g, NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_poll(NULL, 0), PERILUNE_ERR_INVAL);
    perilune_request_free(r);
    /* NUL in a body is no JSON; in a string it is a character. */
    CHECK_INT(perilune_request_new(g, PATH, "{}\0\0", 4, &r), 0);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), PERILUNE_ERR_INVAL);
    CHECK(strstr(perilune_request_errmsg(r), "JSON") != NULL);
    perilune_request_free(r);
    perilune_close(g);

    perilune_options o = PERILUNE_OPTIONS_INIT;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_start(r, NULL, NULL), PERILUNE_ERR_STATE);
    CHECK(strstr(perilune_request_errmsg(r), "no configuration") != NULL);
    perilune_close(g);
    perilune_request_free(r);
}

/* -- No sockets ---------------------------------------------------------------------------------- */

static int open_sockets(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[300], to[100];
        snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
        ssize_t len = readlink(path, to, sizeof(to));
        struct sockaddr_in a;
        socklen_t size = sizeof(a);
        bool is_socket = len > 7 && memcmp(to, "socket:", 7) == 0; /* libcurl has a pair of its own, to wake itself */
        n += is_socket && getsockname(atoi(e->d_name), (struct sockaddr *)&a, &size) == 0 && a.sin_family == AF_INET;
    }
    closedir(d);
    return n;
}

TEST_NOFAULT(no_socket_is_opened) {
    int before = open_sockets();
    for (int threads = 0; threads < 2; threads++) {
        perilune *g = open_with("listen = '127.0.0.1:0', " HELLO, threads);
        check_answer(g, PATH, CHAT(""), NULL, NULL);
        CHECK_INT(open_sockets(), before);
        perilune_close(g);
    }
}

/* -- Callbacks that call ---------------------------------------------------------------------------- */

static void frees_itself(struct heard *h, perilune_request *r, const perilune_event *ev) {
    (void)ev;
    if (h->events == h->count) perilune_request_free(r), h->over = true;
}

static void frees_other(struct heard *h, perilune_request *r, const perilune_event *ev) {
    (void)r, (void)ev;
    perilune_request_free(h->other);
    h->other = NULL;
}

TEST_NOFAULT(requests_that_are_freed_in_callbacks) {
    perilune *g = open_with(SIM, 0);
    for (int stream = 0; stream < 2; stream++)
        for (int at = 1; at < 12; at++) {
            struct heard h = { .each = frees_itself, .count = at };
            perilune_request *r = request(g, PATH, stream ? CHAT(",\"stream\":true") : CHAT(""));
            CHECK_INT(perilune_request_start(r, on_event, &h), 0);
            poll_until_over(g, &h);
            if (h.events < at) perilune_request_free(r);
            forget(&h);
        }
    for (int running = 0; running < 2; running++) {
        struct heard h = { .each = frees_other }, none = { .over = false };
        perilune_request *r = request(g, PATH, CHAT(""));
        h.other = request(g, PATH, CHAT(",\"stream\":true"));
        CHECK_INT(perilune_request_start(r, on_event, &h), 0);
        if (running) CHECK_INT(perilune_request_start(h.other, on_event, &none), 0);
        poll_until_over(g, &h);
        perilune_request_free(r);
        forget(&h);
        forget(&none);
    }
    char stats[65536];
    while (perilune_poll(g, 0) == 0 && perilune_stats(g, stats, sizeof(stats)) > 0 &&
           strstr(stats, "perilune_in_flight 0\n") == NULL)
        continue;
    perilune_close(g);
}

/* Events asked for, while a callback of another request frees the one that is asked. */
TEST_NOFAULT(a_request_that_is_freed_while_it_is_waited_for) {
    perilune *g = open_with(POLICY("if req.n == 1 then perilune.sleep(60) end return perilune.respond{ text = 'x' }"), 0);
    struct heard h = { .each = frees_other };
    const perilune_event *ev;
    perilune_request *r = request(g, PATH, CHAT("")), *slow = h.other = request(g, PATH, CHAT(",\"n\":1"));
    CHECK_INT(perilune_request_start(slow, NULL, NULL), 0);
    CHECK_INT(perilune_request_start(r, on_event, &h), 0);
    CHECK_INT(perilune_request_next(slow, &ev, -1), PERILUNE_ERR_STATE);
    poll_until_over(g, &h);
    perilune_request_free(r);
    forget(&h);
    perilune_close(g);
}

static void calls_back(struct heard *h, perilune_request *r, const perilune_event *ev) {
    const perilune_event *other;
    perilune_str text;
    (void)ev;
    CHECK_INT(perilune_poll(h->g, 0), PERILUNE_ERR_STATE);
    CHECK(strstr(perilune_errmsg(h->g), "callback") != NULL);
    CHECK_INT(perilune_run(h->g), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_request_next(r, &other, 0), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_request_text(r, &text), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_reload(h->g), 0);
    CHECK_INT(perilune_listen(h->g, "127.0.0.1:0"), 0);
    CHECK(perilune_stats(h->g, NULL, 0) > 0);
    if (h->count++ > 0) return;
    CHECK_INT(perilune_request_start(h->other, NULL, NULL), 0);
    CHECK_INT(perilune_request_next(h->other, &other, 0), PERILUNE_ERR_STATE);
}

TEST_NOFAULT(callbacks_that_use_the_library) {
    char path[] = "/tmp/perilune-request-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fprintf(f, "local perilune = require 'perilune' return { %s }", HELLO);
    fclose(f);
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = path;
    struct heard h = { .each = calls_back };
    CHECK_INT(perilune_open(&h.g, &o, NULL, 0), 0);
    perilune_str text;
    h.other = request(h.g, PATH, CHAT(""));
    h.r = request(h.g, PATH, CHAT(",\"stream\":true"));
    CHECK_INT(perilune_request_start(h.r, on_event, &h), 0);
    poll_until_over(h.g, &h);
    CHECK_INT(perilune_request_text(h.other, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("hello"));
    perilune_request_free(h.other);
    perilune_request_free(h.r);
    perilune_close(h.g);
    forget(&h);
    unlink(path);
}

static void closes(struct heard *h, perilune_request *r, const perilune_event *ev) {
    (void)r, (void)ev;
    if (h->g == NULL) return;
    perilune_close(h->g);
    perilune_close(h->g);
    h->g = NULL;
}

static void asks_while_closing(struct heard *h, perilune_request *r, const perilune_event *ev) {
    perilune_request *other;
    if (ev->type != PERILUNE_EV_ERROR) return;
    CHECK_INT(perilune_request_new(h->g, PATH, "{}", 2, &other), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_post(h->g, (perilune_posted)(void *)asks_while_closing, NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_reload(h->g), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_poll(h->g, 0), PERILUNE_ERR_STATE);
    perilune_close(h->g);
    perilune_request_free(r);
    h->count++;
}

/* In each way of turning the loop. */
TEST_NOFAULT(a_callback_that_closes_the_gateway) {
    for (int how = 0; how < 4; how++) {
        const perilune_event *ev;
        NOTE("way %d", how);
        struct heard h = { .each = closes }, waits = { .each = asks_while_closing };
        perilune *g = open_with(POLICY("if req.n == 1 then perilune.sleep(60) end return perilune.respond{ text = 'x' }"),
                                0);
        h.g = waits.g = g;
        perilune_request *r = request(g, PATH, CHAT("")), *slow = request(g, PATH, CHAT(",\"n\":1")),
                         *pulled = request(g, PATH, CHAT(",\"n\":1"));
        CHECK_INT(perilune_request_start(slow, on_event, &waits), 0);
        CHECK_INT(perilune_request_start(pulled, NULL, NULL), 0);
        CHECK_INT(perilune_request_start(r, on_event, &h), 0);
        if (how == 0) while (perilune_poll(g, -1) == 0) continue;
        if (how == 1) CHECK_INT(perilune_run(g), 0);
        if (how == 2) CHECK_INT(perilune_request_next(pulled, &ev, -1), PERILUNE_ERR_CANCELED);
        if (how == 3) {
            int rc = 0;
            for (int i = 0; rc == 0 && i < 100; i++) rc = perilune_listen(g, "127.0.0.1:0");
            CHECK_INT(rc, PERILUNE_ERR_CANCELED);
        }
        CHECK(h.g == NULL);
        CHECK_INT(waits.count, 1);
        CHECK_INT(waits.error, PERILUNE_ERR_CANCELED);
        if (how != 2) CHECK_INT(perilune_request_next(pulled, &ev, -1), PERILUNE_ERR_CANCELED);
        CHECK_INT(perilune_request_next(pulled, &ev, -1), PERILUNE_ERR_STATE);
        perilune_request_free(r);
        perilune_request_free(pulled);
        forget(&h);
        forget(&waits);
    }
}

/* -- Requests that outlive their gateway -------------------------------------------------------------- */

TEST_NOFAULT(requests_of_a_gateway_that_is_closed) {
    for (int order = 0; order < 3; order++)
        for (int threads = 0; threads < 2; threads++) {
            enum { NEW, STARTED, ASKING, ANSWERED, OVER, PUSHED, COUNT };
            perilune_request *r[COUNT];
            struct heard h = { .over = false };
            const perilune_event *ev;
            perilune_str text;
            perilune *g = open_with(POLICY("if req.n == 1 then perilune.sleep(60) end "
                                           "return perilune.respond{ text = 'x' }"), threads);
            for (int i = 0; i < COUNT; i++)
                r[i] = request(g, PATH, i == ASKING || i == PUSHED ? CHAT(",\"n\":1") : CHAT(""));
            CHECK_INT(perilune_request_start(r[PUSHED], on_event, &h), 0);
            for (int i = ASKING; i <= OVER; i++) CHECK_INT(perilune_request_start(r[i], NULL, NULL), 0);
            CHECK_INT(perilune_request_text(r[OVER], &text), 0);
            while (perilune_request_next(r[ANSWERED], &ev, -1) != 0) continue;
            CHECK_INT(perilune_request_start(r[STARTED], NULL, NULL), 0);
            perilune_close(g);
            CHECK_SLICE(buf_get(&h.text), SLICE(" error 499 canceled"));
            CHECK_INT(perilune_request_start(r[NEW], NULL, NULL), PERILUNE_ERR_STATE);
            CHECK_INT(perilune_request_set(r[NEW], "a", "b"), 0);
            CHECK_INT(perilune_request_next(r[STARTED], &ev, -1), PERILUNE_ERR_CANCELED);
            CHECK(strstr(perilune_request_errmsg(r[STARTED]), "closed") != NULL);
            CHECK_INT(perilune_request_text(r[ASKING], &text), PERILUNE_ERR_CANCELED);
            CHECK_INT(perilune_request_text(r[ANSWERED], &text), 0); /* its answer was complete */
            CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("x"));
            for (int i = 0; i < COUNT; i++) {
                perilune_request_cancel(r[i]);
                perilune_request_pause(r[i], i & 1);
            }
            for (int i = 0; i < COUNT; i++) perilune_request_free(r[order == 0 ? i : order == 1 ? COUNT - 1 - i : (i * 5 + 3) % COUNT]);
            forget(&h);
        }
}

/* The loop is never turned. */
/* What a timer or work of the loop's own brings makes no descriptor readable: who waits without a limit still gets it. */
TEST_NOFAULT(answers_that_no_descriptor_brings) {
    perilune *g = open_with(POLICY("perilune.sleep(0.01) return perilune.respond{ text = 'slept' }"), 0);
    for (int i = 0; i < 3; i++) {
        perilune_request *r = request(g, PATH, CHAT(""));
        perilune_str text;
        CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
        CHECK_INT(perilune_poll(g, 0), 0); /* the timer runs */
        usleep(15000);                     /* and is due when we come back */
        CHECK_INT(perilune_request_text(r, &text), 0);
        CHECK_INT(text.len, 5);
        perilune_request_free(r);
    }
    perilune_close(g);
}

TEST_NOFAULT(a_program_that_turns_no_loop) {
    perilune *g = open_with(SIM, 0);
    struct heard h[4];
    perilune_request *r[4];
    memset(h, 0, sizeof(h));
    for (int i = 0; i < 4; i++) {
        r[i] = request(g, PATH, CHAT(""));
        CHECK_INT(perilune_request_start(r[i], i & 1 ? on_event : NULL, &h[i]), 0);
    }
    perilune_request_free(r[0]);
    perilune_request_cancel(r[1]);
    perilune_request_cancel(r[2]);
    perilune_request_free(r[2]);
    perilune_close(g);
    perilune_request_free(r[1]);
    CHECK_SLICE(buf_get(&h[1].text), SLICE(" error 499 canceled"));
    CHECK_SLICE(buf_get(&h[3].text), SLICE(" error 499 canceled"));
    perilune_request_free(r[3]);
    for (int i = 0; i < 4; i++) forget(&h[i]);
}

TEST_NOFAULT(a_request_that_is_freed_twice) {
    perilune *g = open_with(HELLO, 0);
    perilune_request *r = request(g, PATH, CHAT(""));
    perilune_request_free(r);
    CHECK(!is_logged("was freed before"));
    perilune_request_free(r); /* it is kept for that, in builds for tests */
    CHECK_INT(perilune_request_start(r, NULL, NULL), PERILUNE_ERR_INVAL);
    r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    perilune_request_free(r);
    perilune_request_free(r); /* it has not stopped yet */
    perilune_close(g);
    CHECK(is_logged("perilune_request_free("));
    CHECK(is_logged("perilune_request_start("));
    CHECK(is_logged("the request was freed before"));
}

TEST_NOFAULT(two_gateways) {
    perilune *a = open_with(HELLO, 0), *b = open_with(POLICY("return perilune.respond{ text = 'other' }"), 1);
    perilune_request *r = request(a, PATH, CHAT("")), *s = request(b, PATH, CHAT(""));
    perilune_str text;
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_start(s, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(s, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("other"));
    perilune_close(b);
    CHECK_INT(perilune_request_text(r, &text), 0);
    CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("hello"));
    perilune_request_free(s);
    perilune_request_free(r);
    perilune_close(a);
}

/* -- Cancel ----------------------------------------------------------------------------------------------- */

struct canceler {
    pthread_t         thread;
    perilune_request *r;
    atomic_bool       go;
    int               spins;
};

static void *cancel_soon(void *arg) {
    struct canceler *c = arg;
    while (!atomic_load(&c->go)) sched_yield();
    for (int i = 0; i < c->spins; i++) sched_yield();
    perilune_request_cancel(c->r);
    return NULL;
}

TEST_NOFAULT(another_thread_cancels) {
    perilune *g = open_with(SIM, 0);
    int canceled = 0, ended = 0;
    for (int i = 0; i < 120; i++) {
        struct heard h = { .over = false };
        struct canceler c = { .spins = i * i / 40 };
        c.r = request(g, PATH, i & 1 ? CHAT(",\"stream\":true") : CHAT(""));
        CHECK_INT(pthread_create(&c.thread, NULL, cancel_soon, &c), 0);
        if (i % 3 == 0) atomic_store(&c.go, true);
        CHECK_INT(perilune_request_start(c.r, on_event, &h), 0);
        atomic_store(&c.go, true);
        poll_until_over(g, &h);
        CHECK(h.error == 0 || h.error == PERILUNE_ERR_CANCELED);
        canceled += h.error != 0;
        ended += h.error == 0;
        if (i % 4 == 0) { /* the letter may come after it was freed */
            pthread_join(c.thread, NULL);
            perilune_request_free(c.r);
        } else {
            pthread_join(c.thread, NULL);
            perilune_poll(g, 0);
            perilune_request_free(c.r);
        }
        forget(&h);
    }
    CHECK(canceled > 0);
    CHECK_INT(canceled + ended, 120);
    perilune_close(g);
}

static void cancels_itself(struct heard *h, perilune_request *r, const perilune_event *ev) {
    (void)ev;
    if (h->count++ == 0) perilune_request_cancel(r);
}

TEST_NOFAULT(cancel_at_each_state) {
    perilune *g = open_with(SIM, 0);
    const perilune_event *ev;
    perilune_str text;
    perilune_request *r = request(g, PATH, CHAT(""));
    perilune_request_cancel(r); /* new */
    perilune_request_cancel(r);
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_next(r, &ev, -1), PERILUNE_ERR_CANCELED);
    CHECK_SLICE(slice_of(ev->name.ptr, ev->name.len), SLICE("canceled"));
    perilune_request_free(r);
    r = request(g, PATH, CHAT("")); /* complete */
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    perilune_request_cancel(r);
    perilune_poll(g, 0);
    CHECK_INT(perilune_request_text(r, &text), 0);
    perilune_request_free(r);
    /* Within a callback: what waits does not come any more. */
    struct upstream u;
    upstream_start(&u);
    perilune *slow = open_before(&u, "");
    atomic_store(&u.reply, STREAM);
    atomic_store(&u.endless, 48u << 20);
    struct heard h = { .each = cancels_itself };
    r = request(slow, PATH, CHAT(",\"stream\":true"));
    CHECK_INT(perilune_request_start(r, on_event, &h), 0);
    poll_until_over(slow, &h);
    CHECK_INT(h.error, PERILUNE_ERR_CANCELED);
    CHECK_INT(h.events, 2);
    perilune_request_free(r);
    forget(&h);
    r = request(slow, PATH, CHAT(",\"stream\":true")); /* freed before the letter is opened */
    CHECK_INT(perilune_request_start(r, on_event, &h), 0);
    perilune_poll(slow, 1);
    perilune_request_cancel(r);
    perilune_request_free(r);
    for (int i = 0; i < 10; i++) perilune_poll(slow, 0);
    forget(&h);
    perilune_close(slow);
    upstream_stop(&u);
    perilune_close(g);
    CHECK(is_logged("\"status\":499"));
}

/* -- Threads of workers, reload, drain ------------------------------------------------------------------------ */

static atomic_bool look;

static void *read_stats(void *arg) {
    char text[65536];
    while (atomic_load(&look)) perilune_stats(arg, text, sizeof(text));
    return NULL;
}

TEST_NOFAULT(beside_workers_with_threads) {
    perilune *g = open_with("jobs = { memory = true }, listen = '127.0.0.1:0', " HELLO, 2);
    pthread_t reader;
    perilune_str text;
    atomic_store(&look, true);
    CHECK_INT(pthread_create(&reader, NULL, read_stats, g), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    for (int i = 0; i < 3; i++) {
        perilune_request *r = request(g, PATH, CHAT(""));
        CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
        CHECK_INT(perilune_request_text(r, &text), 0);
        CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("hello"));
        perilune_request_free(r);
        CHECK_INT(perilune_listen(g, i & 1 ? "127.0.0.1:0" : NULL), 0);
        CHECK(perilune_port(g) > 0);
    }
    atomic_store(&look, false);
    pthread_join(reader, NULL);
    perilune_close(g);
}

TEST_NOFAULT(reload_and_drain) {
    for (int threads = 0; threads < 2; threads++) {
        char path[] = "/tmp/perilune-request-XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        static const char *const texts[] = { "one", "two" };
        perilune_options o = PERILUNE_OPTIONS_INIT;
        perilune *g = NULL;
        perilune_str text;
        perilune_request *old = NULL;
        o.config = path;
        o.threads = threads;
        o.log = on_log;
        for (int i = 0; i < 2; i++) {
            FILE *f = fopen(path, "w");
            fprintf(f, "local perilune = require 'perilune'\nreturn { %s }",
                    i == 0 ? POLICY("if req.n == 1 then perilune.sleep(0.05) end return perilune.respond{ text = 'one' }")
                           : POLICY("return perilune.respond{ text = 'two' }"));
            fclose(f);
            CHECK_INT(i == 0 ? perilune_open(&g, &o, NULL, 0) : perilune_reload(g), 0);
            perilune_request *r = request(g, PATH, CHAT(""));
            CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
            CHECK_INT(perilune_request_text(r, &text), 0);
            CHECK_SLICE(slice_of(text.ptr, text.len), slice_str(texts[i]));
            perilune_request_free(r);
            if (i > 0) continue;
            old = request(g, PATH, CHAT(",\"n\":1"));
            CHECK_INT(perilune_request_start(old, NULL, NULL), 0);
            for (int k = 0; k < 3; k++) perilune_poll(g, 0); /* it has begun */
        }
        struct heard h = { .over = false };
        perilune_request *late = request(g, PATH, CHAT("")), *last = request(g, PATH, CHAT(""));
        CHECK_INT(perilune_request_start(last, on_event, &h), 0);
        perilune_drain(g, 20000);
        CHECK_INT(perilune_run(g), 0); /* ends when all have */
        CHECK(h.over);
        CHECK_INT(h.error, 0);
        CHECK_INT(perilune_request_text(old, &text), 0);
        CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("one")); /* on the configuration that it began with */
        CHECK_INT(perilune_request_start(late, NULL, NULL), PERILUNE_ERR_STATE);
        CHECK(strstr(perilune_request_errmsg(late), "drain") != NULL);
        perilune_close(g);
        perilune_request_free(old);
        perilune_request_free(late);
        perilune_request_free(last);
        forget(&h);
        unlink(path);
    }
}

/* One that is not pulled, and one that is paused, whose answers are larger than what may wait. */
TEST_NOFAULT(a_drain_does_not_wait_for_who_takes_nothing) {
    struct upstream u;
    upstream_start(&u);
    atomic_store(&u.reply, STREAM);
    atomic_store(&u.endless, 48u << 20);
    for (int pulls = 0; pulls < 2; pulls++) {
        struct heard h = { .over = false };
        perilune *g = open_before(&u, "");
        perilune_request *r = request(g, PATH, CHAT(",\"stream\":true"));
        CHECK_INT(perilune_request_start(r, pulls ? NULL : on_event, &h), 0);
        perilune_request_pause(r, !pulls);
        for (int i = 0; i < 200; i++) perilune_poll(g, 1);
        uint64_t begun = loop_hrtime_us();
        perilune_drain(g, 60000);
        CHECK_INT(perilune_run(g), 0);
        CHECK(loop_hrtime_us() - begun < 20000000);
        perilune_request_free(r);
        perilune_close(g);
        forget(&h);
    }
    upstream_stop(&u);
}

TEST_NOFAULT(a_gateway_that_is_stopped) {
    perilune *g = open_with(POLICY("perilune.sleep(60)"), 0);
    const perilune_event *ev;
    perilune_request *r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    CHECK_INT(perilune_request_next(r, &ev, 0), PERILUNE_ERR_AGAIN);
    CHECK_INT(perilune_request_next(r, &ev, 5), PERILUNE_ERR_AGAIN);
    CHECK(ev == NULL);
    perilune_stop(g);
    CHECK_INT(perilune_request_next(r, &ev, -1), PERILUNE_ERR_STATE);
    CHECK(strstr(perilune_request_errmsg(r), "stopped") != NULL);
    perilune_close(g);
    perilune_request_free(r);
}

/* -- Posts -------------------------------------------------------------------------------------------------------- */

static int posted[3];
static bool in_order = true;

static void count_post(perilune *g, void *ud) {
    size_t v = (size_t)ud, thread = v >> 32, n = v & 0xffffffff;
    CHECK(g != NULL);
    in_order &= (size_t)posted[thread] == n;
    posted[thread]++;
}

struct poster {
    pthread_t thread;
    perilune *g;
    size_t    number, taken;
    int       last;
};

static void *post_until_refused(void *arg) {
    struct poster *p = arg;
    do {
        p->last = perilune_post(p->g, count_post, (void *)(p->number << 32 | p->taken));
        if (p->last == 0) p->taken++;
        else sched_yield();
    } while (p->last == 0 || p->last == PERILUNE_ERR_LIMITED);
    return NULL;
}

static struct poster posters[3];

/* Called while the gateway is being closed: holds that up until all have been refused. */
static void join_posters(void *ud, int level, perilune_str line) {
    (void)ud, (void)level;
    static bool joined;
    if (joined || line.len == 0 || memmem(line.ptr, line.len, "request", 7) == NULL) return;
    joined = true;
    for (int i = 0; i < 3; i++) pthread_join(posters[i].thread, NULL);
}

/* What was taken runs, once each and in order; what comes too late is refused. */
TEST_NOFAULT(posts_while_the_gateway_is_closed) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char path[] = "/tmp/perilune-request-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fprintf(f, "local perilune = require 'perilune'\nreturn { %s }", POLICY("perilune.sleep(60)"));
    fclose(f);
    o.config = path;
    o.log = join_posters;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    perilune_request *r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) perilune_poll(g, 0);
    for (size_t i = 0; i < 3; i++) {
        posters[i].g = g;
        posters[i].number = i;
        CHECK_INT(pthread_create(&posters[i].thread, NULL, post_until_refused, &posters[i]), 0);
    }
    while (posted[0] + posted[1] + posted[2] < 1000) perilune_poll(g, 1);
    perilune_close(g); /* the request's line in the log waits for the threads */
    for (int i = 0; i < 3; i++) {
        CHECK_INT(posters[i].last, PERILUNE_ERR_STATE);
        CHECK_INT(posted[i], posters[i].taken);
    }
    CHECK(in_order);
    perilune_request_free(r);
    unlink(path);
}

/* What comes behind the piece that found no room would hide that it is missing. */
TEST_NOFAULT(a_text_that_lost_a_piece_stays_lost) {
    perilune *g = open_with("upstreams = { up = { sim = { tokens = 30, itl_ms = 1 } } }", 0);
    perilune_request *r = request(g, PATH, CHAT(",\"stream\":true"));
    perilune_str text;
    g->config->lua.max_answer = 20;
    CHECK_INT(perilune_request_start(r, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(perilune_request_text(r, &text), PERILUNE_ERR_LIMITED);
        CHECK(text.len <= 20);
        CHECK_STR(perilune_request_errmsg(r), "the text is larger than may be kept (upstreams.*.max_body)");
    }
    perilune_request_free(r);
    perilune_close(g);
}

static void post_more(perilune *g, void *ud) {
    int *left = ud;
    if (--*left > 0) CHECK_INT(perilune_post(g, post_more, ud), 0);
}

static void start_posted(perilune *g, void *ud) {
    struct heard *h = ud;
    h->r = request(g, PATH, CHAT(""));
    CHECK_INT(perilune_request_start(h->r, on_event, h), 0);
}

static void close_posted(perilune *g, void *ud) {
    *(bool *)ud = true;
    perilune_close(g);
}

TEST_NOFAULT(posts_have_a_limit) {
    perilune *g = open_with(HELLO, 0);
    int rc = 0;
    size_t n = 0;
    posted[0] = 0;
    for (; rc == 0 && n < 100000; n++) rc = perilune_post(g, count_post, (void *)n);
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK_INT(n, 65537);
    while (posted[0] < 65536) perilune_poll(g, 0);
    int left = 10;
    CHECK_INT(perilune_post(g, post_more, &left), 0);
    while (left > 0) perilune_poll(g, -1);
    struct heard h = { .over = false };
    CHECK_INT(perilune_post(g, start_posted, &h), 0);
    poll_until_over(g, &h);
    CHECK_INT(h.error, 0);
    bool ran = false;
    CHECK_INT(perilune_post(g, close_posted, &ran), 0);
    CHECK_INT(perilune_run(g), 0);
    CHECK(ran);
    perilune_request_free(h.r);
    forget(&h);
}

/* -- Memory --------------------------------------------------------------------------------------------------------- */

/* Whatever allocation fails: an answer, or an end that says so, and the next one is good. */
static void starve(const char *config, const char *json, bool forever) {
    perilune *g = open_with(config, 0);
    bool reached = true;
    for (long n = 1; reached; n++) {
        for (int fails = 1; fails >= 0; fails--) {
            perilune_request *r;
            perilune_str text = { "", 0 };
            NOTE("allocation %ld%s of %s", n, forever ? " and all behind it" : "", json);
            mem_fail_at(fails ? n : 0, forever);
            int rc = perilune_request_new(g, PATH, json, strlen(json), &r);
            if (rc == 0) rc = perilune_request_set(r, "x-a", "b");
            if (rc == 0) rc = perilune_request_start(r, NULL, NULL);
            bool started = rc == 0;
            for (int i = 0; started && i < 50; i++) perilune_poll(g, 0);
            if (started) rc = perilune_request_text(r, &text);
            if (fails) reached = mem_fail_count() >= n;
            mem_fail_at(0, false);
            if (rc == 0) CHECK_SLICE(slice_of(text.ptr, text.len), SLICE("hello"));
            else CHECK(fails && reached && (rc == PERILUNE_ERR_NOMEM || rc == PERILUNE_ERR_POLICY));
            perilune_request_free(r);
        }
        CHECK(n < 3000);
        if (!reached) CHECK(n > 15);
    }
    perilune_close(g);
}

TEST_NOFAULT(one_allocation_fails) {
    starve(HELLO, CHAT(""), false);
    starve(HELLO, CHAT(",\"stream\":true"), false);
}

TEST_NOFAULT(memory_is_gone) {
    starve(HELLO, CHAT(""), true);
    starve(HELLO, CHAT(",\"stream\":true"), true);
}

/* What a start allocates that opens the worker and its Lua state; some of these, of LuaJIT, crash it when they
 * fail (test_bridge.c says more). */
#define LUAJIT_FIRST 3
#define LUAJIT_LAST  20

TEST_NOFAULT(the_worker_of_the_program_finds_no_memory) {
    for (int forever = 0; forever < 2; forever++) {
        perilune *g = open_with(HELLO, 1);
        perilune_request *r = request(g, PATH, CHAT(""));
        perilune_str text;
        int rc = PERILUNE_ERR_NOMEM, failed = 0;
        for (long n = 1; rc != 0; n++) {
            bool had = g->home != NULL;
            if (had && n >= LUAJIT_FIRST && n <= LUAJIT_LAST) continue;
            NOTE("allocation %ld", n);
            mem_fail_at(n, forever);
            rc = perilune_request_start(r, NULL, NULL);
            mem_fail_at(0, false);
            if (rc != 0) CHECK(perilune_request_errmsg(r)[0] != '\0');
            failed += rc != 0;
            if (!had && g->home != NULL) n = 0; /* from here on its state */
            if (n > 100) n += n / 30;
        }
        CHECK(failed > 20);
        CHECK_INT(perilune_request_text(r, &text), 0);
        perilune_request_free(r);
        perilune_close(g);
    }
}
