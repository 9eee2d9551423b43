/* sigpipe.h -- writing to who has left, inside a host that has not ignored SIGPIPE.
 * See sigpipe.c. */
#ifndef PERILUNE_SYS_SIGPIPE_H
#define PERILUNE_SYS_SIGPIPE_H

#include <stdbool.h>

struct sigpipe {
    bool ours;    /* it was not blocked before */
    bool pending; /* before, for the host */
};

/* From here on to sigpipe_release() on the same thread no write raises SIGPIPE.  Pairs nest. */
void sigpipe_hold(struct sigpipe *s);
void sigpipe_release(const struct sigpipe *s);

#endif
