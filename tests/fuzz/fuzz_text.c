/* fuzz_text.c -- whatever a text is, its units are the text, nothing cuts a span, JSON
 * keeps its values, and time is linear.
 *
 * What stands in front of a byte 0x1E is the question; the rest is the text. */
#include "fuzz.h"

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "include/perilune.h"
#include "text/dups.h"
#include "text/extract.h"
#include "text/json_minify.h"
#include "text/noise.h"
#include "text/sentences.h"
#include "text/spans.h"

const char *const fuzz_tokens[] = {
    "\x1e", "\n", "\n\n", "    ", "\t", "# ", "- ", "1. ", "```", "~~~", "`", "``", "\"", "'", "“", "”", "「", "」", "《",
    "》", "{", "}", "[", "]", "{\"a\":", "[1,", ",", ":", "null", "|", "\n|-|-|\n", "$", "$$", "\\[", "\\]", "\\(", "\\)",
    "<b>", "</b>", "<", ">", "http://", "a@b.cd", "/a/b.c", "2024-05-01", "3.14", "5 GB", "三十万元", "百分之", "v1.2",
    "ABC-123", "a_b", "don't", "not", "no. ", "e.g. ", "U.S. ", "Dr. ", "never", "不", "不得", "除非", "没有", "。", "！",
    "？", "；", "……", "...", ". A", "? ", "! ", "它", "This ", "However, ", "=== ", "\n===\n", "\n---\n", "--- \n+++ \n",
    "@@ -1 +1 @@\n", "diff --git ", "一、", "第三章", "（1）", "①", "\r\n", "\r", "\b", "\x1b[31m", "\x1b]0;t\x07", "\x1b(B",
    "\x1b", "\xc2\x9b", "base64,", "aB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gH", "\\u00e9", "\\ud800", "\xff", "\xe4\xb8",
    "The cat sat on the mat and never left it. ", "光速为299792458米每秒。", NULL
};

static bool is_border(struct slice s, size_t at) { return at == s.len || ((unsigned char)s.ptr[at] & 0xC0) != 0x80; }

/* By start, the longer first; nested in quotes and tables, or disjoint. */
static void check_spans(struct slice text, struct buf *spans) {
    size_t n;
    struct text_span *s = text_spans_of(spans, &n);
    for (size_t i = 0; i < n; i++) {
        ORACLE(s[i].start < s[i].end && s[i].end <= text.len);
        ORACLE(is_border(text, s[i].start) && is_border(text, s[i].end));
        if (i == 0) continue;
        ORACLE(s[i].start >= s[i - 1].start);
        if (s[i].start == s[i - 1].start) ORACLE(s[i].end <= s[i - 1].end);
        if (s[i].start < s[i - 1].end) ORACLE(s[i].end <= s[i - 1].end);
        if (s[i].start < s[i - 1].end) ORACLE(s[i - 1].type == TEXT_QUOTE || s[i - 1].type == TEXT_TABLE);
    }
}

static void check_units(struct slice text, const struct buf *spans, const struct buf *units) {
    size_t n, m, k = 0;
    const struct text_span *s = text_spans_of(spans, &n);
    const struct text_unit *u = text_units_of(units, &m);
    ORACLE((m == 0) == (text.len == 0));
    for (size_t i = 0; i < m; i++) {
        ORACLE(u[i].start == (i == 0 ? 0 : u[i - 1].end) && u[i].end > u[i].start && is_border(text, u[i].end));
        ORACLE(u[i].parent == TEXT_NO_PARENT || u[i].parent < i);
        for (; k < n && s[k].start < u[i].end; k++) /* no span goes over the end */
            ORACLE(s[k].end <= u[i].end || s[k].type == TEXT_TABLE);
    }
    if (m > 0) ORACLE(u[m - 1].end == text.len);
}

/* Over what an extraction writes besides pieces: a line end, or the mark of what was left
 * out. */
