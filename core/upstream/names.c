/* names.c -- names that clients gave are resolved in threads of their own.
 *
 *     loop:    new ---> cancel: nobody waits -----------------------+
 *                \                                                  v
 *     thread:     getaddrinfo() ..... there is an answer: ring --> (freed by who is last)
 *                                                     |
 *     loop:                                           +--> done(), close the bell --^
 *
 * getaddrinfo() cannot be stopped, and a name whose servers do not answer holds its thread for half a minute.  The four
 * threads of libuv's pool resolve the names of upstreams and write files: a few such names, which any client may send
 * as webhooks, would keep all of that waiting.  So what is a client's word is asked for here, a thread each, for as
 * long as the resolver takes; NAMES_MOST at most, then a name is refused at once, which is what a resolver that is
 * overrun would do, too.
 *
 * A lookup has two owners, its thread and its loop, and goes with the last of them.  The bell is rung under the lock
 * and closed under it, so it is never rung when it is closed.
 *
 * What it does not do: remember.  origin.c does. */
#include "upstream/names.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "sys/mailbox.h"

struct name_lookup {
    uv_async_t      bell;
    pthread_mutex_t lock;
    bool            closed;   /* LOCK: the loop wants nothing more */
    atomic_int      owners;
    int             rc;
    struct addrinfo *all;
    void          (*done)(void *ud, int rc, const struct addrinfo *all);
    void           *ud;
    char            host[];
};

static atomic_int running;
int (*name_resolver)(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out) =
    getaddrinfo;

static void leave(struct name_lookup *n) {
    if (atomic_fetch_sub(&n->owners, 1) > 1) return;
    if (n->all != NULL) freeaddrinfo(n->all);
    pthread_mutex_destroy(&n->lock);
    mem_free(n);
}

static void *ask(void *arg) {
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct name_lookup *n = arg;
    n->rc = name_resolver(n->host, NULL, &hints, &n->all);
    pthread_mutex_lock(&n->lock);
    if (!n->closed) uv_async_send(&n->bell);
    pthread_mutex_unlock(&n->lock);
    leave(n);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void on_closed(uv_handle_t *bell) { leave(bell->data); }

static void close_bell(struct name_lookup *n) {
    pthread_mutex_lock(&n->lock);
    n->closed = true;
    pthread_mutex_unlock(&n->lock);
    uv_close((uv_handle_t *)&n->bell, on_closed);
}

static void on_bell(uv_async_t *bell) {
    struct name_lookup *n = bell->data;
    if (n->closed) return;
    ((struct loop *)bell->loop->data)->active = true;
    close_bell(n);
    n->done(n->ud, n->rc, n->all);
}

void name_lookup_cancel(struct name_lookup *n) { close_bell(n); }

static bool take_place(void) {
    if (atomic_fetch_add(&running, 1) < NAMES_MOST) return true;
    atomic_fetch_sub(&running, 1);
    return false;
}

struct name_lookup *name_lookup_new(struct loop *l, const char *host,
                                    void (*done)(void *ud, int rc, const struct addrinfo *all), void *ud) {
    size_t size = strlen(host) + 1;
    struct name_lookup *n = mem_zalloc(sizeof(*n) + size);
    pthread_t thread;
    if (n == NULL) return NULL;
    memcpy(n->host, host, size);
    n->done = done;
    n->ud = ud;
    atomic_store(&n->owners, 2);
    if (pthread_mutex_init(&n->lock, NULL) != 0) {
        mem_free(n);
        return NULL;
    }
    if (uv_async_init(&l->uv, &n->bell, on_bell) != 0) {
        atomic_store(&n->owners, 1);
        leave(n);
        return NULL;
    }
    n->bell.data = n;
    bool placed = take_place();
    if (placed && thread_start(&thread, "names", ask, n) == 0) {
        pthread_detach(thread);
        return n;
    }
    if (placed) atomic_fetch_sub(&running, 1);
    leave(n); /* for the thread that there is not */
    close_bell(n);
    return NULL;
}
