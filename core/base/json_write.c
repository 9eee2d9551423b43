/* json_write.c -- appends JSON strings and numbers to a buf.
 *
 * There is no document to build: whoever writes an object writes its braces,
 * commas and colons with buf_putc().  What can go wrong is in the two leaves,
 * and they are here:
 *
 *   string   the output is always valid JSON and valid UTF-8, whatever came in:
 *            bytes that are not UTF-8 become U+FFFD, one each
 *   number   the shortest digits that read back as the same double
 *
 * Both are free of the locale: snprintf() is only asked for digits and an
 * exponent, whatever it puts between them is ours to choose.
 *
 * Thread: any; a buf belongs to one thread.  The buf's error is sticky. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_scan.h"

/* -- Strings ---------------------------------------------------------------- */

static void write_escape(struct buf *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    char text[6] = { '\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15] };
    size_t len = 2;

    switch (c) {
    case '"': case '\\': text[1] = (char)c; break;
    case '\b': text[1] = 'b'; break;
    case '\f': text[1] = 'f'; break;
    case '\n': text[1] = 'n'; break;
    case '\r': text[1] = 'r'; break;
    case '\t': text[1] = 't'; break;
    default: len = 6; break;
    }
    buf_put(out, text, len);
}

#define NEAR_BYTES 256 /* taken at a time */
#define NEAR_RUN   8   /* plain bytes behind which there may be many more */

/* Escapes stand close together in some texts (code, lines of one word), and to ask for room for each of them is most
 * of the work.  Returns where a longer run of plain bytes begins, or something that is not ASCII. */
static const char *write_near(struct buf *out, const char *p, const char *end) {
    static const char shorts[32] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
    for (unsigned plain = 0; p < end && plain < NEAR_RUN;) {
        const char *stop = end - p > NEAR_BYTES ? p + NEAR_BYTES : end;
        char *from = buf_reserve(out, 2 * (size_t)(stop - p)), *to = from;
        if (from == NULL) return end;
        for (; p < stop && plain < NEAR_RUN; p++) {
            unsigned char c = (unsigned char)*p;
            char with = c < 0x20 ? shorts[c] : (char)c;
            plain = scan_is_plain(c) ? plain + 1 : 0;
            if (plain == 0 && (c >= 0x80 || with == '\0')) break;
            if (plain == 0) *to++ = '\\';
            *to++ = with;
        }
        buf_advance(out, (size_t)(to - from));
        if (p < stop) break;
    }
    return p;
}

void json_write_string(struct buf *out, struct slice s) {
    const char *p = s.len ? s.ptr : "", *end = p + s.len;
    const char *run = p; /* what is not written yet and needs no change */

    buf_putc(out, '"');
    for (;;) {
        p = scan_plain(p, end);
        if (p == end) break;
        size_t n = scan_utf8(p, end);
        if (n > 1) {
            p = scan_threes(p + n, end);
            continue;
        }
        buf_put(out, run, (size_t)(p - run));
        if (n == 1)
            write_escape(out, (unsigned char)*p);
        else
            buf_puts(out, "\xEF\xBF\xBD");
        run = ++p;
        if (n == 1 && out->limit == 0) run = p = write_near(out, p, end);
    }
    buf_put(out, run, (size_t)(end - run));
    buf_putc(out, '"');
}

/* -- Numbers ---------------------------------------------------------------- */

struct digits {
    char text[24];
    int  count;    /* no zero at the end, at least one digit */
    int  exponent; /* the value is d.ddd * 10^exponent */
};

/* v, rounded to `precision` digits. */
static void digits_of(struct digits *d, double v, int precision) {
    char text[48];
    snprintf(text, sizeof(text), "%.*e", precision - 1, v);

    const char *p = text;
    d->count = 0;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') d->text[d->count++] = *p;
    d->exponent = (int)strtol(p + 1, NULL, 10);
    while (d->count > 1 && d->text[d->count - 1] == '0') d->count--;
}

static void put_zeros(struct buf *out, int n) {
    while (n-- > 0) buf_putc(out, '0');
}

/* Plain notation from 1e-6 up to 1e21, as JavaScript does it. */
static void digits_write(struct buf *out, const struct digits *d) {
    int before = d->exponent + 1; /* digits before the point */

    if (before > 21 || before < -5) {
        buf_putc(out, d->text[0]);
        if (d->count > 1) buf_putc(out, '.');
        buf_put(out, d->text + 1, (size_t)d->count - 1);
        buf_printf(out, "e%+d", d->exponent);
    } else if (before <= 0) {
        buf_puts(out, "0.");
        put_zeros(out, -before);
        buf_put(out, d->text, (size_t)d->count);
    } else if (before >= d->count) {
        buf_put(out, d->text, (size_t)d->count);
        put_zeros(out, before - d->count);
    } else {
        buf_put(out, d->text, (size_t)before);
        buf_putc(out, '.');
        buf_put(out, d->text + before, (size_t)(d->count - before));
    }
}

/* Do the digits read back as v?  Asks the reader itself. */
static bool digits_are(const struct digits *d, double v) {
    char text[40];
    int len = snprintf(text, sizeof(text), "%.*se%d", d->count, d->text,
                       d->exponent - (d->count - 1));
    struct json_node node = { .end = (uint32_t)len, .next = 1, .type = JSON_NUMBER };
    struct json_doc doc = { .text = slice_of(text, (size_t)len), .nodes = &node, .len = 1, .cap = 1 };
    return json_number(&doc, 0) == v;
}

void json_write_number(struct buf *out, double v) {
    if (!isfinite(v)) {
        buf_puts(out, "null");
        return;
    }
    if (signbit(v)) {
        buf_putc(out, '-');
        v = -v;
    }
    if (v <= 9007199254740992.0 && v == (double)(uint64_t)v) {
        buf_u64(out, (uint64_t)v);
        return;
    }

    /* Every decimal of 15 digits survives a normal double, so shorter ones are
     * found among them, with zeros at the end.  Subnormals hold fewer. */
    struct digits d;
    int precision = isnormal(v) ? 15 : 1;
    do
        digits_of(&d, v, precision);
    while (precision++ < 17 && !digits_are(&d, v));
    digits_write(out, &d);
}
