/* exchange.h -- one request of a client, from its body to its last byte. See
 * exchange.c. */
#ifndef PERILUNE_GATEWAY_EXCHANGE_H
#define PERILUNE_GATEWAY_EXCHANGE_H

#include "gateway/worker.h"

/* http_handler functions; ud is the worker. */
void exchange_request(void *ud, struct http_request *r);
void exchange_gone(void *ud, struct http_request *r);
void exchange_drained(void *ud, struct http_request *r);
void exchange_refused(void *ud, int status, const char *why, struct buf *out);

/* {"id":...,"age_ms":...,"waits_for":...} */
void exchange_describe(const struct list *link, uint64_t now_us, struct buf *out);

#endif
