/* mailbox.c -- letters between threads.
 *
 *     sender: lock, append, unlock, ring if nobody has        (an eventfd)
 *     owner:  bell -> take the whole list under the lock -> open each outside it
 *
 * Letters are embedded in their objects: sending never allocates and so never
 * fails for want of memory.  Order is kept per sender.
 *
 * The bell is rung outside the lock.  Ringing wakes the owner, on another core before the sender is back from the
 * kernel: it would find the lock taken, and sleep again.  (For the same reason it is no uv_async_t: the owner of one
 * spins until the sender is back, some forty microseconds for every letter.)  Who is about to ring has counted itself
 * under the lock, and closing waits for it: a bell is not rung that is gone.
 *
 * Invariant: `rung` is set exactly while a ring is owed, or has not been heard. */
#include "sys/mailbox.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "include/perilune.h"

/* Those that are there now.  False: there were none. */
static bool open_some(struct mailbox *m) {
    struct list taken;
    pthread_mutex_lock(&m->lock);
    m->rung = false;
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
static void on_bell(uv_poll_t *bell, int status, int events) {
    struct mailbox *m = bell->data;
    eventfd_t rings;
    (void)status;
    (void)events;
    if (eventfd_read(m->fd, &rings) != 0) errno = 0; /* nothing in it: then letters are looked for in vain */
    m->loop->active = true;
    open_some(m);
}

/* The bell in the loop; 0 or an error, and then there is none. */
static int hang_bell(struct mailbox *m) {
    m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->fd < 0) return PERILUNE_ERR_IO;
    if (uv_poll_init(&m->loop->uv, &m->bell, m->fd) != 0) {
        close(m->fd);
        return PERILUNE_ERR_IO;
    }
    m->bell.data = m;
    uv_poll_start(&m->bell, UV_READABLE, on_bell); /* of a handle that is not being closed it cannot fail */
    return 0;
}

int mailbox_open(struct mailbox *m, struct loop *loop, void *owner) {
    *m = (struct mailbox){ .loop = loop, .owner = owner };
    list_init(&m->letters);
    atomic_init(&m->ringing, 0);
    int rc = pthread_mutex_init(&m->lock, NULL) == 0 ? 0 : PERILUNE_ERR_NOMEM;
    if (rc == 0 && (rc = hang_bell(m)) != 0) pthread_mutex_destroy(&m->lock);
    if (rc != 0) m->loop = NULL; /* it is none */
    return rc;
}

/* Must who holds the lock ring, when it has given it back? */
static bool must_ring(struct mailbox *m) {
    if (m->closed || m->rung) return false;
    m->rung = true;
    atomic_fetch_add(&m->ringing, 1);
    return true;
}

void mailbox_pay(struct mailbox *m) {
    if (eventfd_write(m->fd, 1) != 0) errno = 0; /* full of rings that nobody has heard */
    atomic_fetch_sub(&m->ringing, 1);            /* m may be gone */
}

bool mailbox_put(struct mailbox *m, struct letter *letter, void (*open)(struct letter *, void *), bool *owes) {
    letter->open = open;
    pthread_mutex_lock(&m->lock);
    bool ok = !m->closed;
    if (ok) list_append(&m->letters, &letter->link);
    *owes = must_ring(m);
    pthread_mutex_unlock(&m->lock);
    return ok;
}

bool mailbox_send(struct mailbox *m, struct letter *letter, void (*open)(struct letter *, void *)) {
    bool owes, ok = mailbox_put(m, letter, open, &owes);
    if (owes) mailbox_pay(m);
    return ok;
}

void mailbox_ring(struct mailbox *m) {
    pthread_mutex_lock(&m->lock);
    bool owes = must_ring(m);
    pthread_mutex_unlock(&m->lock);
    if (owes) mailbox_pay(m);
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
    while (atomic_load(&m->ringing) > 0) sched_yield();
    while (open_some(m)) continue;
    uv_close((uv_handle_t *)&m->bell, m->gone ? bell_closed : NULL);
    close(m->fd); /* the loop looks at it no more */
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
