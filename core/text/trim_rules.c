/* trim_rules.c -- patterns of phrases, read into graphs.
 *
 * A pattern stands for many phrases:
 *
 *     (could|would) you [please|kindly]            6 of them
 *
 * First it becomes a graph without loops, one node for each byte, built from its end:
 *
 *     SPLIT --> c o u l d --+                 +--------------------> MATCH
 *       +-----> w o u l d --+--> ' ' y o u --SPLIT --> ' ' p l e a s e ^
 *                                             +-----> ' ' k i n d l y -+
 *
 * All graphs of one kind hang on one start, and trim_automaton.c makes one automaton of them.
 *
 * Spaces: any white space is one space, and a pattern's space counts once and never at
 * the ends, whatever optional groups around it are left out.  So for every position there
 * are three nodes: at the BEGIN, with a space PENDING, which is only read when something
 * but a comma follows, and in the MIDDLE.
 *
 * Thread: built by one; then immutable. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "text/trim_int.h"

const char *const trim_place_names[TRIM_PLACES] = {
    "start", "lead", "tail", "whole", "content", "mention", "task", "below", "greeting", "order",
};

#define DEPTH     16         /* of groups in each other */
#define NODES_MAX (1u << 20) /* of all patterns */

/* Where a pattern goes on: at its beginning, in the middle, with a space pending. */
struct ways { uint32_t begin, middle, pending; };

static void fill_fold(struct trim_rules *r) {
    for (unsigned c = 0; c < 256; c++) r->fold[c] = (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    for (const char *c = " \t\n\r'\xE2"; *c != '\0'; c++) r->fold[(unsigned char)*c] = 0; /* E2: a curved ' */
}

struct trim_rules *trim_rules_new(void) {
    struct trim_rules *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    for (int i = 0; i < TRIM_AUTOMATA; i++) r->start[i] = TRIM_NONE;
    fill_fold(r);
    return r;
}

void trim_rules_free(struct trim_rules *r) {
    if (r == NULL) return;
    for (int i = 0; i < TRIM_AUTOMATA; i++) {
        buf_deinit(&r->automata[i].states);
        buf_deinit(&r->automata[i].edges);
        buf_deinit(&r->automata[i].ends);
    }
    buf_deinit(&r->nodes);
    buf_deinit(&r->terms);
    buf_deinit(&r->stops);
    mem_free(r);
}

/* -- Patterns ---------------------------------------------------------------------------- */

struct parser {
    struct trim_rules *r;
    bool               back;
    bool               full; /* no room for a node */
    char              *err;
    size_t             errlen;
};

static uint32_t new_node(struct parser *x, enum trim_node_type type, uint32_t a, uint32_t b) {
    struct buf *nodes = &x->r->nodes;
    uint32_t i = (uint32_t)(buf_len(nodes) / sizeof(struct trim_node));
    struct trim_node n = { type, a, b };
    if (i < NODES_MAX) buf_put(nodes, &n, sizeof(n));
    x->full = x->full || i >= NODES_MAX || buf_failed(nodes);
    return x->full ? TRIM_NONE : i;
}

static uint32_t byte_then(struct parser *x, uint8_t byte, uint32_t next) {
    return next == TRIM_NONE ? TRIM_NONE : new_node(x, TRIM_BYTE, next, byte);
}

static uint32_t either(struct parser *x, uint32_t a, uint32_t b) {
    if (a == TRIM_NONE || a == b) return b;
    return b == TRIM_NONE ? a : new_node(x, TRIM_SPLIT, a, b);
}

static int complain(struct parser *x, int code, const char *what) {
    snprintf(x->err, x->errlen, "%s", what);
    return code;
}

/* The bracket that belongs to the one at s[i], forwards or backwards. */
static size_t partner(struct slice s, size_t i, bool backwards) {
    unsigned depth = 0;
    for (;; backwards ? i-- : i++) {
        char c = s.ptr[i];
        bool opens = c == '(' || c == '[', closes = c == ')' || c == ']';
        if (backwards ? closes : opens) depth++;
        if ((backwards ? opens : closes) && --depth == 0) return i;
    }
}

static size_t next_bar(struct slice s, size_t i) {
    unsigned depth = 0;
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '(' || c == '[') depth++;
        else if (c == ')' || c == ']') depth--;
        else if (c == '|' && depth == 0) return i;
    }
    return i;
}

