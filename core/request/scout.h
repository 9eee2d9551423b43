/* scout.h -- is an upstream back? See scout.c. */
#ifndef PERILUNE_REQUEST_SCOUT_H
#define PERILUNE_REQUEST_SCOUT_H

#include "upstream/call.h"

/* Finds out, and tells its breaker (breaker_scouted).  Without memory it does not. */
void scout_send(struct loop *loop, struct call_pool *pool);
/* Ends those under way. */
void scout_drop_all(struct client *client);

#endif
