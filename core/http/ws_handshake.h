/* ws_handshake.h -- may this request become a WebSocket?  See ws_handshake.c. */
#ifndef PERILUNE_HTTP_WS_HANDSHAKE_H
#define PERILUNE_HTTP_WS_HANDSHAKE_H

#include "http/server.h"

struct ws_handshake {
    int          status;     /* 101: it may; else what to answer, */
    const char  *why;        /*      and a sentence for it */
    char         accept[32]; /* value of Sec-WebSocket-Accept */
};

void ws_handshake(const struct http_request *r, struct ws_handshake *out);
/* Appends the header lines that this answer has to have besides those of reply.c. */
void ws_handshake_lines(const struct ws_handshake *h, struct buf *out);

/* Does a header, on whichever of its lines, have this word (any case) in its list? */
bool ws_header_has(const struct http_request *r, struct slice name, struct slice word);
/* Takes the next word of a header's lists; *line and *at begin as 0. False: there is none. */
bool ws_header_next(const struct http_request *r, struct slice name, unsigned *line, size_t *at, struct slice *word);

/* Base64 with - and _ and without padding, as it may stand in a subprotocol, appended to out.  False: it is none. */
bool ws_decode_word(struct slice s, struct buf *out);

#endif
