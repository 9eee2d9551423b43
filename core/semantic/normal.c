/* normal.c -- the form of a text in which texts are compared.
 *
 * Two people who ask the same hold Shift differently, have a Chinese keyboard or an English one, paste from
 * a document with curly quotes.  None of that is to keep their questions apart:
 *
 *     "  Ｗｈａｔ’s  ½ of ⑩㎏? "   ->   "what's 1/2 of 10kg?"
 *
 * Each character becomes what normal_data.h says (lower case of Unicode's compatibility form, and some more
 * that people type for one another), white space becomes single spaces, bytes that are not UTF-8 become
 * U+FFFD.  What was written with combining marks is then put together (form C).  ASCII and ideographs, which
 * are most of all text, are looked up in no table but a row of 128 bytes.
 *
 * A normal text stays as it is when it is made normal once more.  It says nothing to people: answers are never
 * written in it, and what must not differ between questions (guard.c) is read from the text as it was written.
 *
 * Any thread; constants. */
#include "semantic/normal.h"

#include <string.h>

#include "include/perilune.h"
#include "tokens/nfc.h"
#include "tokens/unicode.h"

struct run {
    uint32_t first, last;
    int32_t  by;
    uint32_t step;
};
struct several {
    uint32_t c, from;
};

#include "semantic/normal_data.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define REPLACEMENT  0xFFFD
#define SLACK        64 /* more bytes than any character becomes */

/* Where the text goes: room between at and stop is not yet part of the length. */
struct writer {
    struct buf *out;
    char       *at, *stop;
    bool        space; /* one is due before the next character */
};

/* -- One character ------------------------------------------------------------------ */

static uint32_t single_of(uint32_t c) {
    size_t low = 0, high = COUNT(runs);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (runs[mid].last < c) low = mid + 1;
        else high = mid;
    }
    if (low == COUNT(runs) || runs[low].first > c || (c - runs[low].first) % runs[low].step != 0) return c;
    return (uint32_t)((int32_t)c + runs[low].by);
}

/* What c becomes when that is not one character; NULL ptr: it is. */
static struct slice several_of(uint32_t c) {
    size_t low = 0, high = COUNT(several) - 1; /* the last says where the text ends */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (several[mid].c < c) low = mid + 1;
        else high = mid;
    }
    if (several[low].c != c) return slice_of(NULL, 0);
    return slice_of(several_text + several[low].from, several[low + 1].from - several[low].from);
}

static bool is_as_it_is(uint32_t c) {
    return c - 0x3400 < 0xA000 - 0x3400 || c - 0x3041 < 0x309B - 0x3041 || c - 0xAC00 < 0xD7A4 - 0xAC00;
}

static bool is_space(uint32_t c) {
    unsigned class = unicode_class(c);
    return class == UC_SPACE || class == UC_NEWLINE;
}

static char *put_utf8(char *to, uint32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xE0 | c >> 12);
        } else {
            *to++ = (char)(0xF0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 63));
        }
        *to++ = (char)(0x80 | (c >> 6 & 63));
    }
    *to++ = (char)(0x80 | (c & 63));
    return to;
}

/* -- The text ------------------------------------------------------------------------ */

/* The space that is due, unless the text begins here. */
static inline void put_space(struct writer *w, const char *start) {
    if (w->space && w->at != start) *w->at++ = ' ';
    w->space = false;
}

static void put_several(struct writer *w, const char *start, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ' ') {
            w->space = true;
            continue;
        }
        put_space(w, start);
        *w->at++ = s.ptr[i];
    }
}

static void put_char(struct writer *w, const char *start, uint32_t c) {
    if (!is_as_it_is(c)) {
        struct slice s = several_of(c);
        if (s.ptr != NULL) {
            put_several(w, start, s);
            return;
        }
        c = single_of(c);
        if (is_space(c)) {
            w->space = true;
            return;
        }
    }
    put_space(w, start);
    w->at = put_utf8(w->at, c);
}

static inline void put_ascii(struct writer *w, const char *start, unsigned char c) {
    if (unicode_ascii[c] == UC_SPACE || unicode_ascii[c] == UC_NEWLINE) {
        w->space = true;
        return;
    }
    put_space(w, start);
    *w->at++ = (char)(c | (unicode_ascii[c] == UC_UPPER) << 5);
}

/* Room for what `left` bytes become when no more than a few grow. */
static bool make_room(struct writer *w, size_t left) {
    if (w->at != NULL) w->out->len = (size_t)(w->at - w->out->data);
    w->at = buf_reserve(w->out, left + 2 * SLACK);
    if (w->at == NULL) return false;
    w->stop = w->at + left + 2 * SLACK;
    return true;
}

/* False: out has failed. */
static bool fold(struct slice text, struct buf *out) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    size_t before = buf_len(out);
    struct writer w = { .out = out };
    while (p < end) {
        if (w.stop - w.at < SLACK && !make_room(&w, (size_t)(end - p))) return false;
        const char *start = out->data + out->mark + before;
        if (*p < 0x80) {
            put_ascii(&w, start, *p++);
            continue;
        }
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        put_char(&w, start, len > 0 ? c : REPLACEMENT);
        p += len > 0 ? len : 1;
    }
    out->len = (size_t)(w.at - out->data);
    return true;
}

static struct slice written(const struct buf *out, size_t before) {
    return slice_of(out->data + out->mark + before, buf_len(out) - before);
}

/* What stands in out from `before` on becomes form C. */
static void compose(struct buf *out, size_t before) {
    struct buf composed;
    buf_init(&composed, 0);
    int rc = nfc_append(written(out, before), &composed);
    out->len = out->mark + before;
    if (rc == 0) buf_slice(out, buf_get(&composed));
    else out->error = rc;
    buf_deinit(&composed);
}

void normal_write(struct slice text, struct buf *out) {
    size_t before = buf_len(out);
    if (text.len == 0 || buf_failed(out) || !fold(text, out)) return;
    if (!nfc_is_plain(written(out, before))) compose(out, before);
}
