/* ending.c -- the end of the program has an end, too.
 *
 *     all is closed -----------------------------------------------> main returns
 *     a second signal, or ENDING_S are over, and it is not closed -> the process ends here, by _exit()
 *
 * Closing waits for threads, and one may be in a step of a local model that hangs: in a library that nothing can stop,
 * or on a file whose disk has gone.  Who ends the program has asked for its end, not for patience without one.
 *
 * Everything that must be kept has been written by then, or is written again at the next start: a crash must lose no
 * more.  Signals are blocked in all threads; those that came while nobody looked are still there. */
#include "cli/ending.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/mailbox.h"

static void end_here(const struct ending *e, const char *why) {
    char line[200];
    int n = snprintf(line, sizeof(line), "perilune: %s: something hangs, most likely a step of a local model; ended "
                     "without it\n", why);
    if (write(STDERR_FILENO, line, (size_t)n) < 0) _exit(e->status);
    _exit(e->status);
}

static void *watch(void *arg) {
    struct ending *e = arg;
    struct timespec left = { .tv_sec = e->seconds };
    int sig = sigtimedwait(&e->signals, NULL, &left);
    if (atomic_load(&e->closed)) return NULL;
    if (sig > 0) end_here(e, "asked twice to end, and not done");
    end_here(e, "not done with closing in time");
    return NULL;
}

void ending_begin(struct ending *e, const sigset_t *signals, bool asked_twice, int status) {
    *e = (struct ending){ .status = status, .seconds = asked_twice ? ENDING_ASKED_TWICE_S : ENDING_S };
    e->signals = *signals;
    sigdelset(&e->signals, SIGHUP); /* there is nothing to reload any more */
    e->watched = thread_start(&e->thread, "ending", watch, e) == 0;
}

void ending_done(struct ending *e) {
    if (!e->watched) return;
    atomic_store(&e->closed, true);
    pthread_kill(e->thread, SIGTERM);
    pthread_join(e->thread, NULL);
}
