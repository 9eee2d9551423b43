/* ws.h -- WebSocket framing (RFC 6455 5): bytes to messages, messages to bytes; no I/O.  See ws.c. */
#ifndef PERILUNE_HTTP_WS_H
#define PERILUNE_HTTP_WS_H

#include "base/buf.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
    WS_NOTHING = 16 /* of an event: none is complete yet */
};

/* Why a connection ends (RFC 6455 7.4). */
enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003, /* this kind of message is not understood */
    WS_NO_CODE = 1005,     /* never sent: a Close frame without a code */
    WS_LOST = 1006,        /* never sent: the connection ended without a Close frame */
    WS_BAD_DATA = 1007,    /* text that is no UTF-8 */
    WS_POLICY = 1008,
    WS_TOO_LARGE = 1009,
    WS_INTERNAL = 1011,
    WS_TRY_LATER = 1013
};

#define WS_CONTROL_MAX 125 /* bytes of payload of a control frame */

enum ws_read_state {
    WS_READ_HEAD,    /* some bytes of a frame's head are here, or none */
    WS_READ_PAYLOAD,
    WS_READ_FAILED   /* nothing that comes counts any more */
};

struct ws_reader {
    enum ws_read_state state;
    bool        masked;                  /* who sends masks its frames: a client does, a server must not */
    bool        last;                    /* this frame is its message's last */
    unsigned char opcode;                /* of this frame */
    unsigned char kind;                  /* of the message that has begun: WS_TEXT, WS_BINARY; else WS_CONTINUATION */
    unsigned char head[14], head_len;    /* as it came */
    unsigned char control[WS_CONTROL_MAX], control_len;
    uint64_t    left;                    /* bytes of the frame's payload that are still to come */
    uint64_t    mask_at;                 /* bytes of it that came */
    size_t      checked;                 /* bytes of `message` that are UTF-8 for sure */
    struct buf  message;                 /* so far, unmasked; without memory between messages */
    const char *why;                     /* after a failure: a sentence for the peer */
};

struct ws_event {
    enum ws_opcode opcode;  /* WS_TEXT, WS_BINARY: a whole message; WS_CLOSE, WS_PING, WS_PONG; WS_NOTHING */
    struct slice   payload; /* borrowed until the next call; of WS_CLOSE, the reason */
    int            code;    /* WS_CLOSE: WS_NO_CODE when it has none */
};

/* masked: the peer is a client.  limit: bytes of a message, over all its frames. */
void ws_reader_init(struct ws_reader *r, bool masked, size_t limit);
void ws_reader_deinit(struct ws_reader *r);
/* Eats from s up to the end of the next event, which *ev is then.  Returns the bytes eaten, all of them when no event
 * is complete; or, for good, what to close with as a negative number (-WS_PROTOCOL_ERROR ...), and r->why.  The bytes
 * of a message may be taken out of r->message until the next call, which drops them. */
long ws_read(struct ws_reader *r, struct slice s, struct ws_event *ev);
/* Has a message begun, of which some is missing? */
bool ws_reader_is_inside(const struct ws_reader *r);
/* Gives the memory of the last message back. */
void ws_reader_forget(struct ws_reader *r);

/* -- Frames of a server: one for each message, unmasked -- */

#define WS_HEAD_MAX 10
/* The head of a frame with len bytes of payload; returns its bytes. */
size_t ws_put_head(char *to, enum ws_opcode opcode, uint64_t len);
void ws_write_frame(struct buf *out, enum ws_opcode opcode, struct slice payload);
/* reason is cut where a control frame ends, between two characters. */
void ws_write_close(struct buf *out, int code, struct slice reason);

#endif