static const char *skip_gap(const char *p, const char *end) {
    ORACLE(p < end);
    if (*p == '\n') return p + 1;
    ORACLE(end - p > 20 && memcmp(p, "[... ", 5) == 0);
    p = memmem(p, (size_t)(end - p), " omitted ...]", 13);
    ORACLE(p != NULL);
    return p + 13;
}

/* The kept pieces stand in the output, whole and in order. */
static void check_pieces(struct slice text, struct slice out, const struct buf *pieces) {
    const struct text_piece *p = (const struct text_piece *)(const void *)pieces->data;
    const char *at = out.ptr, *end = at + out.len;
    for (size_t i = 0; i < pieces->len / sizeof(*p); i++) {
        size_t n = p[i].end - p[i].start;
        if (p[i].reason <= TEXT_REPEATED) continue;
        const char *piece = text.ptr + p[i].start;
        bool mark = n >= 5 && memcmp(piece, "[... ", 5) == 0;
        while ((!mark && end - at >= 5 && memcmp(at, "[... ", 5) == 0) || (size_t)(end - at) < n || memcmp(at, piece, n) != 0)
            at = skip_gap(at, end);
        at += n;
    }
    while (at < end) at = skip_gap(at, end);
}

/* The same values but for long strings. */
static void check_same_json(struct slice a, struct slice b, bool strings) {
    struct json_doc x = { .nodes = NULL }, y = { .nodes = NULL };
    struct json_error err;
    ORACLE(json_parse(&x, a, &err) == 0 && json_parse(&y, b, &err) == 0);
    ORACLE(x.len == y.len);
    for (uint32_t i = 0; i < x.len; i++) {
        enum json_type type = json_type(&x, i);
        ORACLE(type == json_type(&y, i) && x.nodes[i].next == y.nodes[i].next);
        if (type == JSON_OBJECT || type == JSON_ARRAY || (type == JSON_STRING && !strings)) continue;
        ORACLE(slice_eq(json_raw(&x, i), json_raw(&y, i)));
    }
    json_deinit(&x);
    json_deinit(&y);
}

static void check_extract(struct slice text, struct slice question, uint64_t *x) {
    struct text_extract_options o = text_extract_defaults;
    struct text_extract_result r, again;
    struct buf out, twice, pieces;
    o.ratio = (float)fuzz_below(x, 101) / 100;
    o.floor = (float)fuzz_below(x, 30) / 100;
    o.keep_first = (unsigned)fuzz_below(x, 3);
    o.keep_last = (unsigned)fuzz_below(x, 3);
    o.lambda = (float)fuzz_below(x, 11) / 10;
    o.min_leaf = fuzz_below(x, 40);
    o.as_text = fuzz_below(x, 4) == 0;
    buf_init(&out, 0);
    buf_init(&twice, 0);
    buf_init(&pieces, 0);
    int rc = text_extract(text, question, &o, &out, &pieces, &r);
    ORACLE(rc == 0 || rc == PERILUNE_ERR_INVAL);
    if (rc == 0) {
        ORACLE(utf8_valid_prefix(buf_get(&out)) == out.len);
        ORACLE(r.kept <= r.units);
        if (r.is_json) check_same_json(text, buf_get(&out), false);
        else check_pieces(text, buf_get(&out), &pieces);
        ORACLE(text_extract(text, question, &o, &twice, NULL, &again) == 0);
        ORACLE(slice_eq(buf_get(&out), buf_get(&twice)));
    } else {
        ORACLE(out.len == 0 && pieces.len == 0);
    }
    buf_deinit(&out);
    buf_deinit(&twice);
    buf_deinit(&pieces);
}

