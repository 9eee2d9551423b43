/* trim_automaton.c -- from graphs of phrases to automata that find them.
 *
 * Sets of nodes that are reached by the same bytes become states of an automaton (the subset
 * construction): one way for each byte, whatever the number of patterns.  Three of them: what
 * a sentence begins with, what it ends with (read backwards, so its graph is built from the
 * patterns' fronts), and what says something wherever it stands.
 *
 * Nearly all states have one way to go on.  It is inside of the state, and the state that it
 * leads to is the next one in memory, so that a walk reads memory in order:
 *
 *     0 ---+-- c o u l d ' ' y o u ...      1 2 3 4 5 6 7 8 9 ...
 *          +-- p l e a s e                  their numbers go on behind the whole branch
 *
 * And a table tells by the first three bytes of a text which places have a phrase that begins
 * so (trim_begin): mostly none, and nothing is walked.
 *
 * Thread: built by one; then immutable. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "text/trim_int.h"

/* -- Sets --------------------------------------------------------------------------------- */

#define SETS_MAX (1u << 22) /* nodes in all sets of an automaton */

static const struct trim_node *node_at(const struct trim_rules *r, uint32_t i) {
    return (const struct trim_node *)(const void *)r->nodes.data + i;
}

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
        const struct trim_node *n = node_at(s->r, i);
        if (n->type == TRIM_SPLIT) {
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
        const struct trim_node *n = node_at(s->r, words_of(&s->members)[m]);
        if (n->type == TRIM_BYTE && n->b == byte) close_over(s, n->a);
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
        const struct trim_node *n = node_at(s->r, words_of(&s->members)[m]);
        if (n->type == TRIM_BYTE) {
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
    size_t nodes = buf_len(&r->nodes) / sizeof(struct trim_node);
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

int trim_automaton_build(const struct trim_rules *r, struct trim_automaton *a, uint32_t start) {
    int rc = make_states(r, a, start);
    if (rc == 0) rc = fill_begins(r, a);
    if (rc == 0) rc = put_in_order(a);
    if (rc == 0) fill_root(a);
    return rc;
}
