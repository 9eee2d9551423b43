/* trim_rules.c -- from patterns of phrases to automata that find them.
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
 * All graphs of one kind hang on one start.  Then sets of nodes that are reached by the
 * same bytes become states of an automaton (the subset construction): one way for each
 * byte, whatever the number of patterns.  Three of them: what a sentence begins with,
 * what it ends with (read backwards, so built from the pattern's front), and what says
 * something wherever it stands.
 *
 * Spaces: any white space is one space, and a pattern's space counts once and never at
 * the ends, whatever optional groups around it are left out.  So for every position there
 * are three nodes: at the BEGIN, with a space PENDING, which is only read when something
 * but a comma follows, and in the MIDDLE.
 *
 * Thread: built by one; then immutable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "llm/trim_int.h"

const char *const trim_place_names[TRIM_PLACES] = {
    "start", "lead", "tail", "whole", "content", "mention", "task", "below", "greeting", "order",
};

#define DEPTH     16         /* of groups in each other */
#define NODES_MAX (1u << 20) /* of all patterns */
#define SETS_MAX  (1u << 22) /* nodes in all sets of an automaton */

enum node_type { BYTE, SPLIT, MATCH };

struct node {
    uint32_t type;
    uint32_t a, b; /* BYTE: a follows on byte b; SPLIT: a or b; MATCH: a is a term */
};

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

static struct node *node_at(const struct trim_rules *r, uint32_t i) {
    return (struct node *)(void *)r->nodes.data + i;
}

static uint32_t new_node(struct parser *x, enum node_type type, uint32_t a, uint32_t b) {
    struct buf *nodes = &x->r->nodes;
    uint32_t i = (uint32_t)(buf_len(nodes) / sizeof(struct node));
    struct node n = { type, a, b };
    if (i < NODES_MAX) buf_put(nodes, &n, sizeof(n));
    x->full = x->full || i >= NODES_MAX || buf_failed(nodes);
    return x->full ? TRIM_NONE : i;
}

static uint32_t byte_then(struct parser *x, uint8_t byte, uint32_t next) {
    return next == TRIM_NONE ? TRIM_NONE : new_node(x, BYTE, next, byte);
}

