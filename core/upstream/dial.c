/* dial.c -- from a name to a connected socket, and to TLS on it.
 *
 *     lookup (resolver thread, remembered for a while by the origin)
 *        |  addresses
 *        v
 *     attempt 1 ----250 ms---> attempt 2 ----250 ms---> attempt 3 ...
 *        |  fails: the next at once     |
 *        +--- the first that connects wins, the others are closed
 *        v
 *     handshake, with an origin that speaks TLS: on the same poll handle
 *
 * Several attempts side by side, because the first address of a name may be one that
 * swallows packets (RFC 8305, "Happy Eyeballs": 250 ms is its recommended delay, and
 * families take turns).
 *
 * The result is a bare descriptor: which handle reads it is the receiver's choice.  One deadline
 * (timeouts.connect) is for all of it.  A handshake that fails ends the dial: other addresses of
 * the same name would have the same certificate.
 *
 * Names that are a client's word (an origin with a reach: webhooks) are resolved in threads of their own (names.c),
 * so that those whose servers hang keep no upstream's name waiting.
 *
 * Lifetime: the resolver cannot always be stopped, so a lookup is an object of its own
 * that finds nobody when it comes too late.  A poll handle is freed in its close
 * callback; its descriptor is closed, or given away, right after uv_poll_stop(). */
#include "upstream/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "upstream/names.h"

#define NEXT_MS  250   /* RFC 8305, 5: Connection Attempt Delay */
#define BARRED   (-1)  /* in place of an errno: the address may not be called (reach.h) */

struct attempt {
    uv_poll_t    poll;
    struct dial *dial;
    int          fd;
};

struct lookup {
    uv_getaddrinfo_t req;
    struct dial     *dial; /* NULL: cancelled */
};

struct dial {
    struct origin  *origin; /* a share */
    struct lookup  *lookup;
    struct name_lookup *guest; /* in its place, of an origin that is a client's word */
    struct attempt *attempts[ORIGIN_ADDRESSES];
    unsigned        tried;     /* a bit per address */
    int             family;    /* of the last one tried */
    int             error;     /* of the last one that failed: errno, or BARRED */
    struct attempt *winner;    /* the one with the handshake */
    struct tls     *tls;
    struct timer    next;      /* another attempt is due */
    struct timer    deadline;
    struct deferred finish;
    struct dial_result result;
    char            why[240];  /* what TLS says */
    void          (*done)(void *ud, const struct dial_result *r);
    void           *ud;
};

static struct loop *loop_of(const struct dial *d) { return d->origin->client->loop; }

/* -- The end ------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *h) { mem_free(h->data); }

/* The descriptor is the caller's from here on. */
static int attempt_end(struct attempt *a) {
    int fd = a->fd;
    for (unsigned i = 0; i < ORIGIN_ADDRESSES; i++)
        if (a->dial->attempts[i] == a) a->dial->attempts[i] = NULL;
    uv_poll_stop(&a->poll);
    uv_close((uv_handle_t *)&a->poll, on_closed);
    return fd;
}

static void dial_free(struct dial *d) {
    struct loop *l = loop_of(d);
    if (d->lookup != NULL) {
        d->lookup->dial = NULL;
        uv_cancel((uv_req_t *)&d->lookup->req); /* fails when it runs already */
    }
    if (d->guest != NULL) name_lookup_cancel(d->guest);
    for (unsigned i = 0; i < ORIGIN_ADDRESSES; i++)
        if (d->attempts[i] != NULL) close(attempt_end(d->attempts[i]));
    timer_stop(l, &d->next);
    timer_stop(l, &d->deadline);
    deferred_cancel(&d->finish);
    if (d->result.fd >= 0) close(d->result.fd);
    tls_free(d->tls);
    origin_put(d->origin);
    mem_free(d);
}

void dial_cancel(struct dial *d) { dial_free(d); }

static void finish_job(struct deferred *j) {
    struct dial *d = container_of(j, struct dial, finish);
    struct dial_result r = d->result;
    char why[sizeof(d->why)];
    if (r.why == d->why) r.why = memcpy(why, d->why, sizeof(why));
    if (r.fd >= 0) r.tls = d->tls;
    void (*done)(void *, const struct dial_result *) = d->done;
    void *ud = d->ud;
    if (r.fd >= 0) d->tls = NULL;
    d->result.fd = -1;
    dial_free(d);
    done(ud, &r);
}

static bool is_over(const struct dial *d) { return d->result.kind != FAILURE_NONE || d->result.fd >= 0; }

/* From deferred work: the receiver may not be called from inside dial_new(). */
static void finish(struct dial *d, int fd, enum failure_kind kind, const char *why) {
    if (is_over(d)) return;
    d->result = (struct dial_result){ .fd = fd, .kind = kind, .why = why };
    loop_soon(loop_of(d), &d->finish, finish_job);
}

/* -- TLS ---------------------------------------------------------------------------------- */

