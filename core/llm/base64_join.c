/* base64_join.c -- base64 that comes in pieces, each with an end of its own.
 *
 *     "UklGRg==" + "AAAA"  ->  "UklGRgAAAA=="
 *
 * Audio is streamed as pieces of base64.  Each is padded, so that it can be decoded for itself, and behind one another
 * they are no base64 any more: padding ends it.  Here groups of four characters are read, over the ends of pieces
 * (who cuts one long text anywhere is understood, too); where padding stood bytes are carried on, and what
 * follows is written anew.  Until then groups go over as they are.
 *
 * Something else than base64 goes over as it came. */
#include "llm/base64_join.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -1: none. */
static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* 1 to 3 bytes as a group. */
static void put_group(struct buf *out, const uint8_t *b, unsigned n) {
    unsigned bits = (unsigned)b[0] << 16 | (n > 1 ? (unsigned)b[1] << 8 : 0) | (n > 2 ? b[2] : 0);
    char group[4] = { digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                      n > 2 ? digits[bits & 63] : '=' };
    buf_put(out, group, sizeof(group));
}

/* The bytes of `len` digits: one less than there are. */
static unsigned decode(const char *group, unsigned len, uint8_t *bytes) {
    unsigned bits = 0;
    for (unsigned i = 0; i < 4; i++) bits = bits << 6 | (i < len ? (unsigned)value_of(group[i]) : 0);
    for (unsigned i = 0; i + 1 < len; i++) bytes[i] = (uint8_t)(bits >> (16 - 8 * i));
    return len > 0 ? len - 1 : 0;
}

static void carry(struct base64_join *j, const uint8_t *bytes, unsigned n, struct buf *out) {
    for (unsigned i = 0; i < n; i++) {
        if (j->left < 2) {
            j->bytes[j->left++] = bytes[i];
            continue;
        }
        put_group(out, (const uint8_t[]){ j->bytes[0], j->bytes[1], bytes[i] }, 3);
        j->left = 0;
    }
}

/* Digits in a group of four, the rest is padding.  0: it is no group. */
static unsigned digits_of(const char *group) {
    unsigned n = 4;
    while (n > 2 && group[n - 1] == '=') n--;
    for (unsigned i = 0; i < n; i++)
        if (value_of(group[i]) < 0) return 0;
    return n;
}

static void take_group(struct base64_join *j, struct buf *out) {
    unsigned n = digits_of(j->group);
    uint8_t bytes[3];
    if (n == 0) {
        if (j->left > 0) put_group(out, j->bytes, j->left);
        buf_put(out, j->group, sizeof(j->group));
        j->left = 0;
        j->broken = true;
    } else if (n == 4 && j->left == 0) {
        buf_put(out, j->group, sizeof(j->group));
    } else {
        carry(j, bytes, decode(j->group, n, bytes), out);
    }
    j->grouped = 0;
}

void base64_join_add(struct base64_join *j, struct slice piece, struct buf *out) {
    for (size_t i = 0; i < piece.len; i++) {
        if (j->broken) {
            buf_put(out, piece.ptr + i, piece.len - i);
            return;
        }
        j->group[j->grouped++] = piece.ptr[i];
        if (j->grouped == 4) take_group(j, out);
    }
}

void base64_join_rest(const struct base64_join *j, struct buf *out) {
    struct base64_join last = *j;
    uint8_t bytes[3];
    bool good = true;
    for (unsigned i = 0; i < last.grouped; i++) good &= value_of(last.group[i]) >= 0;
    if (last.left == 0 || !good) { /* as it came */
        if (last.left > 0) put_group(out, last.bytes, last.left);
        buf_put(out, last.group, last.grouped);
        return;
    }
    carry(&last, bytes, decode(last.group, last.grouped, bytes), out);
    if (last.left > 0) put_group(out, last.bytes, last.left);
}
