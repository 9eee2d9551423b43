/* multi.c -- libcurl's socket and timer callbacks on the loop, nothing else.
 *
 * curl says which descriptors it wants to hear about; each gets a uv_poll.  Two
 * habits of curl would cost system calls on every request:
 *
 *   - between two requests of a kept-alive connection it unregisters the socket
 *     and registers it again.  We leave the poll running and stop it only if
 *     something really happens on a socket nobody wants;
 *   - uv_poll_start() on a running poll is two epoll_ctl.  We call it only when
 *     the wish is not what already runs.
 *
 * Because of the first, polls outlive curl's registration; they are found by
 * descriptor, and end in the close-socket callback, before curl's close().  That
 * holds for sockets that we opened for curl (multi_open_socket) once they are connected.
 * Others are closed behind our back: the wake-up pipe of its resolver thread, and a
 * socket that is given up while it connects.  Their polls end with the registration:
 * a poll that outlives its descriptor meets whoever gets the number next.
 *
 * Most programs speak HTTP/1.1 without a proxy (http1.c), and never come here: curl is made with the first transfer.
 *
 * Finished transfers are reported from deferred work, so that nobody removes a handle
 * inside one of its own callbacks. */
#include "upstream/multi.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"

/* Idle connections that may wait for reuse: above any sane concurrency, because
 * a smaller cache makes every request above it open a new connection. */
#define MAX_IDLE 16384L

struct socket_watch {
    uv_poll_t     poll;
    struct multi *multi;
    curl_socket_t fd;
    CURL         *easy;    /* that wants something of it; with HTTP/1 the only one */
    int           wanted;  /* by curl: UV_READABLE | UV_WRITABLE */
    int           running; /* what the poll runs with */
    bool          held;    /* see multi_hold() */
    bool          ours;    /* multi_open_socket() made it */
    bool          connected; /* curl wanted to read: if it is ours, on_close_socket() will come */
};

/* -- Sockets ----------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *h) { mem_free(h->data); }

static void reap(struct deferred *j);
static struct socket_watch *watch_find(struct multi *m, curl_socket_t fd) {
    return (unsigned)fd < m->socket_cap ? m->sockets[fd] : NULL;
}

static int wanted_now(const struct socket_watch *w) { return w->held ? w->wanted & ~UV_READABLE : w->wanted; }

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct socket_watch *w = poll->data;
    struct multi *m = w->multi;
    m->loop->active = true;
    if (wanted_now(w) == 0) { /* an idle connection was closed by its server, or a paused one has data */
        uv_poll_stop(poll);
        w->running = 0;
        return;
    }
    int flags = 0, running;
    if (status < 0) {
        /* A reset. libuv has stopped the poll; curl must read to find out which
         * error it is: on a reused connection it then tries again by itself. */
        flags = CURL_CSELECT_IN | CURL_CSELECT_OUT;
        w->running = 0;
    }
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    curl_socket_t fd = w->fd;
    curl_multi_socket_action(m->curl, fd, flags, &running); /* may close w */
    if (status < 0 && watch_find(m, fd) == w && wanted_now(w) != 0 && w->running == 0) {
        w->running = wanted_now(w);
        uv_poll_start(&w->poll, w->running, on_poll);
    }
    loop_soon(m->loop, &m->reap, reap);
}

/* Nothing wanted: leaves the read watch, drops the write watch (always ready). */
static void watch_run(struct socket_watch *w) {
    int wanted = wanted_now(w);
    if (wanted == w->running || (wanted == 0 && w->running == UV_READABLE)) return;
    w->running = wanted;
    if (wanted == 0) uv_poll_stop(&w->poll);
    else uv_poll_start(&w->poll, wanted, on_poll);
}