/* The lines that are left are lines of the text, in order, the first of each. */
static void check_dedupe(struct slice text, uint64_t *x) {
    struct text_dedupe_options o = { .min_bytes = fuzz_below(x, 20), .likeness = (float)fuzz_below(x, 11) / 10,
                                     .any_numbers = fuzz_below(x, 2) };
    struct text_dedupe_result r;
    struct buf out;
    buf_init(&out, 0);
    ORACLE(text_dedupe(text, &o, &out, &r) == 0);
    ORACLE(out.len + r.bytes == text.len);
    const char *p = text.ptr, *end = p + text.len;
    for (size_t at = 0; at < out.len;) {
        const char *q = memchr(out.data + at, '\n', out.len - at);
        size_t n = q != NULL ? (size_t)(q - out.data) + 1 - at : out.len - at;
        for (;;) {
            ORACLE(p < end);
            const char *line_end = memchr(p, '\n', (size_t)(end - p));
            size_t m = line_end != NULL ? (size_t)(line_end - p) + 1 : (size_t)(end - p);
            bool same = m == n && memcmp(p, out.data + at, n) == 0;
            p += m;
            if (same) break;
        }
        at += n;
    }
    buf_deinit(&out);
}

static void check_noise(struct slice text) {
    struct buf out, twice;
    struct json_error err;
    size_t count;
    buf_init(&out, 0);
    buf_init(&twice, 0);
    if (text_json_minify(text, &out, &err) == 0) {
        check_same_json(text, buf_get(&out), true);
        ORACLE(text_json_minify(buf_get(&out), &twice, &err) == 0 && slice_eq(buf_get(&out), buf_get(&twice)));
    } else {
        ORACLE(err.message != NULL && err.offset <= text.len && out.len == 0);
    }
    buf_clear(&out);
    ORACLE(text_strip_ansi(text, &out) == 0 && out.len <= text.len);
    if (out.len > 0) ORACLE(memchr(out.data, 0x1B, out.len) == NULL);
    if (utf8_valid_prefix(text) == text.len) ORACLE(utf8_valid_prefix(buf_get(&out)) == out.len);
    buf_clear(&out);
    ORACLE(text_elide_base64(text, 64, &out, &count) == 0 && out.len <= text.len);
    if (count == 0) ORACLE(slice_eq(text, buf_get(&out)));
    buf_deinit(&out);
    buf_deinit(&twice);
}

static void check_all(struct slice text, struct slice question, uint64_t *x) {
    struct buf spans, units;
    buf_init(&spans, 0);
    buf_init(&units, 0);
    int rc = text_spans(text, TEXT_ALL_TYPES, &spans);
    ORACLE((rc == 0) == (text_error_offset(text) == text.len));
    if (rc == 0) {
        check_spans(text, &spans);
        ORACLE(text_sentences(text, &spans, &units) == 0);
        check_units(text, &spans, &units);
        text_spans_merge(&spans);
        size_t n;
        struct text_span *s = text_spans_of(&spans, &n);
        for (size_t i = 1; i < n; i++) ORACLE(s[i].start >= s[i - 1].end);
        check_dedupe(text, x);
    }
    check_extract(text, question, x);
    check_noise(text);
    buf_deinit(&spans);
    buf_deinit(&units);
}

static double cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The input over and over: 16 times the bytes may cost 16 times the time, not 256 times. */
static void check_linear(struct slice text, struct slice question, uint64_t *x) {
    double took[2];
    struct buf many;
    buf_init(&many, 0);
    for (int i = 0; i < 2; i++) {
        size_t bytes = i == 0 ? 16384 : 262144;
        while (many.len < bytes) buf_slice(&many, text);
        double before = cpu_now();
        check_all(buf_get(&many), question, x);
        took[i] = cpu_now() - before;
    }
    ORACLE(took[1] < 0.2 || took[1] < took[0] * 80);
    buf_deinit(&many);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t x = fuzz_hash(data, size);
    const uint8_t *mark = size > 0 ? memchr(data, 0x1E, size) : NULL;
    size_t asked = mark != NULL ? (size_t)(mark - data) : 0, skip = mark != NULL ? asked + 1 : 0;
    struct slice question = slice_of((const char *)data, asked);
    struct slice text = slice_of((const char *)data + skip, size - skip);
    check_all(text, question, &x);
    if (text.len > 0 && fuzz_below(&x, 400) == 0) check_linear(text, question, &x);
    return 0;
}