static uint32_t either(struct parser *x, uint32_t a, uint32_t b) {
    if (a == TRIM_NONE || a == b) return b;
    return b == TRIM_NONE ? a : new_node(x, SPLIT, a, b);
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
    uint32_t match = new_node(&x, MATCH, term, 0);
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

/* -- Automata ----------------------------------------------------------------------------- */

/* Sets of nodes, each the state with the same index. */
struct sets {
    const struct trim_rules *r;
    struct trim_automaton   *a;
    struct buf               members;  /* uint32_t: BYTE and MATCH nodes, sorted */
    struct buf               ranges;   /* uint32_t: where the set i ends */
    uint32_t                *table;    /* of sets, by hash; index + 1 */
    size_t                   mask;
    uint32_t                *seen;     /* by node: in which closure it was met last */
    uint32_t                 round;
    struct buf               fresh, stack; /* uint32_t: the set that is being made */
};

static uint32_t *words_of(const struct buf *b) { return (uint32_t *)(void *)b->data; }
static uint32_t count_of(const struct buf *b) { return (uint32_t)(buf_len(b) / sizeof(uint32_t)); }
static void put_word(struct buf *b, uint32_t v) { buf_put(b, &v, sizeof(v)); }

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Adds what is reached from node without reading. */
static void close_over(struct sets *s, uint32_t node) {
    buf_clear(&s->stack);
    put_word(&s->stack, node);
    while (count_of(&s->stack) > 0 && !buf_failed(&s->stack)) {
        uint32_t i = words_of(&s->stack)[count_of(&s->stack) - 1];
        s->stack.len -= sizeof(uint32_t);
        if (s->seen[i] == s->round) continue;
        s->seen[i] = s->round;
        const struct node *n = node_at(s->r, i);
        if (n->type == SPLIT) {
            put_word(&s->stack, n->a);
            put_word(&s->stack, n->b);
        } else {
            put_word(&s->fresh, i);
        }
    }
}

static uint32_t set_begin(const struct sets *s, uint32_t i) { return i == 0 ? 0 : words_of(&s->ranges)[i - 1]; }

static bool is_set(const struct sets *s, uint32_t i, uint32_t n) {
    uint32_t from = set_begin(s, i), to = words_of(&s->ranges)[i];
    return to - from == n && memcmp(words_of(&s->members) + from, s->fresh.data, n * sizeof(uint32_t)) == 0;
}

static bool grow_table(struct sets *s) {
    size_t mask = s->mask == 0 ? 1023 : s->mask * 2 + 1;
    uint32_t *table = mem_zalloc((mask + 1) * sizeof(*table));
    static const struct hash_key key = { 1, 2 };
    if (table == NULL) return false;
    for (uint32_t i = 0; i < count_of(&s->ranges); i++) {
        uint32_t from = set_begin(s, i), n = words_of(&s->ranges)[i] - from;
        size_t at = hash64(&key, slice_of((char *)(words_of(&s->members) + from), n * sizeof(uint32_t))) & mask;
        while (table[at] != 0) at = (at + 1) & mask;
        table[at] = i + 1;
    }
    mem_free(s->table);
    s->table = table;
    s->mask = mask;
    return true;
}

/* The index of the set in `fresh`, which is new or was there; TRIM_NONE: no memory. */
static uint32_t intern(struct sets *s) {
    static const struct hash_key key = { 1, 2 };
    uint32_t n = count_of(&s->fresh), count = count_of(&s->ranges);
    if (buf_failed(&s->fresh) || buf_failed(&s->stack)) return TRIM_NONE;
    if (count * 2 >= s->mask && !grow_table(s)) return TRIM_NONE;
    if (n > 1) qsort(s->fresh.data, n, sizeof(uint32_t), by_number);
    size_t at = hash64(&key, buf_get(&s->fresh)) & s->mask;
    for (; s->table[at] != 0; at = (at + 1) & s->mask)
        if (is_set(s, s->table[at] - 1, n)) return s->table[at] - 1;
    buf_slice(&s->members, buf_get(&s->fresh));
    put_word(&s->ranges, count_of(&s->members));
    if (buf_failed(&s->members) || buf_failed(&s->ranges)) return TRIM_NONE;
    s->table[at] = count + 1;
    return count;
}

static const struct trim_term *term_at(const struct trim_rules *r, uint32_t i) {
    return (const struct trim_term *)(const void *)r->terms.data + i;
}

/* The edge of set i for a byte. */
static void add_edge(struct sets *s, uint32_t i, unsigned byte) {
    buf_clear(&s->fresh);
    s->round++;
    for (uint32_t m = set_begin(s, i); m < words_of(&s->ranges)[i]; m++) {
        const struct node *n = node_at(s->r, words_of(&s->members)[m]);
        if (n->type == BYTE && n->b == byte) close_over(s, n->a);
    }
    struct trim_edge e = { .target = intern(s), .byte = (uint8_t)byte };
    if (e.target == TRIM_NONE) s->a->edges.error = PERILUNE_ERR_NOMEM;
    buf_put(&s->a->edges, &e, sizeof(e));
}

/* The state for set i: its terms, and an edge for each byte. */
static int add_state(struct sets *s, uint32_t i) {
    struct trim_automaton *a = s->a;
    uint64_t used[4] = { 0 }; /* a bit for each byte */
    struct trim_state st = { .first_edge = (uint32_t)(buf_len(&a->edges) / sizeof(struct trim_edge)),
                             .first_term = count_of(&a->ends) };
    for (uint32_t m = set_begin(s, i); m < words_of(&s->ranges)[i]; m++) {
        const struct node *n = node_at(s->r, words_of(&s->members)[m]);
        if (n->type == BYTE) {
            used[n->b / 64] |= UINT64_C(1) << n->b % 64;
        } else if (st.terms < UINT16_MAX) {
            put_word(&a->ends, n->a);
            st.terms++;
            st.places |= (uint16_t)(1u << term_at(s->r, n->a)->place);
        }
    }
    for (unsigned word = 0; word < 4; word++)
        for (; used[word] != 0; used[word] &= used[word] - 1, st.edges++)
            add_edge(s, i, word * 64 + (unsigned)__builtin_ctzll(used[word]));
    buf_put(&a->states, &st, sizeof(st));
    if (buf_failed(&a->states) || buf_failed(&a->edges) || buf_failed(&a->ends)) return PERILUNE_ERR_NOMEM;
    return count_of(&s->members) > SETS_MAX ? PERILUNE_ERR_LIMITED : 0;
}

static int make_states(const struct trim_rules *r, struct trim_automaton *a, uint32_t start) {
    struct sets s = { .r = r, .a = a };
    size_t nodes = buf_len(&r->nodes) / sizeof(struct node);
    s.seen = mem_zalloc((nodes + 1) * sizeof(*s.seen));
    int rc = s.seen != NULL ? 0 : PERILUNE_ERR_NOMEM;
    s.round = 1;
    if (rc == 0 && start != TRIM_NONE) close_over(&s, start);
    if (rc == 0 && intern(&s) == TRIM_NONE) rc = PERILUNE_ERR_NOMEM;
    for (uint32_t i = 0; rc == 0 && i < count_of(&s.ranges); i++) rc = add_state(&s, i);
    struct buf *all[] = { &s.members, &s.ranges, &s.fresh, &s.stack };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) buf_deinit(all[i]);
    mem_free(s.table);
    mem_free(s.seen);
    return rc;
}

