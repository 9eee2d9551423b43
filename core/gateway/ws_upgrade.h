/* ws_upgrade.h -- who may open a WebSocket, and what each request on it takes over.  See ws_upgrade.c. */
#ifndef PERILUNE_GATEWAY_WS_UPGRADE_H
#define PERILUNE_GATEWAY_WS_UPGRADE_H

#include "gateway/config.h"
#include "http/ws_handshake.h"

/* 101 in h->status: it may.  Then `kept` has the header lines of each request on it, and `answer` those of the 101;
 * else `answer` has those of the refusal.  Both may have failed for want of memory. */
void ws_upgrade(const struct config *c, const struct http_request *r, struct ws_handshake *h, struct buf *kept,
                struct buf *answer);

#endif
