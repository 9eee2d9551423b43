/* nfc.c -- Unicode's canonical composition (form C).
 *
 * Qwen's tokenizers bring text into form C first: "e" and a combining acute become one
 * letter, Hangul letters become syllables.  Text as it is written is in that form
 * already, so nfc_is_plain() is what nearly always runs; it looks at no character
 * below U+0300 and at none of the ideographs.
 *
 *     plain plain plain  BASE mark mark  plain plain
 *     |-- copied -----|  |-- worked --|  |-- copied
 *
 * A stretch that is worked on begins at the plain character before a suspect one and
 * ends before the next plain one: nothing reaches across a plain character, which is a
 * starter that composes with nothing before it.  In it: decompose, put marks into
 * the order of their classes (stable, by counting, so that a megabyte of marks costs
 * no more per mark than one), compose.
 *
 * Thread: any.  Needs memory for the stretch only. */
#include "tokens/nfc.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/unicode.h"

struct decomposition {
    uint32_t whole, first, second;
};
struct class_range {
    uint32_t first, last, class;
};
struct suspect_range {
    uint32_t first, last;
};

#include "tokens/nfc_data.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { /* Hangul is computed */
    S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7,
    L_COUNT = 19, V_COUNT = 21, T_COUNT = 28, S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

/* -- The tables ---------------------------------------------------------------------- */

static bool is_suspect(uint32_t c) {
    size_t low = 0, high = COUNT(suspect_ranges);
    if (c < 0x300 || (c >= 0x3400 && c < 0xA000)) return false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (suspect_ranges[mid].last < c) low = mid + 1;
        else high = mid;
    }
    return low < COUNT(suspect_ranges) && suspect_ranges[low].first <= c;
}

static unsigned class_of(uint32_t c) {
    size_t low = 0, high = COUNT(class_ranges);
    if (c < 0x300) return 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (class_ranges[mid].last < c) low = mid + 1;
        else high = mid;
    }
    return low < COUNT(class_ranges) && class_ranges[low].first <= c ? class_ranges[low].class : 0;
}

static const struct decomposition *decomposition_of(uint32_t c) {
    size_t low = 0, high = COUNT(decompositions);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (decompositions[mid].whole < c) low = mid + 1;
        else high = mid;
    }
    return low < COUNT(decompositions) && decompositions[low].whole == c ? &decompositions[low] : NULL;
}

/* What the two make together, or 0. */
static uint32_t composed(uint32_t a, uint32_t b) {
    if (a - L_BASE < L_COUNT && b - V_BASE < V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a - S_BASE < S_COUNT && (a - S_BASE) % T_COUNT == 0 && b - T_BASE - 1 < T_COUNT - 1)
        return a + (b - T_BASE);
    size_t low = 0, high = COUNT(compositions);
    uint64_t key = (uint64_t)a << 32 | b;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct decomposition *d = &decompositions[compositions[mid]];
        uint64_t k = (uint64_t)d->first << 32 | d->second;
        if (k == key) return d->whole;
        if (k < key) low = mid + 1;
        else high = mid;
    }
    return 0;
}

/* -- A stretch ------------------------------------------------------------------------- */

struct work {
    struct buf c;      /* uint32_t: the characters */
    struct buf sorted; /* the same, for sorting */
};

static void put(struct work *w, uint32_t c) { buf_put(&w->c, &c, sizeof(c)); }

static void decompose(struct work *w, uint32_t c) {
    if (c - S_BASE < S_COUNT) {
        uint32_t s = c - S_BASE, t = s % T_COUNT;
        put(w, L_BASE + s / (V_COUNT * T_COUNT));
        put(w, V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT);
        if (t != 0) put(w, T_BASE + t);
        return;
    }
    const struct decomposition *d = c < 0xC0 ? NULL : decomposition_of(c);
    if (d == NULL) {
        put(w, c);
        return;
    }
    decompose(w, d->first); /* four deep at most */
    if (d->second != 0) decompose(w, d->second);
}

/* n marks, none of class 0, into the order of their classes; equals stay in order. */
static int sort_marks(struct work *w, uint32_t *c, size_t n) {
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++) sorted = class_of(c[i - 1]) <= class_of(c[i]);
    if (sorted) return 0;
    size_t at[257] = { 0 };
    buf_clear(&w->sorted);
    uint32_t *to = (uint32_t *)(void *)buf_reserve(&w->sorted, n * sizeof(*c));
    if (to == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) at[class_of(c[i]) + 1]++;
    for (size_t i = 1; i < 257; i++) at[i] += at[i - 1];
    for (size_t i = 0; i < n; i++) to[at[class_of(c[i])]++] = c[i];
    memcpy(c, to, n * sizeof(*c));
    return 0;
}