/* -- What phrases begin with ------------------------------------------------------------------- */

static uint32_t states_of(const struct trim_automaton *a) {
    return (uint32_t)(buf_len(&a->states) / sizeof(struct trim_state));
}

static const struct trim_edge *edges_of(const struct trim_automaton *a, const struct trim_state *st) {
    return (const struct trim_edge *)(const void *)a->edges.data + st->first_edge;
}

/* By state the places of all phrases that go through it.  States mostly come in front of those that follow
 * them, so going backwards a few times is enough. */
static void fill_reach(const struct trim_automaton *a, uint16_t *reach) {
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = states_of(a); i-- > 0;) {
            const struct trim_state *st = trim_state_at(a, i);
            const struct trim_edge *e = edges_of(a, st);
            unsigned places = st->places;
            for (unsigned k = 0; k < st->edges; k++) places |= reach[e[k].target];
            changed = changed || places != reach[i];
            reach[i] = (uint16_t)places;
        }
    }
}

/* A phrase ends behind the first n bytes of the key: anything may follow. */
static void note_end(struct trim_automaton *a, uint16_t places, const uint8_t key[3], unsigned n) {
    if (n == 2)
        for (unsigned c = 0; c < 256; c++) a->begins[trim_begin(key[0], key[1], c)] |= places;
    else
        for (unsigned i = 0; i < TRIM_BEGINS; i++) a->begins[i] |= places;
}

/* Notes the phrases that go on behind st, which is reached by the first n bytes of the key.  Recursion: three
 * times at most. */
static void note_begins(const struct trim_rules *r, struct trim_automaton *a, const uint16_t *reach,
                        const struct trim_state *st, uint8_t key[3], unsigned n) {
    if (st->places != 0) note_end(a, st->places, key, n);
    for (unsigned k = 0; k < st->edges; k++) {
        const struct trim_edge *e = &edges_of(a, st)[k];
        memset(key + n, 0, 3 - n);
        key[n] = r->fold[e->byte];
        if (key[n] == 0 || n == 2) a->begins[trim_begin(key[0], key[1], key[2])] |= reach[e->target];
        else note_begins(r, a, reach, trim_state_at(a, e->target), key, n + 1);
    }
}

