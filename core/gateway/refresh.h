/* refresh.h -- a question that is asked once more, for nobody. See refresh.c. */
#ifndef PERILUNE_GATEWAY_REFRESH_H
#define PERILUNE_GATEWAY_REFRESH_H

#include "gateway/exchange.h"

/* Of services (ask_again, which says the rest); v->ask_again_ud is the worker. */
bool refresh_begin(struct services *v, struct request *r, void (*over)(void *ud), void *ud);
/* Ends all that are under way: the worker is closing. */
void refresh_end_all(struct worker *w);

#endif
