/* fuzz_json_stream.c -- the values of a text do not depend on how it was cut, and are
 * those that the reader of whole texts finds; what one refuses the other refuses. */
#include "fuzz.h"

#include <string.h>

#include "include/perilune.h"
#include "llm/json_stream.h"

const char *const fuzz_tokens[] = {
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\":", "null", "true", "false", "0", "-", "1e9", "0.5", "\\u0041",
    "\\ud83d", "\\ude00", "{}", "[]", " ", "\n", "```json\n", "/", "~", "\xe4\xbd\xa0", "\xff", "[[[[[[[[", NULL
};

static int see(void *ud, const struct json_scalar *s) {
    struct buf *out = ud;
    buf_slice(out, s->path);
    buf_putc(out, '=');
    buf_slice(out, s->text);
    buf_putc(out, '\n');
    return 0;
}

static int run(struct slice s, size_t most, const struct json_stream_limits *limits, uint64_t *rng, struct buf *out) {
    struct json_stream j;
    int rc = 0;
    json_stream_init(&j, limits);
    buf_clear(out);
    while (rc == 0 && s.len > 0) {
        struct slice piece = fuzz_piece(&s, most, rng);
        rc = json_stream_feed(&j, piece, see, out);
        free((void *)(uintptr_t)piece.ptr);
    }
    if (rc == 0) rc = json_stream_finish(&j, see, out);
    json_stream_deinit(&j);
    ORACLE(!buf_failed(out));
    return rc;
}

static void put_key(struct buf *path, struct slice key) {
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '~') buf_puts(path, "~0");
        else if (key.ptr[i] == '/') buf_puts(path, "~1");
        else buf_putc(path, key.ptr[i]);
    }
}

/* The same list from a parsed text. */
static void walk(const struct json_doc *d, uint32_t n, struct buf *path, struct buf *out) {
    enum json_type type = json_type(d, n);
    size_t len = path->len;
    bool object = type == JSON_OBJECT;
    if ((type != JSON_ARRAY && !object) || d->nodes[n].count == 0) {
        struct slice text = type == JSON_ARRAY ? SLICE("[]") : object ? SLICE("{}") : json_raw(d, n);
        see(out, &(struct json_scalar){ buf_get(path), type, text });
        return;
    }
    uint64_t i = 0;
    for (uint32_t e = json_first(d, n); e != JSON_NONE; e = json_next(d, n, e)) {
        buf_putc(path, '/');
        if (object) {
            struct buf key;
            buf_init(&key, 0);
            json_decode_string(d, e, &key);
            put_key(path, buf_get(&key));
            buf_deinit(&key);
            e = json_next(d, n, e);
        } else {
            buf_u64(path, i++);
        }
        walk(d, e, path, out);
        path->len = len;
    }
}

static void compare(struct slice s, int rc, struct buf *whole) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    int known = json_parse(&doc, s, &e);
    if (known != 0) ORACLE(rc != 0);
    if (rc == PERILUNE_ERR_INVAL) ORACLE(known != 0);
    if (rc == 0) {
        struct buf path, out;
        buf_init(&path, 0);
        buf_init(&out, 0);
        walk(&doc, 0, &path, &out);
        ORACLE(slice_eq(buf_get(&out), buf_get(whole)));
        buf_deinit(&path);
        buf_deinit(&out);
    }
    json_deinit(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = slice_of((const char *)data, size);
    uint64_t rng = fuzz_hash(data, size);
    struct json_stream_limits limits = { .seek = fuzz_below(&rng, 4) == 0 };
    if (fuzz_below(&rng, 4) == 0) limits.max_depth = 1 + (unsigned)fuzz_below(&rng, 8);
    if (fuzz_below(&rng, 4) == 0) limits.max_size = 1 + fuzz_below(&rng, 100);
    if (fuzz_below(&rng, 4) == 0) limits.max_value = 2 + fuzz_below(&rng, 40);
    struct buf whole, pieces;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    int rc = run(s, 1u << 30, &limits, &rng, &whole);
    for (size_t most = 1; most < 500; most *= 5) {
        ORACLE(run(s, most, &limits, &rng, &pieces) == rc);
        ORACLE(slice_eq(buf_get(&whole), buf_get(&pieces)));
    }
    if (!limits.seek) compare(s, rc, &whole);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
