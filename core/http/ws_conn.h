/* ws_conn.h -- one WebSocket: messages over an http_conn.  See ws_conn.c. */
#ifndef PERILUNE_HTTP_WS_CONN_H
#define PERILUNE_HTTP_WS_CONN_H

#include "http/server.h"
#include "http/ws.h"

struct ws_conn;

struct ws_settings {
    size_t   max_message; /* bytes, over all frames of a message; for sockets that are opened from now on */
    uint64_t message_ms;  /* from its first byte to its last */
    uint64_t ping_ms;     /* a socket that is silent for so long is pinged; 0: never */
    uint64_t pong_ms;     /* and has so long to answer */
    uint64_t idle_ms;     /* one that rests for so long is closed; 0: never */
};

/* Who has the socket. */
struct ws_owner {
    const struct ws_settings *(*settings)(void *ud); /* of now; borrowed */
    /* A whole message, which may be taken out of `bytes`. */
    void (*message)(void *ud, enum ws_opcode kind, struct buf *bytes);
    void (*drained)(void *ud);        /* after FLOW_FULL */
    void (*drain)(void *ud);          /* the server drains */
    void (*gone)(void *ud, int code); /* the last call: why the socket ended; nothing can be sent any more */
};

/* Answers r with 101 and the lines.  Until `gone`, *out is the owner's.  0, or PERILUNE_ERR_NOMEM and r is as it
 * was. */
int  ws_conn_open(struct ws_conn **out, struct http_request *r, struct slice lines, const struct ws_owner *owner,
                  void *ud);
/* A message, WS_TEXT or WS_BINARY, out of pieces.  FLOW_FULL: wait for `drained`. */
enum flow ws_conn_send(struct ws_conn *c, enum ws_opcode kind, const struct slice *pieces, unsigned count);
/* Part of what is to be sent found no memory: nothing more is, and the connection closes in this turn. */
void ws_conn_lost(struct ws_conn *c);
/* Nothing is under way for it, or something is. */
void ws_conn_rest(struct ws_conn *c, bool rests);
/* Says goodbye; the owner hears `gone` before this returns. */
void ws_conn_close(struct ws_conn *c, int code, const char *reason);

#endif
