/* noise.c -- escape sequences, progress bars, base64.
 *
 *     \e[32mok\e[0m 10%\r 50%\r100% done       ->  100% done
 *     data:image/png;base64,iVBORw0KGgo...     ->  data:image/png;base64,[base64 5120 bytes elided]
 *
 * Escape sequences (ECMA-48):
 *
 *     ESC [ parameters intermediates final       CSI, also the character U+009B
 *     ESC ] P X ^ _  text  BEL or ESC \           OSC, DCS, SOS, PM, APC
 *     ESC intermediates final                     all others
 *
 * The end of an OSC is looked for once: that there is none behind some place is
 * remembered, so a megabyte of ESC ] costs no more than other text.
 *
 * Thread: any. */
#include "text/noise.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "include/perilune.h"
#include "text/scan.h"

/* -- Terminals ------------------------------------------------------------------------- */

#define ESC 0x1B
#define BEL 0x07
#define STRING_MAX 8192 /* bytes of an OSC: titles, links; longer is no OSC */

struct terminal {
    const char *p, *end;
    const char *string_end; /* the next BEL or ESC \ at or behind the last place asked; NULL: not asked */
    struct buf *out;
    size_t      line;       /* where the line begins in out */
};

static bool is_in(unsigned char c, unsigned from, unsigned to) { return c >= from && c <= to; }

/* Behind the end mark of a string that begins at p; NULL: none near. */
static const char *string_end(struct terminal *t, const char *p) {
    if (t->string_end == NULL || t->string_end < p) {
        const char *q = p;
        while (q < t->end && *q != BEL && !(*q == ESC && q + 1 < t->end && q[1] == '\\')) q++;
        t->string_end = q;
    }
    const char *q = t->string_end;
    if (q == t->end || q - p > STRING_MAX) return NULL;
    return q + (*q == BEL ? 1 : 2);
}

/* p is behind ESC [; returns what is behind the sequence, or p when it does not end. */
static const char *csi_end(const char *p, const char *end) {
    const char *q = p;
    while (q < end && is_in((unsigned char)*q, 0x30, 0x3F)) q++;
    while (q < end && is_in((unsigned char)*q, 0x20, 0x2F)) q++;
    return q < end && is_in((unsigned char)*q, 0x40, 0x7E) ? q + 1 : q == end ? q : p;
}

/* p is at an ESC. */
static const char *escape_end(struct terminal *t, const char *p) {
    const char *q = p + 1;
    if (q == t->end) return q;
    if (*q == '[') return csi_end(q + 1, t->end);
    if (*q == ']' || *q == 'P' || *q == 'X' || *q == '^' || *q == '_') {
        const char *end = string_end(t, q + 1);
        return end != NULL ? end : q + 1;
    }
    while (q < t->end && is_in((unsigned char)*q, 0x20, 0x2F)) q++;
    return q < t->end && is_in((unsigned char)*q, 0x30, 0x7E) ? q + 1 : p + 1;
}

/* The cursor goes back to the begin of the line: what comes overwrites it.  Before a line
 * end, or at the end, nothing comes. */
static void carriage_return(struct terminal *t) {
    const char *q = t->p + 1;
    while (q < t->end && *q == '\r') q++;
    if (q < t->end && *q != '\n') t->out->len = t->line;
    t->p = q;
}

static void backspace(struct terminal *t) {
    struct buf *out = t->out;
    t->p++;
    if (out->len <= t->line) return;
    do out->len--; while (out->len > t->line && ((unsigned char)out->data[out->len] & 0xC0) == 0x80);
}

static bool is_plain(unsigned char c) { return (c >= ' ' && c != 0x7F && c != 0xC2) || c == '\t'; }

static void terminal_step(struct terminal *t) {
    const char *p = t->p;
    unsigned char c = (unsigned char)*p;
    if (c == ESC) t->p = escape_end(t, p);
    else if (c == '\r') carriage_return(t);
    else if (c == '\b') backspace(t);
    else if (c == '\n') {
        buf_putc(t->out, '\n');
        t->line = t->out->len;
        t->p = p + 1;
    } else if (c == 0xC2 && p + 1 < t->end && (unsigned char)p[1] == 0x9B) { /* U+009B */
        t->p = csi_end(p + 2, t->end);
    } else if (c == 0xC2) {
        buf_putc(t->out, (char)c);
        t->p = p + 1;
    } else {
        t->p = p + 1; /* a control byte */
    }
}

