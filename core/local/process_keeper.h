/* process_keeper.h -- the process of an engine, from start to end. See process_keeper.c. */
#ifndef PERILUNE_LOCAL_PROCESS_KEEPER_H
#define PERILUNE_LOCAL_PROCESS_KEEPER_H

#include <pthread.h>
#include <sys/types.h>

#include "local/process_wire.h"

enum keeper_state {
    KEEPER_DOWN,     /* there is no process; why says why, but before the first */
    KEEPER_STARTING, /* it was started, and loads */
    KEEPER_UP        /* it has loaded: `loaded` says what */
};

struct keeper {
    struct perilune_engine_options options; /* its strings are the caller's */
    pthread_t        thread;
    pthread_mutex_t  lock;
    pthread_cond_t   changed;
    int              memory;        /* shared, see process.c */
    int              wake;          /* an eventfd */
    int              work;          /* the model's thread only, while it is up; -1: none */
    pthread_mutex_t  side_lock;
    int              side;          /* SIDE_LOCK; -1: not up */
    int              side_fd;       /* the same, the keeper's; closed by keeper_start() */
    /* LOCK: */
    enum keeper_state state;
    pid_t            pid;           /* 0: none that could be killed */
    bool             start, stop;   /* what is wanted */
    char             reason[160];   /* why it was killed; "": it was not */
    char             why[PROCESS_WHY];
    unsigned         starts;
    struct buf       loaded;        /* of who saw KEEPER_UP */
};

int  keeper_init(struct keeper *k, const struct perilune_engine_options *o, int memory);
void keeper_deinit(struct keeper *k); /* kills it and waits */

/* The model's thread, when it is down: starts another one. */
void keeper_start(struct keeper *k);
/* [any] What there is; on KEEPER_DOWN a sentence. */
enum keeper_state keeper_look(struct keeper *k, char *why, size_t why_size);
/* Waits until it is not starting any more. */
enum keeper_state keeper_wait(struct keeper *k, char *why, size_t why_size);
/* [any] Kills it. reason: for the log; NULL: it is not wanted any more. */
void keeper_kill(struct keeper *k, const char *reason);

#endif
