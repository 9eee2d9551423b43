/* mailbox.h -- the only door between threads: letters that run on the owner's
 * loop. See mailbox.c. */
#ifndef PERILUNE_SYS_MAILBOX_H
#define PERILUNE_SYS_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "sys/loop.h"

/* Embedded in whatever is sent; `open` runs on the receiving thread and owns the
 * letter from then on. */
struct letter {
    struct list link;
    void      (*open)(struct letter *m, void *owner);
};

struct mailbox {
    struct loop    *loop;
    void           *owner;
    uv_poll_t       bell;
    int             fd;      /* the bell's; an eventfd */
    pthread_mutex_t lock;
    struct list     letters; /* LOCK */
    bool            closed;  /* LOCK */
    bool            rung;    /* LOCK: the owner has not heard it yet */
    atomic_uint     ringing; /* who has said that it is rung, and is about to do it */
    /* After mailbox_close(), when the loop has closed the bell: the memory may go.  May be NULL. */
    void          (*gone)(struct mailbox *m);
};

int  mailbox_open(struct mailbox *m, struct loop *loop, void *owner);
/* Owner only. Opens what is left, refuses the rest. */
void mailbox_close(struct mailbox *m);
/* [any] Returns false, and the letter stays the caller's, after mailbox_close(). */
bool mailbox_send(struct mailbox *m, struct letter *letter, void (*open)(struct letter *, void *));
/* [any] The same in two steps, for who sends letters of several things at once: the bell is rung when all are there.
 * *owes: the caller must call mailbox_pay() once, soon, and without waiting for anybody: closing waits for it. */
bool mailbox_put(struct mailbox *m, struct letter *letter, void (*open)(struct letter *, void *), bool *owes);
void mailbox_pay(struct mailbox *m);
/* [any] The owner's loop turns once. */
void mailbox_ring(struct mailbox *m);
void mailbox_deinit(struct mailbox *m); /* after the loop has closed the bell */

/* A thread with a name that debuggers and top show (at most 15 bytes).  No signal is delivered
 * to it. */
int  thread_start(pthread_t *t, const char *name, void *(*main)(void *), void *arg);
/* Lets others of this core run.  A thread that slept may run for some milliseconds at a time, while those that are
 * woken wait: whoever works for long in the background says this every few hundred microseconds. */
void thread_yield(void);

#endif
