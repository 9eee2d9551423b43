/* cast.h -- the upstreams and pools of a simulation. See cast.c. */
#ifndef PERILUNE_GATEWAY_CAST_H
#define PERILUNE_GATEWAY_CAST_H

#include "bridge/state.h"

struct cast;

/* From a configuration (JSON, as config.lua has checked it) to upstreams that `player` plays; v gets them, and its loop
 * and log.  seed: of what they draw.  0 or an error with a sentence. */
int  cast_new(struct cast **out, struct services *v, struct log *log, struct slice config, uint64_t seed,
              const struct player *player, char *err, size_t errlen);
/* They take no more calls, and go when the last one is over: at the end of a turn of the loop. */
void cast_close(struct cast *c);

#endif
