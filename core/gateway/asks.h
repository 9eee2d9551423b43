/* asks.h -- what policies ask on behalf of a request, counted and logged. See asks.c. */
#ifndef PERILUNE_GATEWAY_ASKS_H
#define PERILUNE_GATEWAY_ASKS_H

#include "request/services.h"
#include "request/spent.h"

/* Of struct services. */
bool asks_route(struct services *v, unsigned index, struct ask_route *out);
void asks_begin(struct services *v);
void asks_end(struct services *v, const struct ask_report *r);

#endif
