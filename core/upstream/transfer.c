/* transfer.c -- a call through libcurl: HTTP/2, proxies.
 *
 *     call --start--> easy handle of the pool ... multi ... done --> call_on_end
 *                        |  on_header, on_body
 *                        +--> call_on_status, _field, _head_end, _body
 *
 * libcurl sends a request again that got nothing back on a kept connection, up to five times, however long it
 * was worked on.  We decide that (http1.c says how) where it opens a socket, or is about to send on another kept
 * connection: once more on a new one, or not at all.
 *
 * Easy handles are kept per target with all constant options set; a call changes URL,
 * body and headers.  Nobody removes a handle inside one of its callbacks: there the call
 * is only marked as over, and stop() follows from deferred work. */
#include "upstream/transfer.h"

#include "base/mem.h"
#include "upstream/call_int.h"
#include "upstream/reach.h"

#define STREAM_BUFFER 2048L  /* some ten tokens */
#define WHOLE_BUFFER  65536L /* an answer in few reads */

struct transfer {
    CURL              *easy;
    struct curl_slist *headers; /* in the arena */
    struct arena       arena;   /* URL, header lines */
    const char        *malformed; /* what is wrong with the head, though curl takes it */
    uint64_t           opened_ms, sent_ms; /* when it opened its first socket, began to send; 0: not yet */
    bool               added, fresh; /* fresh: on a connection that nobody used before */
    bool               barred; /* an address may not be called (reach.h) */
    bool               again, at_once; /* libcurl would send it again; what it had was at an end at once */
    char               error[CURL_ERROR_SIZE]; /* curl's sentence */
};

/* -- Easy handles -------------------------------------------------------------------- */

static size_t on_body(char *ptr, size_t size, size_t n, void *ud);
static size_t on_header(char *ptr, size_t size, size_t n, void *ud);
static curl_socket_t on_socket(void *ud, curlsocktype purpose, struct curl_sockaddr *a);
static int on_send(void *ud, char *to, char *from, int to_port, int from_port);

static CURL *easy_new(struct call_pool *p, bool stream) {
    const struct target *t = p->target;
    CURL *e = curl_easy_init();
    if (e == NULL) return NULL;
    multi_prepare(&p->client->multi, e);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, stream ? STREAM_BUFFER : WHOLE_BUFFER);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                     t->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    if (t->http2 && multi_shares_connections()) curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
    /* "" keeps curl from asking the environment anew for every call. */
    bool from_environment = p->client->env_proxy && t->reach == NULL;
    if (t->proxy || !from_environment) curl_easy_setopt(e, CURLOPT_PROXY, t->proxy ? t->proxy : "");
    if (t->proxy) curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* what is configured goes before no_proxy */
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's head is not the upstream's */
    if (t->ca) curl_easy_setopt(e, CURLOPT_CAINFO, t->ca);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)t->timeouts.connect_ms);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_send);
    return e;
}

static CURL *easy_get(struct call_pool *p, bool stream) {
    struct call_idle *i = &p->idle[!stream];
    return i->len > 0 ? i->handles[--i->len] : easy_new(p, stream);
}

static void easy_put(struct call_pool *p, bool stream, CURL *e) {
    struct call_idle *i = &p->idle[!stream];
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 0L);
    if (i->len < sizeof(i->handles) / sizeof(*i->handles)) i->handles[i->len++] = e;
    else curl_easy_cleanup(e);
}

/* -- Receiving ------------------------------------------------------------------------- */

static int status_of(struct slice line) {
    const char *sp = memchr(line.ptr, ' ', line.len);
    int status = 0;
    for (int i = 1; sp != NULL && i <= 3; i++) {
        if (sp + i >= line.ptr + line.len || sp[i] < '0' || sp[i] > '9') return 0;
        status = status * 10 + (sp[i] - '0');
    }
    return status;
}

/* Curl takes lines that http/parse.c refuses: where a line ends must not be a matter of opinion.
 * NULL when *line is one, which then has no CRLF any more. */
static const char *refuse_line(struct slice *line) {
    if (line->len < 2 || line->ptr[line->len - 2] != '\r' || line->ptr[line->len - 1] != '\n')
        return "line ends with LF alone";
    line->len -= 2;
    for (size_t i = 0; i < line->len; i++) {
        unsigned char c = (unsigned char)line->ptr[i];
        if (c == '\r') return "CR without LF";
        if ((c < 0x20 && c != '\t') || c == 0x7f) return "control byte in the head";
    }
    return NULL;
}

static size_t on_header(char *ptr, size_t size, size_t n, void *ud) {
    struct call *c = ud;
    struct slice line = slice_of(ptr, size * n);
    if (call_is_over(c)) return 0;
    c->transfer->malformed = refuse_line(&line);
    if (c->transfer->malformed != NULL) return 0; /* curl gives up, transfer_done() follows */
    const char *colon = memchr(line.ptr, ':', line.len);
    if (slice_starts(line, SLICE("HTTP/"))) {
        call_on_status(c, status_of(line));
    } else if (line.len == 0) {
        if (c->status >= 200 && c->phase == CALL_HEAD) call_on_head_end(c);
    } else if (colon != NULL) {
        struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
        call_on_field(c, name, slice_trim(slice_of(colon + 1, (size_t)(line.ptr + line.len - colon - 1))));
    }
    return size * n;
}