static struct ways sequence(struct parser *x, struct slice s, struct ways next);

static struct ways group(struct parser *x, struct slice s, bool optional, struct ways next) {
    struct ways all = { TRIM_NONE, TRIM_NONE, TRIM_NONE };
    if (optional) all = next;
    for (size_t at = 0; at <= s.len;) {
        size_t bar = next_bar(s, at);
        struct ways w = sequence(x, slice_of(s.ptr + at, bar - at), next);
        all.begin = either(x, w.begin, all.begin);
        all.middle = either(x, w.middle, all.middle);
        all.pending = either(x, w.pending, all.pending);
        at = bar + 1;
    }
    return all;
}

static struct ways one_byte(struct parser *x, char c, struct ways next) {
    if (c == ' ' || c == '\t') return (struct ways){ next.begin, next.pending, next.pending };
    if (c >= 'A' && c <= 'Z') c |= 0x20;
    uint32_t n = byte_then(x, (uint8_t)c, next.middle);
    bool comma = !x->back && (c == ',' || c == ';'); /* nobody writes a space in front of it */
    return (struct ways){ n, n, comma ? n : byte_then(x, ' ', n) };
}

/* What reads s and goes on with next: s is gone through from the side that is read last.
 * Recursion is bounded by DEPTH. */
static struct ways sequence(struct parser *x, struct slice s, struct ways next) {
    size_t at = 0; /* bytes of s done, from its front or its end */
    while (at < s.len) {
        size_t i = x->back ? at : s.len - 1 - at;
        char c = s.ptr[i];
        if (c != '(' && c != '[' && c != ')' && c != ']') {
            next = one_byte(x, c, next);
            at++;
            continue;
        }
        size_t j = partner(s, i, !x->back), first = x->back ? i : j, last = x->back ? j : i;
        next = group(x, slice_of(s.ptr + first + 1, last - first - 1), s.ptr[first] == '[', next);
        at += last - first + 1;
    }
    return next;
}

static const char *wrong_with(struct slice s) {
    char open[DEPTH];
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((c == '(' || c == '[') && n == DEPTH) return "has more than 16 groups in each other";
        if (c == '(' || c == '[') open[n++] = c;
        if ((c == ')' || c == ']') && (n == 0 || open[--n] != (c == ')' ? '(' : '[')))
            return "closes a bracket that is not open";
        if (c == '|' && n == 0) return "has a | outside of brackets";
    }
    return n > 0 ? "has a bracket that is not closed" : NULL;
}

/* The short ones of the list, or the long ones, whose bits are noted in bits. */
static int put_stops_of(struct parser *x, struct slice list, bool longs, uint8_t *bits) {
    struct buf *stops = &x->r->stops;
    for (size_t from = 0, bar; from <= list.len; from = bar + 1) {
        bar = next_bar(list, from);
        if (bar == from || bar - from > 255)
            return complain(x, PERILUNE_ERR_INVAL, "has an empty or too long alternative behind !");
        if (longs != (bar - from >= 3)) continue;
        buf_putc(stops, (char)(bar - from));
        uint8_t begin[3] = { 0 };
        for (size_t i = 0; i < bar - from; i++) {
            char c = list.ptr[from + i];
            c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
            if (i < 3) begin[i] = (uint8_t)c;
            buf_putc(stops, c);
        }
        if (longs) bits[trim_stop_bit(begin) / 8] |= (uint8_t)(1u << trim_stop_bit(begin) % 8);
    }
    buf_putc(stops, '\0');
    return buf_failed(stops) ? PERILUNE_ERR_NOMEM : 0;
}

