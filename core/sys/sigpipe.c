/* sigpipe.c -- no write of ours ends the program that we are part of.
 *
 * A write to a socket whose other end is closed raises SIGPIPE in the thread that writes,
 * and ends the process unless somebody has taken care.  libuv writes without MSG_NOSIGNAL,
 * and so may other libraries below us.  Threads of our own block all signals.  A thread of
 * the host is only lent to us, and how it handles signals is the host's business: we block
 * SIGPIPE while we are on it, take away what our writes raised (a signal raised by a write
 * waits for the thread that wrote), and leave the mask as it was.
 *
 *     hold       block; was one pending already?  Then it is the host's
 *     release    take what is pending, unless it is the host's; unblock, unless the host blocks it
 *
 * (One that a host which blocks the signal found pending afterwards would end it as soon as
 * it unblocks.)  Costs three system calls for each turn of the host's loop. */
#include "sys/sigpipe.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static void only_sigpipe(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

static bool is_pending(void) {
    sigset_t set;
    return sigpending(&set) == 0 && sigismember(&set, SIGPIPE);
}

void sigpipe_hold(struct sigpipe *s) {
    sigset_t set, before;
    only_sigpipe(&set);
    s->ours = pthread_sigmask(SIG_BLOCK, &set, &before) == 0 && !sigismember(&before, SIGPIPE);
    s->pending = !s->ours && is_pending();
}

void sigpipe_release(const struct sigpipe *s) {
    static const struct timespec at_once;
    sigset_t set;
    only_sigpipe(&set);
    if (!s->pending) sigtimedwait(&set, NULL, &at_once);
    if (s->ours) pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
