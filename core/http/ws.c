/* ws.c -- WebSocket framing (RFC 6455 5): bytes to messages, messages to bytes.
 *
 *     bytes --> [head] --> [payload] --control--> PING, PONG, CLOSE
 *                  ^            |
 *                  +------------+ text, binary: unmasked into `message` --last frame--> TEXT, BINARY
 *
 * A frame may come in pieces of any size, a message in any number of frames, and control frames stand between those.
 * What breaks a rule is found as early as it can be: a length over the limit in the frame's head, before any of it has
 * come; text that is no UTF-8 at its first wrong byte.  After that nothing is read any more.
 *
 * Memory is taken for bytes that are here, never for those that a length promises, and `message` has none between
 * messages: ten thousand idle sockets hold ten thousand empty readers.  A control frame has its own place, because
 * a message may be half there.
 *
 * Why not libwslay, which is small and good: its queues and contexts are allocated behind mem.c's back, so that no test
 * could make them fail; it asks for bytes and gives them through callbacks of its own, where we have a buffer for
 * each side already; and its UTF-8 check goes byte by byte where ours takes sixteen.  What is left is this file.
 *
 * Extensions are never agreed on, so the reserved bits must be 0.  Thread: any. */
#include "http/ws.h"

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"

#define FIN      0x80
#define RESERVED 0x70
#define MASKED   0x80

void ws_reader_init(struct ws_reader *r, bool masked, size_t limit) {
    memset(r, 0, sizeof(*r));
    r->masked = masked;
    buf_init(&r->message, limit);
}

void ws_reader_deinit(struct ws_reader *r) { buf_deinit(&r->message); }

bool ws_reader_is_inside(const struct ws_reader *r) {
    return r->kind != WS_CONTINUATION || r->state == WS_READ_PAYLOAD || r->head_len > 0;
}

static long fail(struct ws_reader *r, enum ws_code code, const char *why) {
    r->state = WS_READ_FAILED;
    r->why = why;
    buf_deinit(&r->message);
    return -(long)code;
}

static bool is_control(unsigned opcode) { return opcode >= WS_CLOSE; }

/* -- Heads --------------------------------------------------------------------------- */

/* Bytes of this head, as far as its first two say. */
static unsigned head_size(const struct ws_reader *r) {
    unsigned len = r->head[1] & 0x7f;
    return 2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + (r->masked ? 4 : 0);
}

/* What is wrong with its first two bytes, or NULL. */
static const char *head_problem(const struct ws_reader *r) {
    unsigned opcode = r->head[0] & 0x0f, len = r->head[1] & 0x7f;
    bool known = opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
    if (r->head[0] & RESERVED) return "a reserved bit is set, and no extension was agreed on";
    if (!known) return "there is no such opcode";
    if (r->masked && !(r->head[1] & MASKED)) return "a client has to mask its frames";
    if (!r->masked && (r->head[1] & MASKED)) return "a server must not mask its frames";
    if (is_control(opcode) && !(r->head[0] & FIN)) return "a control frame must not be fragmented";
    if (is_control(opcode) && len > WS_CONTROL_MAX) return "a control frame has at most 125 bytes";
    if (is_control(opcode)) return NULL;
    if (opcode == WS_CONTINUATION && r->kind == WS_CONTINUATION) return "there is no message to continue";
    if (opcode != WS_CONTINUATION && r->kind != WS_CONTINUATION) return "the message before is not complete";
    return NULL;
}

/* Big-endian, of n bytes behind the first two. */
static uint64_t length_of(const struct ws_reader *r, unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | r->head[2 + i];
    return v;
}

/* The head is complete.  0, or a failure. */
static long begin_frame(struct ws_reader *r) {
    unsigned small = r->head[1] & 0x7f, more = small == 126 ? 2 : small == 127 ? 8 : 0;
    uint64_t len = more ? length_of(r, more) : small;
    if (len >> 63) return fail(r, WS_PROTOCOL_ERROR, "a length has at most 63 bits");
    if ((more == 2 && len < 126) || (more == 8 && len < 65536))
        return fail(r, WS_PROTOCOL_ERROR, "a length is written in as few bytes as it needs");
    r->opcode = r->head[0] & 0x0f;
    r->last = (r->head[0] & FIN) != 0;
    r->left = len;
    r->mask_at = 0;
    r->control_len = 0;
    r->state = WS_READ_PAYLOAD;
    if (is_control(r->opcode)) return 0;
    if (r->opcode != WS_CONTINUATION) {
        r->kind = r->opcode;
        r->checked = 0;
    }
    if (r->message.limit > 0 && len > r->message.limit - buf_len(&r->message))
        return fail(r, WS_TOO_LARGE, "the message is over the limit (websocket.max_message)");
    return 0;
}