static int put_stops(struct parser *x, struct slice list, uint32_t *not_behind) {
    struct buf *stops = &x->r->stops;
    uint8_t bits[TRIM_STOP_BITS / 8] = { 0 };
    size_t at = buf_len(stops);
    *not_behind = (uint32_t)at;
    buf_put(stops, bits, sizeof(bits));
    int rc = put_stops_of(x, list, false, bits);
    if (rc == 0) rc = put_stops_of(x, list, true, bits);
    if (rc == 0) memcpy(stops->data + at, bits, sizeof(bits));
    return rc;
}

/* What must not follow, from the "!(a|b)" at the end of s, or at the front of a tail what must
 * not stand there; s becomes shorter. */
static int take_stops(struct parser *x, struct slice *s, uint32_t *not_behind) {
    const char *mark = s->len > 0 ? memchr(s->ptr, '!', s->len) : NULL;
    *not_behind = TRIM_NONE;
    if (mark == NULL) return 0;
    const char *end = s->ptr + s->len, *close = x->back ? memchr(mark, ')', (size_t)(end - mark)) : end - 1;
    bool placed = !x->back || mark == s->ptr;
    if (!placed || close == NULL || close - mark < 3 || mark[1] != '(' || *close != ')')
        return complain(x, PERILUNE_ERR_INVAL, x->back ? "has a ! without (a|b) behind it at its front"
                                                       : "has a ! without (a|b) behind it at its end");
    *s = x->back ? slice_of(close + 1, (size_t)(end - close - 1)) : slice_of(s->ptr, (size_t)(mark - s->ptr));
    return put_stops(x, slice_of(mark + 2, (size_t)(close - mark - 2)), not_behind);
}

int trim_rules_add(struct trim_rules *r, enum trim_place place, struct slice pattern, char *err, size_t errlen) {
    struct parser x = { .r = r, .back = place == TRIM_TAIL, .err = err, .errlen = errlen };
    int kind = trim_automaton_of(place);
    struct trim_term t = { .place = (uint8_t)place };
    snprintf(err, errlen, "out of memory");
    if (pattern.len > TRIM_RULE_MAX) return complain(&x, PERILUNE_ERR_LIMITED, "is longer than 4096 bytes");
    const char *wrong = wrong_with(pattern);
    if (wrong != NULL) return complain(&x, PERILUNE_ERR_INVAL, wrong);
    int rc = take_stops(&x, &pattern, &t.not_behind);
    if (rc != 0) return rc;
    pattern = slice_trim(pattern);
    if (place == TRIM_TAIL && pattern.len > 0 && (pattern.ptr[0] == '~' || pattern.ptr[0] == ',')) {
        t.attached = pattern.ptr[0] == '~';
        t.comma = !t.attached;
        pattern = slice_of(pattern.ptr + 1, pattern.len - 1);
    }
    uint32_t term = (uint32_t)(buf_len(&r->terms) / sizeof(t));
    buf_put(&r->terms, &t, sizeof(t));
    uint32_t match = new_node(&x, TRIM_MATCH, term, 0);
    struct ways end = { TRIM_NONE, match, match }; /* at the beginning: a pattern for nothing */
    struct ways all = sequence(&x, pattern, end);
    if (!x.full && !buf_failed(&r->terms)) {
        if (all.begin == TRIM_NONE) return complain(&x, PERILUNE_ERR_INVAL, "stands for nothing");
        uint32_t start = either(&x, all.begin, r->start[kind]);
        if (!x.full) r->start[kind] = start;
    }
    r->patterns += !x.full;
    if (buf_failed(&r->terms) || buf_failed(&r->nodes)) return PERILUNE_ERR_NOMEM;
    return x.full ? complain(&x, PERILUNE_ERR_LIMITED, "is one too many: all patterns together are too long") : 0;
}

size_t trim_rules_len(const struct trim_rules *r) { return r->patterns; }

int trim_rules_compile(struct trim_rules *r) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < TRIM_AUTOMATA; i++) rc = trim_automaton_build(r, &r->automata[i], r->start[i]);
    buf_deinit(&r->nodes);
    return rc;
}