static size_t on_body(char *ptr, size_t size, size_t n, void *ud) {
    struct call *c = ud;
    if (call_is_over(c)) return 0;
    bool was_paused = c->paused;
    enum flow flow = call_on_body(c, slice_of(ptr, size * n));
    if (call_is_over(c)) return 0; /* curl gives up, stop() follows */
    if (flow == FLOW_FULL && !was_paused) {
        curl_easy_pause(c->transfer->easy, CURLPAUSE_RECV);
        multi_hold(&c->pool->client->multi, c->transfer->easy, true);
    }
    return size * n;
}

/* -- Sending ------------------------------------------------------------------------------- */

/* Was it sent, and libcurl would send it again?  To make a connection takes two round trips at least, with TLS. */
static bool is_again(struct call *c) {
    struct transfer *t = c->transfer;
    if (t->sent_ms == 0) return false;
    if (!t->again) t->at_once = call_is_at_once(loop_now(call_loop(c)) - t->sent_ms, c->pool->connect_ms / 2);
    t->again = true;
    return true;
}

/* As is_again() has it, of what ended without an answer. */
static bool is_at_once(struct call *c) {
    const struct transfer *t = c->transfer;
    if (t->sent_ms == 0 || c->status != 0) return false;
    return t->again ? t->at_once : call_is_at_once(loop_now(call_loop(c)) - t->sent_ms, c->pool->connect_ms / 2);
}

/* It may be sent once more, on a new connection. */
static bool begin_again(struct call *c) {
    struct transfer *t = c->transfer;
    if (!t->at_once || t->fresh) return false;
    t->fresh = true;
    t->again = false;
    t->opened_ms = t->sent_ms = 0;
    c->sent = false;
    return true;
}

static curl_socket_t on_socket(void *ud, curlsocktype purpose, struct curl_sockaddr *a) {
    struct call *c = ud;
    (void)purpose;
    c->transfer->barred = c->pool->target->proxy == NULL && !reach_allows(c->pool->target->reach, &a->addr);
    if (c->transfer->barred) return CURL_SOCKET_BAD;
    if (is_again(c) && !begin_again(c)) return CURL_SOCKET_BAD;
    if (c->transfer->opened_ms == 0) c->transfer->opened_ms = loop_now(call_loop(c));
    return multi_open_socket(&c->pool->client->multi, a);
}

/* There is a connection. */
static int on_send(void *ud, char *to, char *from, int to_port, int from_port) {
    struct call *c = ud;
    struct transfer *t = c->transfer;
    (void)to, (void)from, (void)to_port, (void)from_port;
    if (is_again(c)) return CURL_PREREQFUNC_ABORT;
    t->sent_ms = loop_now(call_loop(c));
    c->sent = true;
    if (t->opened_ms != 0) c->pool->connect_ms = (unsigned)(t->sent_ms - t->opened_ms);
    return CURL_PREREQFUNC_OK;
}

/* -- The end --------------------------------------------------------------------------------- */

static void stop(struct call *c) {
    struct transfer *t = c->transfer;
    if (t == NULL) return;
    c->transfer = NULL;
    if (t->added) {
        /* Given up under way, HTTP/2's RST_STREAM is queued, and before libcurl 8.15 sent with the
         * next bytes of its connection.  When no other stream is on it there may be none for long,
         * and the upstream would go on: then the connection is closed. */
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
        multi_remove(&c->pool->client->multi, t->easy);
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 0L);
    }
    if (t->easy != NULL) easy_put(c->pool, c->stream, t->easy);
    arena_deinit(&t->arena);
    mem_free(t);
}

static enum failure_kind kind_of(CURLcode result) {
    switch (result) {
    case CURLE_OK: return FAILURE_NONE;
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
    case CURLE_HTTP2: return FAILURE_MALFORMED;
    case CURLE_HTTP2_STREAM: /* RST_STREAM */
    default: return FAILURE_RESET;
    }
}

/* No connection was made.  A timeout of libcurl's is one of connecting: all others are the call's own. */
static bool is_of_connecting(const struct call *c, enum failure_kind kind) {
    return kind == FAILURE_CONNECT || kind == FAILURE_DNS || kind == FAILURE_TLS ||
           (kind == FAILURE_TIMEOUT && c->status == 0);
}

/* The proxy answered CONNECT, and not with 2xx: curl 7 calls that a failure to receive. */
static bool tunnel_refused(CURL *easy, CURLcode result) {
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &code);
    return (result == CURLE_RECV_ERROR || result == CURLE_COULDNT_CONNECT) && code != 0 && code / 100 != 2;
}