/* Returns bytes eaten, or a failure. */
static long eat_head(struct ws_reader *r, struct slice s) {
    size_t eaten = 0;
    while (eaten < s.len) {
        r->head[r->head_len++] = (unsigned char)s.ptr[eaten++];
        if (r->head_len < 2) continue;
        const char *why = r->head_len == 2 ? head_problem(r) : NULL;
        if (why != NULL) return fail(r, WS_PROTOCOL_ERROR, why);
        if (r->head_len < head_size(r)) continue;
        long rc = begin_frame(r);
        return rc < 0 ? rc : (long)eaten;
    }
    return (long)eaten;
}

/* -- Payload --------------------------------------------------------------------------- */

/* Eight bytes at a time: the mask has four, so it looks the same wherever it began, once turned. */
static void unmask(const struct ws_reader *r, char *to, const char *from, size_t n) {
    const unsigned char *key = r->head + head_size(r) - 4;
    unsigned char turned[8];
    uint64_t mask, word;
    for (unsigned i = 0; i < 8; i++) turned[i] = r->masked ? key[(r->mask_at + i) & 3] : 0;
    memcpy(&mask, turned, sizeof(mask));
    size_t i = 0;
    for (; i + sizeof(word) <= n; i += sizeof(word)) {
        memcpy(&word, from + i, sizeof(word));
        word ^= mask;
        memcpy(to + i, &word, sizeof(word));
    }
    for (; i < n; i++) to[i] = (char)((unsigned char)from[i] ^ turned[i & 7]);
}

/* Can these 1 to 3 bytes be the beginning of a character?  (json_scan.h has the same ranges for whole ones.) */
static bool may_become_utf8(struct slice s) {
    unsigned char a = (unsigned char)s.ptr[0], b = s.len > 1 ? (unsigned char)s.ptr[1] : 0;
    size_t need = a >= 0xf0 && a <= 0xf4 ? 4 : a >= 0xe0 && a <= 0xef ? 3 : a >= 0xc2 && a <= 0xdf ? 2 : 0;
    if (s.len >= need) return false;
    unsigned char low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80, high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (s.len > 1 && (b < low || b > high)) return false;
    return s.len < 3 || ((unsigned char)s.ptr[2] & 0xc0) == 0x80;
}

/* Text: up to where is it UTF-8?  False: it is none, and no bytes to come can make it so. */
static bool check_text(struct ws_reader *r) {
    struct slice all = buf_get(&r->message);
    struct slice rest = slice_of(all.ptr + r->checked, all.len - r->checked);
    r->checked += utf8_valid_prefix(rest);
    rest = slice_of(all.ptr + r->checked, all.len - r->checked);
    return rest.len == 0 || (rest.len < 4 && may_become_utf8(rest));
}

static long put_payload(struct ws_reader *r, struct slice s) {
    if (is_control(r->opcode)) { /* begin_frame() has seen to it that it fits */
        unmask(r, (char *)r->control + r->control_len, s.ptr, s.len);
        r->control_len += (unsigned char)s.len;
        return 0;
    }
    char *to = buf_reserve(&r->message, s.len);
    if (to == NULL) return fail(r, WS_INTERNAL, "out of memory");
    unmask(r, to, s.ptr, s.len);
    buf_advance(&r->message, s.len);
    if (r->kind == WS_TEXT && !check_text(r)) return fail(r, WS_BAD_DATA, "text has to be UTF-8");
    return 0;
}

/* -- The end of a frame ------------------------------------------------------------------ */

