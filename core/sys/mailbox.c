/* mailbox.c -- letters between threads.
 *
 *     sender: lock, append, unlock, ring        (uv_async_send coalesces)
 *     owner:  bell -> take the whole list under the lock -> open each outside it
 *
 * Letters are embedded in their objects: sending never allocates and so never
 * fails for want of memory.  Order is kept per sender. */
#include "sys/mailbox.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "include/perilune.h"

/* Those that are there now.  False: there were none. */
static bool open_some(struct mailbox *m) {
    struct list taken;
    pthread_mutex_lock(&m->lock);
    list_take(&taken, &m->letters);
    pthread_mutex_unlock(&m->lock);
    if (list_is_empty(&taken)) return false;
    while (!list_is_empty(&taken)) {
        struct letter *letter = container_of(taken.next, struct letter, link);
        list_remove(&letter->link);
        letter->open(letter, m->owner); /* owns letter */
    }
    return true;
}

/* What comes meanwhile has rung the bell again: who sends faster than letters are opened does not keep the owner from
 * its other work. */
static void on_bell(uv_async_t *bell) {
    struct mailbox *m = bell->data;
    m->loop->active = true;
    open_some(m);
}

int mailbox_open(struct mailbox *m, struct loop *loop, void *owner) {
    *m = (struct mailbox){ .loop = loop, .owner = owner };
    list_init(&m->letters);
    if (pthread_mutex_init(&m->lock, NULL) != 0) return PERILUNE_ERR_NOMEM;
    if (uv_async_init(&loop->uv, &m->bell, on_bell) != 0) {
        pthread_mutex_destroy(&m->lock);
        return PERILUNE_ERR_IO;
    }
    m->bell.data = m;
    return 0;
}

bool mailbox_send(struct mailbox *m, struct letter *letter, void (*open)(struct letter *, void *)) {
    letter->open = open;
    pthread_mutex_lock(&m->lock);
    bool ok = !m->closed;
    if (ok) {
        list_append(&m->letters, &letter->link);
        uv_async_send(&m->bell); /* under the lock: the bell cannot be closed meanwhile */
    }
    pthread_mutex_unlock(&m->lock);
    return ok;
}

void mailbox_ring(struct mailbox *m) {
    pthread_mutex_lock(&m->lock);
    if (!m->closed) uv_async_send(&m->bell);
    pthread_mutex_unlock(&m->lock);
}

static void bell_closed(uv_handle_t *bell) {
    struct mailbox *m = bell->data;
    m->gone(m); /* may free m */
}

void mailbox_close(struct mailbox *m) {
    pthread_mutex_lock(&m->lock);
    bool was = m->closed;
    m->closed = true;
    pthread_mutex_unlock(&m->lock);
    if (was) return;
    while (open_some(m)) continue;
    uv_close((uv_handle_t *)&m->bell, m->gone ? bell_closed : NULL);
}

void mailbox_deinit(struct mailbox *m) { pthread_mutex_destroy(&m->lock); }

int thread_start(pthread_t *t, const char *name, void *(*main)(void *), void *arg) {
    /* Signals are for the thread that asked for them. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(t, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) return PERILUNE_ERR_IO;
    pthread_setname_np(*t, name);
    return 0;
}

void thread_yield(void) { sched_yield(); }
