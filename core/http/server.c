/* server.c -- listeners of one thread and the connections they accept.
 *
 * Each worker binds the same address with SO_REUSEPORT; the kernel spreads
 * connections over them.  It would share them with a stranger of the same user too, so
 * the first to bind an address tries first whether it is free.  Sockets on paths and those
 * that others opened are shared instead (shared_socket.c).
 *
 * Running out: above limits.connections, or when descriptors end, a new client takes
 * the place of the connection that has been idle longest; its client sees a close
 * between requests, which it has to expect at any time.  One that became idle just now
 * is spared, because its client may be about to use it.  A WebSocket without a request is idle in
 * this sense, too, and is told to try again later.  When none is idle the server
 * does not accept, so the kernel's queue holds new clients until a connection closes;
 * should descriptors or memory end before the limit (another part of the process took
 * them), that lasts a second.  What runs goes on, and one line is logged.  To stop means not
 * to poll the listener: it stays readable, and would keep the loop turning (libuv's
 * own streams do that, and drop clients meanwhile). */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/conn.h"
#include "http/shared_socket.h"

#define BACKLOG      4096 /* the kernel cuts it to net.core.somaxconn, 4096 by default */
#define ACCEPT_MOST  32   /* in one turn: connections that are here come next */
#define FULL_MS      10   /* until we look again whether one has closed */
#define SPARED_MS    100  /* idle for less: a client in a loop comes back within that */
#define DRAIN_HEAD_MS 1000 /* what is left of a head has this long to come when the server drains */
#define RECOVER_MS   1000 /* without descriptors: until accepting is tried again */
#define LOG_EVERY_MS 10000

struct http_listener {
    uv_poll_t           poll;
    int                 fd;
    struct list         link;
    struct http_server *server;
    struct tls_context *tls;
    char                address[128]; /* as configured, with its real port */
    int                 port;         /* bound */
};

int http_server_init(struct http_server *s, struct loop *loop, struct log *log,
                     const struct http_handler *handler, const struct http_limits *limits) {
    *s = (struct http_server){ .loop = loop, .log = log, .handler = *handler, .limits = *limits };
    list_init(&s->conns);
    list_init(&s->idle);
    list_init(&s->listeners);
    s->head = mem_alloc(sizeof(*s->head));
    return s->head ? 0 : PERILUNE_ERR_NOMEM;
}

/* -- Accepting --------------------------------------------------------------------- */

static bool is_full(const struct http_server *s) {
    return s->open >= s->limits.connections ||
           (s->total && s->limits.process && atomic_load_explicit(s->total, memory_order_relaxed) >= s->limits.process);
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* All listeners at once: what ran out, ran out for all. */
static void poll_all(struct http_server *s, bool start) {
    for (struct list *e = s->listeners.next; e != &s->listeners; e = e->next) {
        struct http_listener *l = container_of(e, struct http_listener, link);
        if (start) uv_poll_start(&l->poll, UV_READABLE, on_readable);
        else uv_poll_stop(&l->poll);
    }
    s->paused = !start;
}

/* The connection that has been idle longest, when it may be closed for another one. */
static struct http_conn *longest_idle(struct http_server *s) {
    if (list_is_empty(&s->idle)) return NULL;
    struct http_conn *c = container_of(s->idle.next, struct http_conn, link);
    return loop_now(s->loop) >= c->idle_since_ms + SPARED_MS ? c : NULL;
}

static bool make_room(struct http_server *s) {
    struct http_conn *c = longest_idle(s);
    if (c != NULL) conn_make_room(c);
    return c != NULL;
}

static void accept_again(struct timer *t) {
    struct http_server *s = container_of(t, struct http_server, recover);
    if (is_full(s) && longest_idle(s) == NULL && timer_start(s->loop, t, FULL_MS, accept_again) == 0) return;
    poll_all(s, true);
}

static void pause_for(struct http_server *s, uint64_t ms) {
    if (timer_start(s->loop, &s->recover, ms, accept_again) == 0) poll_all(s, false);
}

static void say_full(struct http_server *s) {
    if (log_limit_pass(&s->fd_log, loop_now(s->loop), LOG_EVERY_MS))
        log_line(s->log, PERILUNE_LOG_WARN,
                 "at the limit of %u connections (limits.connections, or what the limit of open "
                 "file descriptors allows): idle ones are closed for new ones, or these wait",
                 s->limits.connections);
}

static void pause_failed(struct http_server *s, const char *why) {
    if (log_limit_pass(&s->fd_log, loop_now(s->loop), LOG_EVERY_MS))
        log_line(s->log, PERILUNE_LOG_ERROR,
                 "cannot accept a connection: %s; requests in flight go on "
                 "(raise the limit of open files, or lower limits.connections)",
                 why);
    pause_for(s, list_is_empty(&s->idle) ? RECOVER_MS : SPARED_MS);
}

/* Returns whether to go on. */
static bool accept_one(struct http_listener *l) {
    struct http_server *s = l->server;
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) return true; /* that client has left */
        if ((errno == EMFILE || errno == ENFILE) && make_room(s)) {
            say_full(s);
            return true;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK) pause_failed(s, strerror(errno));
        return false;
    }
    struct http_conn *c = conn_new(s);
    if (c == NULL) {
        close(fd);
        pause_failed(s, "out of memory");
        return false;
    }
    if (uv_tcp_open(&c->tcp, fd) != 0) {
        close(fd);
        conn_close(c);
        return true;
    }
    atomic_fetch_add_explicit(&s->stats.accepted, 1, memory_order_relaxed);
    conn_start(c, l->tls);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct http_listener *l = poll->data;
    struct http_server *s = l->server;
    (void)events;
    s->loop->active = true;
    if (status < 0) return;
    for (int i = 0; i < ACCEPT_MOST; i++) {
        if (is_full(s)) {
            say_full(s);
            if (make_room(s)) continue;
            pause_for(s, FULL_MS); /* the kernel keeps the others: nobody is lost */
            return;
        }
        if (!accept_one(l)) return;
    }
}

