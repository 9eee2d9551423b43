/* limit_rows.c -- x-ratelimit-...: what limits tell clients, as OpenAI's do.
 *
 *     limit, remaining, reset   of requests and of tokens, three lines each
 *
 * Where several limits speak of the same, the one that leaves least is told.  Every answer of a limited route gets
 * these lines, so they are written in one piece on the stack: line by line they were half of what a limit costs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/limit.h"
#include "flow/headers.h"

#define DIGITS    20 /* of 2^64 */
#define ROW_BYTES 192 /* three names of 31 bytes at most, two numbers, a duration */

/* ORDER: enum limit_kind. */
static const struct row_names {
    struct slice limit, remaining, reset;
} names[] = {
    { SLICE("x-ratelimit-limit-requests"), SLICE("x-ratelimit-remaining-requests"),
      SLICE("x-ratelimit-reset-requests") },
    { SLICE("x-ratelimit-limit-tokens"), SLICE("x-ratelimit-remaining-tokens"), SLICE("x-ratelimit-reset-tokens") },
};

/* -- Pieces of text ------------------------------------------------------------------------- */

static char *add(char *at, struct slice s) {
    memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *add_number(char *at, uint64_t v) {
    char tmp[DIGITS], *p = tmp + DIGITS;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return add(at, slice_of(p, (size_t)(tmp + DIGITS - p)));
}

/* As OpenAI does: "20ms", "6m0s", "1h0m0s". */
static char *add_duration(char *at, uint64_t ms) {
    uint64_t s = ms / 1000, parts = ms % 1000;
    if (ms < 1000) return add(add_number(at, ms), SLICE("ms"));
    if (s >= 3600) at = add(add_number(at, s / 3600), SLICE("h"));
    if (s >= 60) at = add(add_number(at, s / 60 % 60), SLICE("m"));
    at = add_number(at, s % 60);
    if (s < 60 && parts > 0) {
        char digits[4] = { '.', (char)('0' + parts / 100), (char)('0' + parts / 10 % 10), (char)('0' + parts % 10) };
        at = add(at, slice_of(digits, sizeof(digits)));
    }
    return add(at, SLICE("s"));
}

void limit_put_duration(struct buf *out, uint64_t ms) {
    char text[3 * DIGITS + 8];
    buf_put(out, text, (size_t)(add_duration(text, ms) - text));
}

/* -- Rows -------------------------------------------------------------------------------------- */

static char *add_count(char *at, struct slice name, double v) {
    at = add(add(at, name), SLICE(": "));
    return add(add_number(at, v > 0 ? (uint64_t)v : 0), SLICE("\r\n"));
}

static void put_row(struct buf *out, const struct row_names *n, const struct limit_row *row) {
    char text[ROW_BYTES], *at = text;
    at = add_count(at, n->limit, row->most);
    at = add_count(at, n->remaining, floor(row->left));
    at = add_duration(add(add(at, n->reset), SLICE(": ")), row->reset_ms);
    at = add(at, SLICE("\r\n"));
    buf_put(out, text, (size_t)(at - text));
}

/* What another limit has said stays when it leaves less. */
static bool yields(struct buf *out, const struct row_names *n, double left) {
    struct slice said = headers_find(buf_get(out), n->remaining);
    if (said.ptr == NULL) return false;
    if (strtod(said.ptr, NULL) <= left) return true; /* a line ends with CR */
    headers_drop(out, n->limit);
    headers_drop(out, n->remaining);
    headers_drop(out, n->reset);
    return false;
}

void limit_put_rows(const struct limit_row row[LIMIT_KINDS], struct buf *out) {
    bool others = buf_len(out) > 0; /* our own two rows speak of different things */
    for (int k = LIMIT_REQUESTS; k <= LIMIT_TOKENS; k++) {
        if (!row[k].has || (others && yields(out, &names[k], floor(row[k].left)))) continue;
        put_row(out, &names[k], &row[k]);
    }
}
