/* fuzz_ws.c -- what a WebSocket says does not depend on how its bytes were cut, text is UTF-8, nothing is larger
 * than its limit; and what is written is read as it was meant. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/json.h"
#include "http/ws.h"

const char *const fuzz_tokens[] = { "\x81\x85", "\x81\x80", "\x01\x83", "\x80\x84", "\x89\x80", "\x8a\x81x", "\x88\x82\x03\xe8",
                                    "\x88\x80", "\x81\xfe", "\x81\xff", "\x01\x01\x01\x01", "\x82\x82", "\xe4\xbd\xa0", "\xf0\x9f\x98\x80",
                                    "hello", NULL };

/* Returns how it ended: 0, or the code to close with. */
static long run(struct slice s, size_t most, size_t limit, bool masked, uint64_t *rng, struct buf *out) {
    struct ws_reader r;
    long rc = 0;
    buf_clear(out);
    ws_reader_init(&r, masked, limit);
    while (rc >= 0 && s.len > 0) {
        struct slice piece = fuzz_piece(&s, most, rng);
        for (size_t at = 0; at < piece.len && rc >= 0;) {
            struct ws_event ev;
            rc = ws_read(&r, slice_of(piece.ptr + at, piece.len - at), &ev);
            if (rc < 0) break;
            ORACLE(rc > 0 && at + (size_t)rc <= piece.len);
            at += (size_t)rc;
            if (ev.opcode == WS_NOTHING) {
                ORACLE(at == piece.len);
                continue;
            }
            bool text = ev.opcode == WS_TEXT || ev.opcode == WS_CLOSE;
            ORACLE(!text || utf8_valid_prefix(ev.payload) == ev.payload.len);
            ORACLE(ev.opcode >= WS_CLOSE ? ev.payload.len <= WS_CONTROL_MAX : limit == 0 || ev.payload.len <= limit);
            buf_printf(out, "%d,%d,%zu:", ev.opcode, ev.code, ev.payload.len);
            buf_slice(out, ev.payload);
        }
        free((void *)(uintptr_t)piece.ptr);
    }
    ORACLE(rc >= 0 || r.why != NULL);
    ORACLE(rc < 0 || ws_reader_is_inside(&r) || r.message.len == 0 || r.kind == WS_CONTINUATION);
    ws_reader_deinit(&r);
    return rc < 0 ? -rc : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = slice_of((const char *)data, size);
    uint64_t rng = fuzz_hash(data, size);
    size_t limit = fuzz_below(&rng, 2) ? 0 : 4 + fuzz_below(&rng, 200);
    bool masked = fuzz_below(&rng, 4) > 0;
    struct buf whole, pieces, again;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    buf_init(&again, 0);
    long end = run(s, 1u << 30, limit, masked, &rng, &whole);
    for (size_t most = 1; most < 500; most *= 5) {
        ORACLE(run(s, most, limit, masked, &rng, &pieces) == end);
        ORACLE(slice_eq(buf_get(&whole), buf_get(&pieces)));
    }
    /* What a server writes is one message, whatever it says. */
    ws_write_frame(&again, WS_BINARY, s);
    ORACLE(run(buf_get(&again), 7, 0, false, &rng, &pieces) == 0);
    ORACLE(buf_len(&pieces) >= s.len && slice_ends(buf_get(&pieces), s));
    buf_deinit(&whole);
    buf_deinit(&pieces);
    buf_deinit(&again);
    return 0;
}
