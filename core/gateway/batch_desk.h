/* batch_desk.h -- what clients ask of files and batches, under /v1/files and /v1/batches. See batch_desk.c. */
#ifndef PERILUNE_GATEWAY_BATCH_DESK_H
#define PERILUNE_GATEWAY_BATCH_DESK_H

#include "gateway/exchange.h"

struct batch_desk;

/* For x, whose ops call the functions below. NULL: no memory. */
struct batch_desk *batch_desk_new(struct exchange *x);
/* The request is complete; takes the bytes of body. May end and free x. */
void batch_desk_begin(struct batch_desk *d, struct buf *body);
void batch_desk_admitted(struct batch_desk *d);
void batch_desk_free(struct batch_desk *d); /* NULL is fine */

#endif