/* -- Listening ---------------------------------------------------------------------- */

/* "host:port", "[v6]:port", "*:port" -> getaddrinfo's parts. */
static int split_address(const char *address, char *host, size_t hostlen, const char **port) {
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0') return PERILUNE_ERR_INVAL;
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    }
    if (n >= hostlen) return PERILUNE_ERR_INVAL;
    memcpy(host, address, n);
    host[n] = '\0';
    if (strcmp(host, "*") == 0) host[0] = '\0';
    *port = colon + 1;
    char *end;
    long number = strtol(*port, &end, 10);
    return *end == '\0' && number >= 0 && number <= 65535 ? 0 : PERILUNE_ERR_INVAL;
}

/* A socket bound to it, or -1 and errno. */
static int bind_to(const struct addrinfo *to, bool shared) {
    int on = 1, fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        bind(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* A descriptor, or PERILUNE_ERR_INVAL or PERILUNE_ERR_IO. */
static int bound_socket(const char *address, bool alone, struct sockaddr_storage *sa, char *err, size_t errlen) {
    char host[128];
    const char *port;
    if (split_address(address, host, sizeof(host), &port) != 0) {
        snprintf(err, errlen, "'%s' is not host:port with a port from 0 to 65535", address);
        return PERILUNE_ERR_INVAL;
    }
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *info = NULL;
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &info);
    if (rc != 0) {
        snprintf(err, errlen, "cannot listen on %s: %s", address, gai_strerror(rc));
        return PERILUNE_ERR_IO;
    }
    int probe = alone ? bind_to(info, false) : -1, fd = -1;
    if (probe >= 0) close(probe);
    if (probe >= 0 || !alone) fd = bind_to(info, true);
    if (fd < 0)
        snprintf(err, errlen, "cannot listen on %s: %s%s", address, strerror(errno),
                 errno == EADDRINUSE ? " (by another program, or a perilune without `reuse_port`)" : "");
    freeaddrinfo(info);
    socklen_t len = sizeof(*sa);
    if (fd < 0) return PERILUNE_ERR_IO;
    getsockname(fd, (struct sockaddr *)sa, &len);
    return fd;
}

static void on_listener_closed(uv_handle_t *h) {
    struct http_listener *l = h->data;
    tls_context_put(l->tls);
    mem_free(l);
}

static void listener_close(struct http_listener *l) {
    list_remove(&l->link);
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    close(l->fd); /* at once: the address is free for others; the loop has forgotten it */
}

static int bound_port(const struct sockaddr_storage *sa) {
    if (sa->ss_family != AF_INET && sa->ss_family != AF_INET6) return 0;
    return ntohs(sa->ss_family == AF_INET ? ((const struct sockaddr_in *)sa)->sin_port
                                          : ((const struct sockaddr_in6 *)sa)->sin6_port);
}

/* Some address with this port is ours: another one may overlap with it. */
static bool has_port(const struct http_server *s, const char *address) {
    const char *colon = strrchr(address, ':');
    int port = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
    for (struct list *e = s->listeners.next; e != &s->listeners; e = e->next)
        if (container_of(e, struct http_listener, link)->port == port) return true;
    return false;
}

/* Takes fd. */
static int listen_on(struct http_server *s, const char *address, int fd, const struct sockaddr_storage *sa,
                     struct tls_context *tls, int *port, char *err, size_t errlen) {
    struct http_listener *l = mem_zalloc(sizeof(*l));
    if (l == NULL) {
        close(fd);
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    l->server = s;
    l->fd = fd;
    l->port = bound_port(sa);
    if (shared_socket_is(address)) snprintf(l->address, sizeof(l->address), "%s", address);
    else snprintf(l->address, sizeof(l->address), "%.*s:%d", (int)(strrchr(address, ':') - address), address, l->port);
    int rc = listen(fd, BACKLOG) != 0 ? uv_translate_sys_error(errno) : uv_poll_init(&s->loop->uv, &l->poll, fd);
    if (rc != 0) {
        snprintf(err, errlen, "cannot listen on %s: %s", address, uv_strerror(rc));
        close(fd);
        mem_free(l);
        return PERILUNE_ERR_IO;
    }
    l->poll.data = l;
    l->tls = tls_context_ref(tls);
    list_append(&s->listeners, &l->link);
    if (!s->paused) uv_poll_start(&l->poll, UV_READABLE, on_readable);
    *port = l->port;
    return 0;
}

int http_server_listen(struct http_server *s, const char *address, bool alone, struct tls_context *tls,
                       int *port, char *err, size_t errlen) {
    struct sockaddr_storage sa;
    int fd = bound_socket(address, alone && !has_port(s, address), &sa, err, errlen);
    return fd < 0 ? fd : listen_on(s, address, fd, &sa, tls, port, err, errlen);
}

int http_server_share(struct http_server *s, const char *address, int shared, struct tls_context *tls, int *port,
                      char *err, size_t errlen) {
    struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof(sa);
    int fd = fcntl(shared, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        return listen_on(s, address, fd, &sa, tls, port, err, errlen);
    snprintf(err, errlen, "cannot listen on %s: %s", address, strerror(errno));
    if (fd >= 0) close(fd);
    return PERILUNE_ERR_IO;
}

bool http_server_has(const struct http_server *s, const char *address) {
    for (struct list *e = s->listeners.next; e != &s->listeners; e = e->next)
        if (strcmp(container_of(e, struct http_listener, link)->address, address) == 0) return true;
    return false;
}

int http_server_port(const struct http_server *s, const char *address) {
    for (struct list *e = s->listeners.next; e != &s->listeners; e = e->next) {
        const struct http_listener *l = container_of(e, struct http_listener, link);
        if (strcmp(l->address, address) == 0) return l->port;
    }
    return 0;
}

void http_server_keep(struct http_server *s, const char *const *addresses, unsigned count) {
    for (struct list *e = s->listeners.next, *next; e != &s->listeners; e = next) {
        next = e->next;
        struct http_listener *l = container_of(e, struct http_listener, link);
        bool keep = false;
        for (unsigned i = 0; i < count; i++) keep |= strcmp(l->address, addresses[i]) == 0;
        if (!keep) listener_close(l);
    }
}

void http_server_set_tls(struct http_server *s, struct tls_context *tls) {
    for (struct list *e = s->listeners.next; e != &s->listeners; e = e->next) {
        struct http_listener *l = container_of(e, struct http_listener, link);
        tls_context_put(l->tls);
        l->tls = tls_context_ref(tls);
    }
}

/* -- The end ------------------------------------------------------------------------- */

void http_server_drain(struct http_server *s) {
    s->draining = true;
    http_server_keep(s, NULL, 0);
    struct list *all[] = { &s->conns, &s->idle };
    for (int i = 0; i < 2; i++)
        for (struct list *l = all[i]->next, *next; l != all[i]; l = next) {
            next = l->next;
            conn_drain(container_of(l, struct http_conn, link), DRAIN_HEAD_MS); /* may close it */
        }
}

void http_server_close(struct http_server *s) {
    http_server_keep(s, NULL, 0);
    timer_stop(s->loop, &s->recover);
    while (!list_is_empty(&s->idle)) conn_close(container_of(s->idle.next, struct http_conn, link));
    while (!list_is_empty(&s->conns)) conn_close(container_of(s->conns.next, struct http_conn, link));
}

void http_server_deinit(struct http_server *s) {
    mem_free(s->head);
    s->head = NULL;
    for (int c = 0; c < CODING_UNKNOWN; c++) {
        encoder_free(s->encoders[c]);
        s->encoders[c] = NULL;
    }
}
