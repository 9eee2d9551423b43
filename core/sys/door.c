/* door.c -- a way to a thread that may be gone when somebody wants to send it a letter.
 *
 *     whoever has a share --door_send--> [ lock: mailbox, or NULL ] --> mailbox --> its thread
 *
 * A mailbox is a member of what owns the thread, and goes with it.  Who may come at any time later, such as a program
 * that answers a call when the gateway is closed already, holds a share of the door instead. */
#include "sys/door.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"

struct door {
    atomic_uint     refs;
    pthread_mutex_t lock;
    struct mailbox *mail;   /* LOCK; NULL: closed */
    pthread_t       thread; /* written before anybody else has a share */
    pid_t           pid;
};

struct door *door_new(struct mailbox *mail) {
    struct door *d = mem_zalloc(sizeof(*d));
    if (d == NULL) return NULL;
    if (pthread_mutex_init(&d->lock, NULL) != 0) {
        mem_free(d);
        return NULL;
    }
    atomic_init(&d->refs, 1);
    d->mail = mail;
    d->thread = pthread_self();
    d->pid = getpid();
    return d;
}

void door_is_mine(struct door *d) { d->thread = pthread_self(); }

struct door *door_ref(struct door *d) {
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void door_put(struct door *d) {
    if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1) return;
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

void door_close(struct door *d) {
    if (d == NULL) return;
    pthread_mutex_lock(&d->lock);
    d->mail = NULL;
    pthread_mutex_unlock(&d->lock);
}

bool door_is_here(const struct door *d) { return pthread_equal(d->thread, pthread_self()); }

bool door_is_foreign(const struct door *d) { return d->pid != getpid(); }

bool door_send(struct door *d, struct letter *letter, void (*open)(struct letter *, void *)) {
    pthread_mutex_lock(&d->lock);
    bool sent = d->mail != NULL && mailbox_send(d->mail, letter, open);
    pthread_mutex_unlock(&d->lock);
    return sent;
}