static struct socket_watch *watch_new(struct multi *m, curl_socket_t fd) {
    if ((unsigned)fd >= m->socket_cap) {
        unsigned cap = ((unsigned)fd + 64) * 2;
        struct socket_watch **all = mem_realloc(m->sockets, cap * sizeof(*all));
        if (all == NULL) return NULL;
        memset(all + m->socket_cap, 0, (cap - m->socket_cap) * sizeof(*all));
        m->sockets = all;
        m->socket_cap = cap;
    }
    struct socket_watch *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    if (uv_poll_init_socket(&m->loop->uv, &w->poll, fd) != 0) {
        mem_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->multi = m;
    w->fd = fd;
    m->sockets[fd] = w;
    return w;
}

static void watch_close(struct socket_watch *w) {
    w->multi->sockets[w->fd] = NULL;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *socketp) {
    (void)socketp;
    struct multi *m = ud;
    struct socket_watch *w = watch_find(m, fd);
    int wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (what == CURL_POLL_REMOVE) wanted = 0;
    if (w == NULL) {
        if (wanted == 0) return 0;
        w = watch_new(m, fd);
        if (w == NULL) return -1;
    }
    w->wanted = wanted;
    w->easy = what == CURL_POLL_REMOVE ? NULL : easy;
    if (what == CURL_POLL_REMOVE) w->held = false;
    if (wanted & UV_READABLE) w->connected = true;
    if (what == CURL_POLL_REMOVE && !(w->ours && w->connected)) {
        watch_close(w);
        return 0;
    }
    watch_run(w);
    return 0;
}

/* CURLINFO_ACTIVESOCKET says nothing before a transfer has ended. */
static struct socket_watch *watch_of(struct multi *m, CURL *easy) {
    for (unsigned fd = 0; fd < m->socket_cap; fd++)
        if (m->sockets[fd] != NULL && m->sockets[fd]->easy == easy) return m->sockets[fd];
    return NULL;
}

void multi_hold(struct multi *m, CURL *easy, bool held) {
    long version = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    if (version != CURL_HTTP_VERSION_1_0 && version != CURL_HTTP_VERSION_1_1) return;
    struct socket_watch *w = watch_of(m, easy);
    if (w == NULL) return;
    w->held = held;
    watch_run(w);
}

static int on_close_socket(void *ud, curl_socket_t fd) {
    struct multi *m = ud;
    struct socket_watch *w = watch_find(m, fd);
    if (w != NULL) watch_close(w);
    return close(fd);
}

curl_socket_t multi_open_socket(struct multi *m, const struct curl_sockaddr *a) {
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    struct socket_watch *w = watch_new(m, fd);
    if (w == NULL) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    w->ours = true;
    return fd;
}

static curl_socket_t on_open_socket(void *ud, curlsocktype purpose, struct curl_sockaddr *a) {
    (void)purpose;
    return multi_open_socket(ud, a);
}

/* -- Time ---------------------------------------------------------------------- */

static void on_timeout(struct timer *t) {
    struct multi *m = container_of(t, struct multi, timeout);
    int running;
    curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    loop_soon(m->loop, &m->reap, reap);
}

static void kick(struct deferred *j) {
    struct multi *m = container_of(j, struct multi, kick);
    m->kicking = true;
    on_timeout(&m->timeout);
    m->kicking = false;
}

static int on_timer(CURLM *curl, long ms, void *ud) {
    (void)curl;
    struct multi *m = ud;
    timer_stop(m->loop, &m->timeout);
    deferred_cancel(&m->kick);
    if (ms == 0) {
        /* Now, but not from inside this callback: before the loop blocks.  curl says so, too, when
         * it holds data of HTTP/2 or TLS that no descriptor will tell of; asked again and again,
         * the descriptors have their turn in between. */
        if (m->kicking) loop_next(m->loop, &m->kick, kick);
        else loop_soon(m->loop, &m->kick, kick);
    } else if (ms > 0 && timer_start(m->loop, &m->timeout, (uint64_t)ms, on_timeout) != 0) {
        return -1;
    }
    return 0;
}

/* -- Transfers ------------------------------------------------------------------- */

static void reap(struct deferred *j) {
    struct multi *m = container_of(j, struct multi, reap);
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(m->curl, &left)) != NULL)
        if (msg->msg == CURLMSG_DONE) m->done(msg->easy_handle, msg->data.result);
}

void multi_prepare(struct multi *m, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, m);
}

static CURLM *make_curl(struct multi *m) {
    CURLM *curl = curl_multi_init();
    if (curl == NULL) return NULL;
    curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, MAX_IDLE);
    curl_multi_setopt(curl, CURLMOPT_PIPELINING, multi_shares_connections() ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
    return curl;
}

int multi_add(struct multi *m, CURL *easy) {
    if (m->curl == NULL) m->curl = make_curl(m);
    return m->curl != NULL && curl_multi_add_handle(m->curl, easy) == CURLM_OK ? 0 : PERILUNE_ERR_NOMEM;
}

void multi_remove(struct multi *m, CURL *easy) { curl_multi_remove_handle(m->curl, easy); }

/* Before 8.1 a paused stream of HTTP/2 stops all others of its connection: there every stream
 * has a connection of its own, so that a slow client costs nobody else anything. */
bool multi_shares_connections(void) { return curl_version_info(CURLVERSION_NOW)->version_num >= 0x080100; }

/* It readies OpenSSL and whatever else curl is made of, 2 MB and some milliseconds, which the first easy handle does by
 * itself.  Only where curl does not lock while it does that it has to be done before there are threads. */
void multi_global_init(void) {
    if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_THREADSAFE) != 0) return;
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void multi_init(struct multi *m, struct loop *loop, void (*done)(CURL *, CURLcode)) {
    *m = (struct multi){ .loop = loop, .done = done };
}

void multi_close(struct multi *m) {
    if (m->curl != NULL) curl_multi_cleanup(m->curl); /* closes sockets through on_close_socket */
    m->curl = NULL;
    timer_stop(m->loop, &m->timeout);
    deferred_cancel(&m->reap);
    deferred_cancel(&m->kick);
    for (unsigned i = 0; i < m->socket_cap; i++)
        if (m->sockets[i] != NULL) watch_close(m->sockets[i]);
}

void multi_deinit(struct multi *m) {
    mem_free(m->sockets);
    m->sockets = NULL;
}
