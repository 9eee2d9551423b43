/* broker_rows.h -- what operators see of the message broker that carries jobs. See broker_rows.c. */
#ifndef PERILUNE_GATEWAY_BROKER_ROWS_H
#define PERILUNE_GATEWAY_BROKER_ROWS_H

#include "base/buf.h"

struct perilune;

/* Prometheus text; nothing where there is no broker. */
void broker_rows_write(struct perilune *g, struct buf *out);
/* Appends ,"broker":{...} for GET /admin/jobs; nothing where there is none. */
void broker_rows_member(struct perilune *g, struct buf *out);

#endif
