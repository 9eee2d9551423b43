/* http_exchange.h -- an exchange that a client's HTTP connection asked for. See http_exchange.c. */
#ifndef PERILUNE_GATEWAY_HTTP_EXCHANGE_H
#define PERILUNE_GATEWAY_HTTP_EXCHANGE_H

#include "http/server.h"

/* http_handler functions; ud is the worker. */
void http_exchange_head(void *ud, struct http_request *r);
/* Its path in its one form, when it has one: before anybody decides by it. */
void http_exchange_plain(struct http_request *r);
void http_exchange_request(void *ud, struct http_request *r);
void http_exchange_gone(void *ud, struct http_request *r);
void http_exchange_drained(void *ud, struct http_request *r);
void http_exchange_refused(void *ud, int status, const char *why, struct buf *out);

#endif