/* Not on another kept connection: they die together, when a server restarts. */
static bool try_fresh(struct call *c) {
    struct transfer *t = c->transfer;
    if (!t->again || !begin_again(c)) return false;
    multi_remove(&c->pool->client->multi, t->easy);
    curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    t->error[0] = '\0';
    t->added = multi_add(&c->pool->client->multi, t->easy) == 0;
    return t->added;
}

void transfer_done(CURL *easy, CURLcode result) {
    char *priv = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &priv);
    struct call *c = (struct call *)priv;
    if (call_is_over(c) || try_fresh(c)) return; /* over: its finish_job is on its way */
    char detail[CURL_ERROR_SIZE];
    if (c->transfer->again) { /* what stopped it was we */
        result = CURLE_GOT_NOTHING;
        c->transfer->error[0] = '\0';
    }
    slice_copy(detail, sizeof(detail), slice_str(c->transfer->error));
    if (c->status == 0 && tunnel_refused(easy, result)) result = CURLE_COULDNT_CONNECT;
    if (c->status == 0 && result == CURLE_PARTIAL_FILE) result = CURLE_RECV_ERROR; /* HTTP/2: nothing came at all */
    struct call_end end = { .kind = kind_of(result), .why = curl_easy_strerror(result),
                            .detail = detail[0] ? detail : NULL };
    end.unsent = is_of_connecting(c, end.kind);
    end.at_once = is_at_once(c);
    if (result == CURLE_OUT_OF_MEMORY && c->phase == CALL_HEAD && c->status != 0) {
        /* What curl says of a head over its limit. */
        end.kind = FAILURE_MALFORMED;
        end.why = "the response head is too large";
    }
    if (c->transfer->barred) {
        end.why = REACH_WHY;
        end.detail = NULL;
    }
    if (c->transfer->malformed != NULL) {
        end.kind = FAILURE_MALFORMED;
        end.why = c->transfer->malformed;
    }
    stop(c);
    call_on_end(c, &end);
}

/* -- Starting -------------------------------------------------------------------------------- */

static int set_url(struct call *c, struct transfer *t) {
    const char *base = c->pool->target->urls[c->url];
    size_t n = strlen(base);
    char *url = arena_alloc(&t->arena, n + c->path.len + 1);
    if (url == NULL) return PERILUNE_ERR_NOMEM;
    memcpy(url, base, n);
    memcpy(url + n, c->path.ptr, c->path.len);
    url[n + c->path.len] = '\0';
    return curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK ? 0 : PERILUNE_ERR_NOMEM;
}

static void set_method(struct call *c, CURL *e) {
    bool post = slice_eq(c->method, SLICE("POST"));
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL);
    if (post || c->body != NULL) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, c->body ? c->body->data : "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(c->body ? c->body->len : 0));
    } else {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    }
    /* By another name for GET curl would wait for the body. */
    if (slice_eq(c->method, SLICE("HEAD")) && c->body == NULL) curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (!post && !slice_eq(c->method, SLICE("GET"))) curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, c->method.ptr);
}

/* curl_slist nodes in the arena: one allocation for all instead of two each. */
static int add_line(struct transfer *t, char *line) {
    struct curl_slist *node = arena_alloc(&t->arena, sizeof(*node));
    if (node == NULL) return PERILUNE_ERR_NOMEM;
    node->data = line;
    node->next = t->headers;
    t->headers = node;
    return 0;
}

static int set_headers(struct call *c, struct transfer *t) {
    static char no_expect[] = "Expect:";
    char *at = arena_dup(&t->arena, c->fields);
    if (at == NULL) return PERILUNE_ERR_NOMEM;
    int err = add_line(t, no_expect);
    for (char *end; err == 0 && (end = strstr(at, "\r\n")) != NULL; at = end + 2) {
        *end = '\0';
        err = add_line(t, at);
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return err;
}

static int start(struct call *c) {
    struct transfer *t = c->transfer = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    arena_init(&t->arena);
    t->easy = easy_get(c->pool, c->stream);
    if (t->easy == NULL || call_join_body(c) != 0 || set_url(c, t) != 0 || set_headers(c, t) != 0) {
        stop(c);
        return PERILUNE_ERR_NOMEM;
    }
    set_method(c, t->easy);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, c);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, c);
    /* A kept connection of libcurl's may be one that others were allowed to make. */
    if (c->pool->target->reach != NULL) curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
    t->added = multi_add(&c->pool->client->multi, t->easy) == 0;
    if (t->added) return 0;
    stop(c);
    return PERILUNE_ERR_NOMEM;
}

static void resume(struct call *c) {
    if (c->transfer == NULL) return;
    multi_hold(&c->pool->client->multi, c->transfer->easy, false);
    curl_easy_pause(c->transfer->easy, CURLPAUSE_CONT);
}

const struct call_ops transfer_ops = { start, stop, resume };
