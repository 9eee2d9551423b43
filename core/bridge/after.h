/* after.h -- work that is done when the client has its reply. See l_after.c. One thread. */
#ifndef PERILUNE_BRIDGE_AFTER_H
#define PERILUNE_BRIDGE_AFTER_H

#include "sys/loop.h"

/* Of a worker: whatever its generations have to do behind replies. */
struct after_line {
    struct list     waiting, running; /* struct after */
    unsigned        running_count;
    struct deferred start;
    struct loop    *loop; /* NULL until something waits */
};

void after_line_init(struct after_line *line);
/* Nothing of it is done any more: what waits or runs is canceled. Returns how much that was. */
unsigned after_line_cancel(struct after_line *line);

#endif