static int fill_begins(const struct trim_rules *r, struct trim_automaton *a) {
    uint16_t *reach = mem_zalloc(states_of(a) * sizeof(*reach));
    uint8_t key[3];
    if (reach == NULL) return PERILUNE_ERR_NOMEM;
    fill_reach(a, reach);
    note_begins(r, a, reach, trim_state_at(a, 0), key, 0);
    mem_free(reach);
    return 0;
}

/* -- Order ------------------------------------------------------------------------------------- */

/* The states in the order in which walks meet them: behind each the one that follows by its first edge. */
static void order_states(const struct trim_automaton *a, uint32_t *number, struct buf *order, struct buf *stack) {
    put_word(stack, 0);
    while (count_of(stack) > 0 && !buf_failed(stack)) {
        uint32_t i = words_of(stack)[count_of(stack) - 1];
        stack->len -= sizeof(uint32_t);
        while (number[i] == TRIM_NONE) {
            const struct trim_state *st = trim_state_at(a, i);
            const struct trim_edge *e = edges_of(a, st);
            number[i] = count_of(order);
            put_word(order, i);
            for (unsigned k = st->edges; k-- > 1;) put_word(stack, e[k].target);
            if (st->edges > 0) i = e[0].target;
        }
    }
}

static void put_state(const struct trim_automaton *a, uint32_t i, const uint32_t *number, struct buf *states,
                      struct buf *edges) {
    struct trim_state st = *trim_state_at(a, i);
    const struct trim_edge *from = edges_of(a, &st);
    if (st.edges == 1) {
        st.byte = from->byte;
        st.target = number[from->target];
    } else {
        st.first_edge = (uint32_t)(buf_len(edges) / sizeof(struct trim_edge));
        for (unsigned k = 0; k < st.edges; k++) {
            struct trim_edge e = { .target = number[from[k].target], .byte = from[k].byte };
            buf_put(edges, &e, sizeof(e));
        }
    }
    buf_put(states, &st, sizeof(st));
}

static int put_in_order(struct trim_automaton *a) {
    struct buf order = { 0 }, stack = { 0 }, states = { 0 }, edges = { 0 };
    uint32_t n = states_of(a), *number = mem_alloc(n * sizeof(*number));
    if (number == NULL) return PERILUNE_ERR_NOMEM;
    memset(number, 0xFF, n * sizeof(*number)); /* TRIM_NONE */
    order_states(a, number, &order, &stack);
    bool failed = buf_failed(&order) || buf_failed(&stack);
    for (uint32_t i = 0; i < n && !failed; i++) put_state(a, words_of(&order)[i], number, &states, &edges);
    failed = failed || buf_failed(&states) || buf_failed(&edges);
    if (!failed) {
        struct buf old = a->states;
        a->states = states;
        states = old;
        old = a->edges;
        a->edges = edges;
        edges = old;
    }
    struct buf *all[] = { &order, &stack, &states, &edges };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) buf_deinit(all[i]);
    mem_free(number);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}

static void fill_root(struct trim_automaton *a) {
    const struct trim_state *root = trim_state_at(a, 0);
    for (unsigned byte = 0; byte < 256; byte++) a->root[byte] = trim_follow(a, root, (uint8_t)byte);
}

static int build(const struct trim_rules *r, struct trim_automaton *a, uint32_t start) {
    int rc = make_states(r, a, start);
    if (rc == 0) rc = fill_begins(r, a);
    if (rc == 0) rc = put_in_order(a);
    if (rc == 0) fill_root(a);
    return rc;
}

int trim_rules_compile(struct trim_rules *r) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < TRIM_AUTOMATA; i++) rc = build(r, &r->automata[i], r->start[i]);
    buf_deinit(&r->nodes);
    return rc;
}