int text_strip_ansi(struct slice text, struct buf *out) {
    if (buf_failed(out)) return out->error;
    if (text.len == 0) return 0;
    size_t before = out->len;
    struct terminal t = { .p = text.ptr, .end = text.ptr + text.len, .out = out, .line = before };
    while (t.p < t.end) {
        const char *from = t.p;
        while (t.p < t.end && is_plain((unsigned char)*t.p)) t.p++;
        buf_put(out, from, (size_t)(t.p - from));
        if (t.p < t.end) terminal_step(&t);
        if (buf_failed(out)) break;
    }
    if (!buf_failed(out)) return 0;
    out->len = before;
    return PERILUNE_ERR_NOMEM;
}

/* -- Base64 -------------------------------------------------------------------------------- */

#define WRAPPED_LEAST 48 /* of a line that goes on in the next; PEM has 64, MIME 76 */
#define WINDOW 64        /* every so many characters must look encoded */

enum { SMALL = 1, CAPITAL = 2, DIGIT = 4, SIGN = 8 };
static const unsigned char alphabet[256] = {
    ['a' ... 'z'] = SMALL, ['A' ... 'Z'] = CAPITAL, ['0' ... '9'] = DIGIT,
    ['+'] = SIGN, ['/'] = SIGN, ['-'] = SIGN, ['_'] = SIGN,
};

static const char *run_end(const char *p, const char *end) {
    while (p < end && alphabet[(unsigned char)*p]) p++;
    return p;
}

/* Behind the run that begins at p, with the lines it goes on in.  A last line that is
 * shorter belongs to it when = says so: else it may be a word. */
static const char *wrapped_end(const char *p, const char *end) {
    const char *q = run_end(p, end);
    size_t width = (size_t)(q - p);
    while (width >= WRAPPED_LEAST && q < end) {
        const char *next = q + (*q == '\r' && q + 1 < end);
        if (*next != '\n') break;
        const char *last = run_end(++next, end);
        size_t n = (size_t)(last - next);
        bool ends = last == end || *last == '\n' || *last == '\r' || *last == '=';
        bool padded = last < end && *last == '=';
        if (n == 0 || n > width || !ends || (n < width && !padded)) break;
        q = last;
        if (n < width) break;
    }
    return q;
}

/* Letters of both cases and digits in most windows, few signs: no path, no hex, no words.
 * Not in all: bytes that are 0 are AAAA. */
static bool looks_encoded(const char *p, const char *end) {
    size_t good = 0, windows = 0;
    while (p < end) {
        unsigned seen = 0, signs = 0, n = 0;
        for (; p < end && n < WINDOW; p++) {
            unsigned kind = alphabet[(unsigned char)*p];
            if (kind == 0) continue; /* a line end */
            seen |= kind;
            signs += kind == SIGN;
            n++;
        }
        if (n < WINDOW) break;
        windows++;
        good += (seen & (SMALL | CAPITAL | DIGIT)) == (SMALL | CAPITAL | DIGIT) && signs <= WINDOW / 6;
    }
    return good > 0 && good * 4 >= windows * 3;
}

/* Does the text in front of p say that base64 follows? */
static bool is_announced(const char *begin, const char *p) {
    return p - begin >= 8 && memcmp(p - 8, ";base64,", 8) == 0;
}

int text_elide_base64(struct slice text, size_t min, struct buf *out, size_t *count) {
    *count = 0;
    if (buf_failed(out)) return out->error;
    if (text.len == 0) return 0;
    if (min < 64) min = 64;
    size_t before = out->len;
    const char *p = text.ptr, *end = p + text.len, *from = p; /* from: not copied yet */
    while (p < end) {
        if (!alphabet[(unsigned char)*p]) {
            p++;
            continue;
        }
        const char *to = wrapped_end(p, end);
        if ((size_t)(to - p) >= min && (is_announced(text.ptr, p) || looks_encoded(p, to))) {
            for (int i = 0; i < 2 && to < end && *to == '='; i++) to++;
            buf_put(out, from, (size_t)(p - from));
            buf_printf(out, "[base64 %zu bytes elided]", (size_t)(to - p));
            from = to;
            ++*count;
        }
        p = to;
    }
    buf_put(out, from, (size_t)(end - from));
    if (!buf_failed(out)) return 0;
    out->len = before;
    *count = 0;
    return PERILUNE_ERR_NOMEM;
}
