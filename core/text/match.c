/* match.c -- which units hold what the question names.
 *
 * "What was the price of SKU-1042 on 2024-05-01?"  A sentence with SKU-1042 in it is
 * kept whatever its rank, because a ranking by words can be wrong about names.
 *
 *     numbers    compared by their groups of digits: $1,000 = 1000 USD = 1000 元
 *     the rest   looked for as they are, not inside a longer word
 *
 * A number or name that is everywhere says nothing: it marks nothing.
 *
 * Thread: any. */
#include "text/match.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "text/scan.h"
#include "text/sentences.h"
#include "text/terms.h"

struct match {
    struct slice            text;
    const struct text_unit *units;
    size_t                  count, least; /* units; a thing that is in more of them marks none */
    const struct text_span *numbers;
    size_t                  number_count;
    uint64_t               *keys;  /* of the text's numbers */
    uint32_t               *found; /* units of one thing, each once, in order */
    uint8_t                *marks;
};

/* The groups of digits in a number as one hash: 2024-05-01 and 2024年05月01日 are the same,
 * and 1,000 is 1000.  *digits: how many.  Other numerals are hashed as they stand. */
static uint64_t key_of(struct slice s, size_t *digits) {
    uint64_t h = 0;
    bool gap = false;
    *digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (text_is_digit(c)) {
            if (gap && *digits > 0) h = text_mix(h + 1);
            h = h * 31 + (unsigned char)c;
            gap = false;
            ++*digits;
        } else if (c == '.' && i + 1 < s.len && text_is_digit(s.ptr[i + 1])) {
            h = h * 31 + '.';
        } else if (c != ',') {
            gap = true;
        }
    }
    if (*digits > 0) return text_mix(h);
    for (size_t i = 0; i < s.len; i++) h = h * 31 + (unsigned char)s.ptr[i];
    *digits = s.len / 3;
    return text_mix(~h);
}

/* The unit at offset, from unit u on. */
static size_t unit_at(const struct match *m, size_t u, size_t offset) {
    while (u + 1 < m->count && m->units[u].end <= offset) u++;
    return u;
}

static void commit(struct match *m, size_t n) {
    if (n > m->least) return;
    for (size_t i = 0; i < n; i++) m->marks[m->found[i]] = 1;
}

static void match_number(struct match *m, struct slice s) {
    size_t digits, n = 0, u = 0;
    uint64_t key = key_of(s, &digits);
    if (digits < 2) return;
    for (size_t i = 0; i < m->number_count; i++) {
        if (m->keys[i] != key) continue;
        u = unit_at(m, u, m->numbers[i].start);
        if (n == 0 || m->found[n - 1] != u) m->found[n++] = (uint32_t)u;
    }
    commit(m, n);
}

static bool is_part(struct slice text, const char *p, size_t n) {
    const char *end = text.ptr + text.len;
    bool before = p > text.ptr && text_is_alnum(p[-1]) && text_is_alnum(*p);
    return before || (p + n < end && text_is_alnum(p[n]) && text_is_alnum(p[n - 1]));
}

static void match_string(struct match *m, struct slice s) {
    const char *p = m->text.ptr, *end = p + m->text.len;
    size_t n = 0, u = 0;
    if (s.len < 2) return;
    while (p < end && (p = memmem(p, (size_t)(end - p), s.ptr, s.len)) != NULL) {
        if (!is_part(m->text, p, s.len)) {
            u = unit_at(m, u, (size_t)(p - m->text.ptr));
            if (n == 0 || m->found[n - 1] != u) m->found[n++] = (uint32_t)u;
        }
        p += s.len;
    }
    commit(m, n);
}

/* What is between the marks of a quotation or of code. */
static struct slice inner(struct slice s) {
    size_t n = 0;
    if (*s.ptr == '`') {
        while (2 * n < s.len && s.ptr[n] == '`') n++;
    } else {
        text_char(s.ptr, &n);
    }
    return s.len > 2 * n ? slice_trim(slice_of(s.ptr + n, s.len - 2 * n)) : slice_of(s.ptr, 0);
}

static void match_all(struct match *m, struct slice question, const struct buf *spans) {
    const unsigned strings = 1u << TEXT_ID | 1u << TEXT_URL | 1u << TEXT_EMAIL | 1u << TEXT_PATH;
    const unsigned quoted = 1u << TEXT_QUOTE | 1u << TEXT_INLINE;
    size_t n;
    const struct text_span *span = text_spans_of(spans, &n);
    for (size_t i = 0, things = 0; i < n && things < TEXT_MATCH_MOST; i++, things++) {
        struct slice s = slice_of(question.ptr + span[i].start, span[i].end - span[i].start);
        if (span[i].type == TEXT_NUMBER) match_number(m, s);
        else if (strings >> span[i].type & 1) match_string(m, s);
        else if (quoted >> span[i].type & 1) match_string(m, inner(s));
        else things--;
    }
}

int text_match(struct slice text, const struct buf *units, const struct buf *numbers, struct slice question,
               uint8_t *marks) {
    struct match m = { .text = text, .marks = marks };
    struct buf spans;
    buf_init(&spans, 0);
    m.units = text_units_of(units, &m.count);
    m.numbers = text_spans_of(numbers, &m.number_count);
    m.least = m.count / 3 < 3 ? 3 : m.count / 3;
    int rc = text_spans(question, TEXT_ALL_TYPES, &spans);
    if (rc != 0 || buf_len(&spans) == 0) goto done;
    m.keys = mem_alloc(m.number_count * sizeof(*m.keys));
    m.found = mem_alloc(m.count * sizeof(*m.found));
    rc = m.keys == NULL || m.found == NULL ? PERILUNE_ERR_NOMEM : 0;
    if (rc != 0) goto done;
    size_t digits;
    for (size_t i = 0; i < m.number_count; i++)
        m.keys[i] = key_of(slice_of(text.ptr + m.numbers[i].start, m.numbers[i].end - m.numbers[i].start), &digits);
    match_all(&m, question, &spans);
done:
    mem_free(m.keys);
    mem_free(m.found);
    buf_deinit(&spans);
    return rc;
}
