/* refresh.h -- a question that is asked once more, for nobody. See refresh.c. */
#ifndef PERILUNE_GATEWAY_REFRESH_H
#define PERILUNE_GATEWAY_REFRESH_H

#include "gateway/exchange.h"

/* Of services (ask_again); v->ask_again_ud is the worker. */
void refresh_begin(struct services *v, struct request *r);
/* Ends all that are under way: the worker is closing. */
void refresh_end_all(struct worker *w);

#endif