static bool is_sendable(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static long end_close(struct ws_reader *r, struct ws_event *ev) {
    struct slice s = slice_of((const char *)r->control, r->control_len);
    *ev = (struct ws_event){ .opcode = WS_CLOSE, .code = WS_NO_CODE, .payload = SLICE("") };
    if (s.len == 0) return 0;
    unsigned code = s.len < 2 ? 0 : (unsigned)r->control[0] << 8 | r->control[1];
    if (!is_sendable(code)) return fail(r, WS_PROTOCOL_ERROR, "this code must not stand in a Close frame");
    struct slice reason = slice_of(s.ptr + 2, s.len - 2);
    if (utf8_valid_prefix(reason) != reason.len) return fail(r, WS_BAD_DATA, "a reason has to be UTF-8");
    ev->code = (int)code;
    ev->payload = reason;
    return 0;
}

static long end_frame(struct ws_reader *r, struct ws_event *ev) {
    r->state = WS_READ_HEAD;
    r->head_len = 0;
    if (r->opcode == WS_CLOSE) return end_close(r, ev);
    if (is_control(r->opcode)) {
        *ev = (struct ws_event){ .opcode = (enum ws_opcode)r->opcode,
                                 .payload = slice_of((const char *)r->control, r->control_len) };
        return 0;
    }
    if (!r->last) return 0;
    if (r->kind == WS_TEXT && r->checked != buf_len(&r->message))
        return fail(r, WS_BAD_DATA, "text has to be UTF-8, and ends in the middle of a character");
    *ev = (struct ws_event){ .opcode = (enum ws_opcode)r->kind, .payload = buf_get(&r->message) };
    r->kind = WS_CONTINUATION;
    return 0;
}

/* -- Reading ----------------------------------------------------------------------------- */

void ws_reader_forget(struct ws_reader *r) {
    if (r->kind == WS_CONTINUATION) buf_deinit(&r->message); /* a control frame may stand inside of a message */
}

long ws_read(struct ws_reader *r, struct slice s, struct ws_event *ev) {
    size_t eaten = 0;
    *ev = (struct ws_event){ .opcode = WS_NOTHING, .payload = SLICE("") };
    ws_reader_forget(r);
    while (r->state != WS_READ_FAILED && ev->opcode == WS_NOTHING) {
        long rc = 0;
        if (r->state == WS_READ_HEAD) {
            if (eaten == s.len) break;
            rc = eat_head(r, slice_of(s.ptr + eaten, s.len - eaten));
            if (rc < 0) return rc;
            eaten += (size_t)rc;
            continue;
        }
        size_t n = s.len - eaten < r->left ? s.len - eaten : (size_t)r->left;
        if (n == 0 && r->left > 0) break;
        if (n > 0) rc = put_payload(r, slice_of(s.ptr + eaten, n));
        r->mask_at += n;
        r->left -= n;
        eaten += n;
        if (rc == 0 && r->left == 0) rc = end_frame(r, ev);
        if (rc < 0) return rc;
    }
    return (long)(r->state == WS_READ_FAILED ? s.len : eaten);
}

/* -- Writing ------------------------------------------------------------------------------- */

size_t ws_put_head(char *to, enum ws_opcode opcode, uint64_t len) {
    unsigned more = len < 126 ? 0 : len < 65536 ? 2 : 8;
    to[0] = (char)(FIN | opcode);
    to[1] = (char)(more == 0 ? len : more == 2 ? 126 : 127);
    for (unsigned i = 0; i < more; i++) to[2 + i] = (char)(len >> 8 * (more - 1 - i));
    return 2 + more;
}

void ws_write_frame(struct buf *out, enum ws_opcode opcode, struct slice payload) {
    char head[WS_HEAD_MAX];
    buf_put(out, head, ws_put_head(head, opcode, payload.len));
    buf_slice(out, payload);
}

void ws_write_close(struct buf *out, int code, struct slice reason) {
    if (reason.len > WS_CONTROL_MAX - 2) reason.len = WS_CONTROL_MAX - 2;
    reason.len = utf8_valid_prefix(reason);
    char payload[WS_CONTROL_MAX] = { (char)(code >> 8), (char)code };
    if (reason.len > 0) memcpy(payload + 2, reason.ptr, reason.len);
    ws_write_frame(out, WS_CLOSE, slice_of(payload, 2 + reason.len));
}
