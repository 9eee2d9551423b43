/* alone.h -- a Lua state without a gateway, for commands that serve nobody. See alone.c. */
#ifndef PERILUNE_CLI_ALONE_H
#define PERILUNE_CLI_ALONE_H

#include "bridge/state.h"

struct cast;

struct alone {
    struct loop    loop;
    struct log     log;
    struct stores *stores;
    struct state  *state;
    struct buf     lines;     /* of the log, for core.log_lines() */
    struct log     cast_log;  /* of the next */
    struct cast   *cast;      /* upstreams of the simulation that runs; NULL: none does */
    int            log_level; /* of what goes to stderr */
    bool           has_loop;
};

/* Lines up to log_level go to stderr.  On failure err gets a sentence; alone_close() is due
 * in any case. */
int  alone_open(struct alone *a, int log_level, char *err, size_t errlen);
/* From now on the state's Lua can read all lines, of any level (core.log_lines). */
void alone_keep_log(struct alone *a);
void alone_close(struct alone *a);

#endif
