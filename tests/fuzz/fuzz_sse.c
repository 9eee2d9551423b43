/* fuzz_sse.c -- the events of a stream, raw bytes included, do not depend on
 * how it was cut, and a stream of raw bytes has the events that they came from. */
#include "fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "include/perilune.h"
#include "llm/sse.h"

const char *const fuzz_tokens[] = {
    "data: ", "data:", "data", "\ndata: x", "event: ", "id: ", "id: \x01", "retry: 1", ":", ": c\n",
    "\n", "\n\n", "\r", "\r\r", "\r\n", "\r\n\r\n", "\n\r", "\r\n\r", "\r\n\n", "\xef\xbb\xbf",
    "\xef\xbb", "\xe2\x80\xa8", "\xc2\x85", "[DONE]", "{\"a\":1}", NULL
};

struct record {
    struct buf parts; /* name|id|data# of each event */
    struct buf raw;
};

static int record(void *ud, const struct sse_event *ev) {
    struct record *r = ud;
    ORACLE(ev->raw.len > 0);
    buf_slice(&r->parts, ev->name);
    buf_putc(&r->parts, '|');
    buf_slice(&r->parts, ev->id);
    buf_putc(&r->parts, '|');
    buf_slice(&r->parts, ev->data);
    buf_putc(&r->parts, '#');
    buf_slice(&r->raw, ev->raw);
    return 0;
}

static void record_init(struct record *r) {
    buf_init(&r->parts, 0);
    buf_init(&r->raw, 0);
}

static void record_deinit(struct record *r) {
    buf_deinit(&r->parts);
    buf_deinit(&r->raw);
}

static int run(struct slice s, size_t most, size_t limit, uint64_t *rng, struct record *r) {
    struct sse e;
    int rc = 0;

    sse_init(&e, limit);
    buf_clear(&r->parts);
    buf_clear(&r->raw);
    while (rc == 0 && s.len > 0) {
        struct slice piece = fuzz_piece(&s, most, rng);
        rc = sse_feed(&e, piece, record, r);
        free((void *)(uintptr_t)piece.ptr);
    }
    if (rc == 0) rc = sse_finish(&e, record, r);
    sse_deinit(&e);
    ORACLE(!buf_failed(&r->parts) && !buf_failed(&r->raw));
    return rc;
}

static bool has_bom(struct slice s) {
    return slice_starts(s, SLICE("\xef\xbb\xbf"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = slice_of((const char *)data, size);
    uint64_t rng = fuzz_hash(data, size);
    size_t limit = fuzz_below(&rng, 2) ? 0 : 4 + fuzz_below(&rng, 200);
    struct record whole, pieces;

    record_init(&whole);
    record_init(&pieces);
    int rc = run(s, 1u << 30, limit, &rng, &whole);
    ORACLE(rc == 0 || rc == PERILUNE_ERR_LIMITED);
    for (size_t most = 1; most < 500; most *= 5) {
        ORACLE(run(s, most, limit, &rng, &pieces) == rc);
        ORACLE(slice_eq(buf_get(&whole.parts), buf_get(&pieces.parts)));
        ORACLE(slice_eq(buf_get(&whole.raw), buf_get(&pieces.raw)));
    }

    /* Forwarding raw bytes forwards the events. */
    struct slice raw = buf_get(&whole.raw);
    if (!has_bom(raw)) {
        ORACLE(run(raw, 1u << 30, 0, &rng, &pieces) == 0);
        ORACLE(slice_eq(buf_get(&whole.parts), buf_get(&pieces.parts)));
    }
    record_deinit(&whole);
    record_deinit(&pieces);
    return 0;
}
