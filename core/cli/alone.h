/* alone.h -- a Lua state without a gateway, for commands that serve nobody. See alone.c. */
#ifndef PERILUNE_CLI_ALONE_H
#define PERILUNE_CLI_ALONE_H

#include "bridge/state.h"

struct alone {
    struct loop    loop;
    struct log     log;
    struct shared *shared;
    struct state  *state;
    bool           has_loop;
};

/* Lines up to log_level go to stderr.  On failure err gets a sentence; alone_close() is due
 * in any case. */
int  alone_open(struct alone *a, int log_level, char *err, size_t errlen);
void alone_close(struct alone *a);

#endif
