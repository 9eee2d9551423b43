/* ws_ask.h -- what a message on a WebSocket asks for.  See ws_ask.c. */
#ifndef PERILUNE_GATEWAY_WS_ASK_H
#define PERILUNE_GATEWAY_WS_ASK_H

#include "base/err.h"
#include "base/mem.h"
#include "flow/headers.h"

struct ws_ask {
    struct arena arena;     /* of what the slices point to */
    struct slice id;        /* as JSON, written in its one form; empty: the message names none */
    bool         cancel;
    struct slice method, path, query;
    struct slice headers;   /* lines */
    size_t       body_at, body_len; /* in the message; body_len 0: none */
};

/* Reads a message.  may: headers that messages may set.  False: *f says what is wrong, a->id whose fault it is, when
 * that could be read.  ws_ask_deinit() in both cases. */
bool ws_ask_read(struct ws_ask *a, struct slice message, const struct headers_list *may, struct failure *f);
void ws_ask_deinit(struct ws_ask *a);

#endif
