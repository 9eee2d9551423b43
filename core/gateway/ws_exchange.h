/* ws_exchange.h -- many exchanges on one WebSocket.  See ws_exchange.c. */
#ifndef PERILUNE_GATEWAY_WS_EXCHANGE_H
#define PERILUNE_GATEWAY_WS_EXCHANGE_H

#include "gateway/worker.h"

/* Is r for the path of WebSockets (websocket.path)?  Then it is answered, with 101 or with why not. */
bool ws_exchange_take(struct worker *w, struct http_request *r);

#endif
