/* ending.h -- the end of the program has an end, too.  See ending.c. */
#ifndef PERILUNE_CLI_ENDING_H
#define PERILUNE_CLI_ENDING_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#define ENDING_S             10 /* that closing may take */
#define ENDING_ASKED_TWICE_S 1  /* when two signals came before it began */

struct ending {
    sigset_t    signals; /* blocked in all threads; SIGTERM is one of them */
    int         status, seconds;
    bool        watched;
    atomic_bool closed;
    pthread_t   thread;
};

/* Closing begins: before ending_done() a signal, or the end of its time, ends the process with this status. */
void ending_begin(struct ending *e, const sigset_t *signals, bool asked_twice, int status);
void ending_done(struct ending *e);

#endif