static int sort_all(struct work *w, uint32_t *c, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && class_of(c[k]) != 0) k++;
        if (k > i + 1) {
            int rc = sort_marks(w, c + i, k - i);
            if (rc != 0) return rc;
        }
        i = k + 1;
    }
    return 0;
}

/* In place; returns how many are left. */
static size_t compose(uint32_t *c, size_t n) {
    size_t starter = SIZE_MAX, out = 0;
    unsigned last = 0; /* the class of what was kept after the starter */
    for (size_t i = 0; i < n; i++) {
        unsigned class = class_of(c[i]);
        bool blocked = starter == SIZE_MAX || (out > starter + 1 && last >= class);
        uint32_t whole = blocked ? 0 : composed(c[starter], c[i]);
        if (whole != 0) {
            c[starter] = whole;
            continue;
        }
        if (class == 0) starter = out;
        last = class;
        c[out++] = c[i];
    }
    return out;
}

static void put_utf8(struct buf *out, uint32_t c) {
    char s[4];
    if (c < 0x80) {
        buf_putc(out, (char)c);
    } else if (c < 0x800) {
        s[0] = (char)(0xC0 | c >> 6);
        s[1] = (char)(0x80 | (c & 63));
        buf_put(out, s, 2);
    } else if (c < 0x10000) {
        s[0] = (char)(0xE0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 63));
        s[2] = (char)(0x80 | (c & 63));
        buf_put(out, s, 3);
    } else {
        s[0] = (char)(0xF0 | c >> 18);
        s[1] = (char)(0x80 | (c >> 12 & 63));
        s[2] = (char)(0x80 | (c >> 6 & 63));
        s[3] = (char)(0x80 | (c & 63));
        buf_put(out, s, 4);
    }
}

static int work_stretch(struct work *w, const unsigned char *p, const unsigned char *end, bool composing,
                        struct buf *out) {
    uint32_t c = 0;
    buf_clear(&w->c);
    while (p < end) {
        unsigned len = unicode_decode(p, end, &c);
        decompose(w, c);
        p += len > 0 ? len : 1;
    }
    if (buf_failed(&w->c)) return PERILUNE_ERR_NOMEM;
    uint32_t *chars = (uint32_t *)(void *)w->c.data;
    size_t n = w->c.len / sizeof(c);
    int rc = sort_all(w, chars, n);
    if (rc != 0) return rc;
    if (composing) n = compose(chars, n);
    for (size_t i = 0; i < n; i++) put_utf8(out, chars[i]);
    return buf_failed(out) ? out->error : 0;
}

/* -- The text -------------------------------------------------------------------------------- */

/* The first suspect character in [p, end), or end; *before: the plain one before it. */
static const unsigned char *find_suspect(const unsigned char *p, const unsigned char *end,
                                         const unsigned char **before) {
    *before = p;
    while (p < end) {
        if (*p < 0x80) {
            *before = p++;
            continue;
        }
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        if (len == 0) return end;
        if (is_suspect(c)) return p;
        *before = p;
        p += len;
    }
    return end;
}

static const unsigned char *skip_suspect(const unsigned char *p, const unsigned char *end) {
    while (p < end) {
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        if (len == 0 || !is_suspect(c)) break;
        p += len;
    }
    return p;
}

bool nfc_is_plain(struct slice text) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len, *before;
    return text.len == 0 || find_suspect(p, end, &before) == end;
}

int nfc_append(struct slice text, struct buf *out) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    struct work w;
    int rc = 0;
    buf_init(&w.c, 0);
    buf_init(&w.sorted, 0);
    while (p < end && rc == 0) {
        const unsigned char *from, *suspect = find_suspect(p, end, &from);
        if (suspect == end) from = end;
        buf_put(out, p, (size_t)(from - p));
        p = skip_suspect(suspect, end);
        if (from < p) rc = work_stretch(&w, from, p, true, out);
    }
    buf_deinit(&w.c);
    buf_deinit(&w.sorted);
    if (rc == 0 && buf_failed(out)) rc = out->error;
    return rc;
}

int nfc_append_decomposed(struct slice text, struct buf *out) {
    const unsigned char *p = (const unsigned char *)text.ptr;
    struct work w;
    buf_init(&w.c, 0);
    buf_init(&w.sorted, 0);
    int rc = text.len > 0 ? work_stretch(&w, p, p + text.len, false, out) : 0;
    buf_deinit(&w.c);
    buf_deinit(&w.sorted);
    return rc;
}