static void shake_failed(struct dial *d, enum failure_kind kind, const char *why) {
    tls_ticket_deinit(&d->origin->ticket); /* it may be the reason */
    close(attempt_end(d->winner));
    d->winner = NULL;
    finish(d, -1, kind, why);
}

/* As much of what TLS wrote as the kernel takes.  False when the connection broke. */
static bool shake_send(struct dial *d) {
    struct buf *out = tls_out(d->tls);
    while (buf_len(out) > 0) {
        ssize_t n = send(d->winner->fd, buf_get(out).ptr, buf_len(out), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        buf_consume(out, (size_t)n);
    }
    buf_deinit(out);
    return true;
}

static void on_handshake(uv_poll_t *poll, int status, int events);

/* OpenSSL has what there is.  rc: what tls_handshake() said. */
static void shake_on(struct dial *d, int rc) {
    bool open = shake_send(d); /* also an alert */
    if (buf_failed(tls_out(d->tls))) {
        shake_failed(d, FAILURE_NO_MEMORY, "out of memory");
    } else if (rc < 0) {
        tls_explain(d->tls, d->why, sizeof(d->why));
        shake_failed(d, FAILURE_TLS, d->why);
    } else if (!open) {
        shake_failed(d, FAILURE_TLS, "it closed the connection in the middle of the TLS handshake");
    } else if (rc == 0 || buf_len(tls_out(d->tls)) > 0) {
        bool more = buf_len(tls_out(d->tls)) > 0;
        uv_poll_start(&d->winner->poll, UV_READABLE | (more ? UV_WRITABLE : 0), on_handshake);
    } else {
        int fd = attempt_end(d->winner);
        d->winner = NULL;
        finish(d, fd, FAILURE_NONE, "");
    }
}

/* A server may give tickets before its handshake has an end at our side; nothing else. */
static int shake_rest(struct dial *d) {
    char byte;
    long n = tls_read(d->tls, &byte, 1);
    if (n == 0) return 1;
    if (n == PERILUNE_ERR_IO) return PERILUNE_ERR_IO;
    shake_failed(d, FAILURE_TLS, n > 0 ? "it spoke before it was asked" : "it ended TLS right after the handshake");
    return 0;
}

static void on_handshake(uv_poll_t *poll, int status, int events) {
    struct attempt *a = poll->data;
    struct dial *d = a->dial;
    loop_of(d)->active = true;
    char *bytes = loop_of(d)->scratch;
    if (status == 0 && (events & UV_READABLE) == 0) {
        shake_on(d, tls_handshake(d->tls));
        return;
    }
    ssize_t n = recv(a->fd, bytes, LOOP_SCRATCH, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (n <= 0) {
        snprintf(d->why, sizeof(d->why), "it closed the connection in the middle of the TLS handshake%s%s",
                 n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
        shake_failed(d, FAILURE_TLS, d->why);
        return;
    }
    tls_feed(d->tls, slice_of(bytes, (size_t)n));
    int rc = tls_handshake(d->tls);
    if (rc > 0) rc = shake_rest(d);
    if (!is_over(d)) shake_on(d, rc);
}

/* The socket of a is connected. */
static void shake(struct dial *d, struct attempt *a) {
    for (unsigned i = 0; i < ORIGIN_ADDRESSES; i++)
        if (d->attempts[i] != NULL && d->attempts[i] != a) close(attempt_end(d->attempts[i]));
    d->winner = a;
    d->tls = tls_new_client(d->origin->tls, d->origin->host, &d->origin->ticket);
    if (d->tls == NULL) shake_failed(d, FAILURE_NO_MEMORY, "out of memory");
    else shake_on(d, tls_handshake(d->tls));
}

/* -- Attempts ------------------------------------------------------------------------- */

static void try_next(struct dial *d);

static bool any_running(const struct dial *d) {
    for (unsigned i = 0; i < ORIGIN_ADDRESSES; i++)
        if (d->attempts[i] != NULL) return true;
    return false;
}

static void on_writable(uv_poll_t *poll, int status, int events) {
    (void)events;
    struct attempt *a = poll->data;
    struct dial *d = a->dial;
    loop_of(d)->active = true;
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0 && status < 0) error = -status; /* libuv says EBADF for anything */
    if (error == 0 && !is_over(d)) {
        timer_stop(loop_of(d), &d->next);
        if (d->origin->tls != NULL) shake(d, a);
        else finish(d, attempt_end(a), FAILURE_NONE, "");
        return;
    }
    close(attempt_end(a));
    d->error = error;
    try_next(d);
}

/* errno, or 0 when it runs. */
static int attempt_new(struct dial *d, const union address *addr, unsigned slot) {
    struct attempt *a = mem_zalloc(sizeof(*a));
    if (a == NULL) return ENOMEM;
    a->dial = d;
    a->fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = a->fd < 0 ? errno : 0;
    socklen_t len = addr->any.sa_family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
    if (error == 0 && connect(a->fd, &addr->any, len) != 0 && errno != EINPROGRESS) error = errno;
    if (error == 0) error = -uv_poll_init(&loop_of(d)->uv, &a->poll, a->fd);
    if (error != 0) {
        if (a->fd >= 0) close(a->fd);
        mem_free(a);
        return error;
    }
    a->poll.data = a;
    d->attempts[slot] = a;
    uv_poll_start(&a->poll, UV_WRITABLE, on_writable);
    return 0;
}

/* The next address not yet tried, of the other family if there is one. */
static int choose(const struct dial *d) {
    int found = -1;
    for (unsigned i = 0; i < d->origin->address_count; i++) {
        if (d->tried & 1u << i) continue;
        if (d->origin->addresses[i].any.sa_family != d->family) return (int)i;
        if (found < 0) found = (int)i;
    }
    return found;
}

static int attempt_allowed(struct dial *d, unsigned slot) {
    const union address *a = &d->origin->addresses[slot];
    return reach_allows(d->origin->reach, &a->any) ? attempt_new(d, a, slot) : BARRED;
}

static const char *why_not(const struct dial *d) { return d->error == BARRED ? REACH_WHY : uv_strerror(-d->error); }

static void next_due(struct timer *t) { try_next(container_of(t, struct dial, next)); }

static void try_next(struct dial *d) {
    int i;
    timer_stop(loop_of(d), &d->next);
    if (is_over(d)) return;
    while ((i = choose(d)) >= 0) {
        d->tried |= 1u << i;
        d->family = d->origin->addresses[i].any.sa_family;
        d->error = attempt_allowed(d, (unsigned)i);
        if (d->error != 0) continue;
        if (choose(d) >= 0 && timer_start(loop_of(d), &d->next, NEXT_MS, next_due) != 0) continue;
        return;
    }
    if (any_running(d)) return;
    origin_forget(d->origin);
    finish(d, -1, d->error == ENOMEM ? FAILURE_NO_MEMORY : FAILURE_CONNECT, why_not(d));
}

/* -- Names ------------------------------------------------------------------------------ */

/* why NULL: all is the answer. */
static void looked_up(struct dial *d, const char *why, const struct addrinfo *all) {
    if (why == NULL) origin_keep(d->origin, all);
    if (why != NULL) finish(d, -1, FAILURE_DNS, why);
    else if (d->origin->address_count == 0) finish(d, -1, FAILURE_DNS, "the name has no address");
    else try_next(d);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *all) {
    struct lookup *k = container_of(req, struct lookup, req);
    struct dial *d = k->dial;
    ((struct loop *)req->loop->data)->active = true;
    if (d != NULL) {
        d->lookup = NULL;
        looked_up(d, status != 0 ? uv_strerror(status) : NULL, all);
    }
    uv_freeaddrinfo(all);
    mem_free(k);
}

static void on_guest(void *ud, int rc, const struct addrinfo *all) {
    struct dial *d = ud;
    d->guest = NULL;
    looked_up(d, rc != 0 ? gai_strerror(rc) : NULL, all);
}

static int look_up(struct dial *d) {
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    if (d->origin->reach != NULL) {
        d->guest = name_lookup_new(loop_of(d), d->origin->host, on_guest, d);
        if (d->guest == NULL) finish(d, -1, FAILURE_DNS, "too many names are being looked up");
        return 0;
    }
    struct lookup *k = mem_zalloc(sizeof(*k));
    if (k == NULL) return PERILUNE_ERR_NOMEM;
    k->dial = d;
    if (uv_getaddrinfo(&loop_of(d)->uv, &k->req, on_lookup, d->origin->host, NULL, &hints) != 0) {
        mem_free(k);
        return PERILUNE_ERR_NOMEM;
    }
    d->lookup = k;
    return 0;
}

/* -- Beginning ---------------------------------------------------------------------------- */

static void out_of_time(struct timer *t) {
    struct dial *d = container_of(t, struct dial, deadline);
    if (d->winner != NULL) {
        shake_failed(d, FAILURE_TIMEOUT, "the TLS handshake did not end in time (timeouts.connect)");
        return;
    }
    origin_forget(d->origin);
    finish(d, -1, FAILURE_TIMEOUT, d->lookup || d->guest ? "the name was not resolved in time (timeouts.connect)"
                                             : "no connection in time (timeouts.connect)");
}

struct dial *dial_new(struct origin *o, uint64_t wait_ms,
                      void (*done)(void *ud, const struct dial_result *r), void *ud) {
    struct dial *d = mem_zalloc(sizeof(*d));
    if (d == NULL) return NULL;
    d->origin = o;
    o->refs++;
    d->done = done;
    d->ud = ud;
    d->result.fd = -1;
    struct loop *l = loop_of(d);
    int err = wait_ms ? timer_start(l, &d->deadline, wait_ms, out_of_time) : 0;
    if (err == 0 && origin_is_known(o)) try_next(d);
    else if (err == 0) err = look_up(d);
    if (err == 0) return d;
    dial_free(d);
    return NULL;
}
