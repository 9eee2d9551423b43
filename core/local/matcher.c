/* matcher.c -- where an answer stands in a grammar.
 *
 *     places:  (instruction, stack)      the next character must be what the instruction says; then it goes on there,
 *                                        and a RET goes on where the stack says
 *     set:     all places at once        an answer stands in one set
 *     move:    set --kind of character--> set          looked up; made when it is asked for the first time
 *
 * A grammar is a push-down automaton, followed on all its ways at once.  Stacks are chains that are told apart by their
 * number: equal ones are one, so equal places are one, and ((a?){60}){60} has 3,600 places and not 60^60 ways.  Sets
 * are numbered, too, and moves between them remembered: inside a string thousands of tokens go round between two or
 * three sets, and cost a look into a table for each character.
 *
 * Sets, stacks and moves are shared by all answers under a grammar, as `states`.  When they have grown too much the
 * next answer that moves begins new ones, with its own set alone; the old ones go with the last answer that stands in
 * them.
 *
 * How many ways there are is up to who wrote the schema.  So the work for a token is counted (GRAMMAR_WORK), and the
 * places of a set (GRAMMAR_WAYS): a grammar that needs more ends its own request.
 *
 * A token may end within a character: the bytes that came say which characters it can become, and the set must take one
 * of them.
 *
 * Invariants: set 0 is empty, and nothing leads out of it.  Stack 0 is the bottom.
 *
 * Thread: the model's. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/grammar_int.h"

#define FULL_PLACES (1u << 17) /* of all sets; then new states are begun */
#define FULL_STACKS (1u << 16)
#define FULL_MOVES  (1u << 17)

struct place {
    uint32_t pc, stack;
};

struct stack {
    uint32_t pc, below; /* where it goes on, and the rest */
};

struct set {
    uint32_t from, len; /* of places */
    bool     may_end;
};

/* Numbers by a key of 64 bits; 0 in `value`: a free slot. */
struct slot {
    uint64_t key;
    uint32_t value;
};

struct table {
    struct slot *slots;
    uint32_t     len, cap;
};

struct states {
    unsigned      refs;
    struct place *places;
    unsigned      place_len, place_cap;
    struct stack *stacks;
    unsigned      stack_len, stack_cap;
    struct set   *sets;
    unsigned      set_len, set_cap;
    struct table  by_stack, by_hash, moves; /* values are numbers + 1 */
    /* Of the set that is being made: */
    struct place *todo, *begin; /* begin: what it is made of */
    unsigned      todo_len, todo_cap, begin_cap;
    struct { struct place p; uint32_t round; } *seen; /* a table */
    uint32_t      seen_cap, seen_len, round;
    bool          may_end;
    uint32_t      work; /* left, for this token */
    int           rc;
};

/* -- Tables --------------------------------------------------------------------------------- */

static uint32_t mix(uint64_t key) { return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32); }

static struct slot *slot_of(const struct table *t, uint64_t key) {
    uint32_t i = mix(key) & (t->cap - 1);
    while (t->slots[i].value != 0 && t->slots[i].key != key) i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

static bool table_grow(struct table *t) {
    struct table more = { .cap = t->cap ? t->cap * 2 : 256, .len = t->len };
    more.slots = mem_zalloc(more.cap * sizeof(*more.slots));
    if (more.slots == NULL) return false;
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->slots[i].value != 0) *slot_of(&more, t->slots[i].key) = t->slots[i];
    mem_free(t->slots);
    *t = more;
    return true;
}

/* The slot of a key, for what will be put there; NULL: no memory. */
static struct slot *table_put(struct table *t, uint64_t key) {
    if (t->len * 2 >= t->cap && !table_grow(t)) return NULL;
    struct slot *s = slot_of(t, key);
    if (s->value == 0) t->len++;
    s->key = key;
    return s;
}

/* -- Life ------------------------------------------------------------------------------------- */

void states_put(struct states *s) {
    if (s == NULL || --s->refs > 0) return;
    mem_free(s->places);
    mem_free(s->stacks);
    mem_free(s->sets);
    mem_free(s->by_stack.slots);
    mem_free(s->by_hash.slots);
    mem_free(s->moves.slots);
    mem_free(s->todo);
    mem_free(s->begin);
    mem_free(s->seen);
    mem_free(s);
}

static void fail(struct states *s, int rc) {
    if (s->rc == 0) s->rc = rc;
}

static bool room(struct states *s, void **items, unsigned len, unsigned *cap, size_t size) {
    if (len < *cap || mem_grow(items, len, cap, size)) return true;
    fail(s, PERILUNE_ERR_NOMEM);
    return false;
}

static bool are_full(const struct states *s) {
    return s->place_len > FULL_PLACES || s->stack_len > FULL_STACKS || s->moves.len > FULL_MOVES;
}

static struct states *states_new(void) {
    struct states *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    s->refs = 1;
    if (room(s, (void **)&s->sets, 0, &s->set_cap, sizeof(*s->sets)) &&
        room(s, (void **)&s->stacks, 0, &s->stack_cap, sizeof(*s->stacks))) {
        s->sets[s->set_len++] = (struct set){ .from = 0 };
        s->stacks[s->stack_len++] = (struct stack){ .pc = 0 };
        return s;
    }
    states_put(s);
    return NULL;
}

/* -- Making a set --------------------------------------------------------------------------------- */

static uint32_t push(struct states *s, uint32_t pc, uint32_t below) {
    uint64_t key = (uint64_t)pc << 32 | below;
    struct slot *at = table_put(&s->by_stack, key);
    if (at == NULL || !room(s, (void **)&s->stacks, s->stack_len, &s->stack_cap, sizeof(*s->stacks)))
        return fail(s, PERILUNE_ERR_NOMEM), 0;
    if (at->value == 0) {
        s->stacks[s->stack_len] = (struct stack){ pc, below };
        at->value = ++s->stack_len;
    }
    return at->value - 1;
}

static bool seen_grow(struct states *s) {
    uint32_t cap = s->seen_cap ? s->seen_cap * 2 : 64;
    void *table = mem_zalloc(cap * sizeof(*s->seen));
    if (table == NULL) return false;
    mem_free(s->seen); /* of this round nothing may be forgotten: it begins anew, see make() */
    s->seen = table;
    s->seen_cap = cap;
    return true;
}

/* Is the place new in this round? */
static bool is_new(struct states *s, struct place p) {
    uint32_t i = mix((uint64_t)p.pc << 32 | p.stack) & (s->seen_cap - 1);
    for (; s->seen[i].round == s->round; i = (i + 1) & (s->seen_cap - 1))
        if (s->seen[i].p.pc == p.pc && s->seen[i].p.stack == p.stack) return false;
    s->seen[i].p = p;
    s->seen[i].round = s->round;
    s->seen_len++;
    return true;
}

static void later(struct states *s, uint32_t pc, uint32_t stack) {
    if (!room(s, (void **)&s->todo, s->todo_len, &s->todo_cap, sizeof(*s->todo))) return;
    s->todo[s->todo_len++] = (struct place){ pc, stack };
}

/* Where a JUMP leads in the end; jumps never make a circle of their own. */
static uint32_t behind_jumps(const struct grammar *g, uint32_t pc) {
    while (g->code[pc].op == GRAMMAR_JUMP) pc += (uint32_t)g->code[pc].arg;
    return pc;
}

/* One place of todo: others that it leads to, or one of the set. */
static void follow(struct states *s, const struct grammar *g, struct place p) {
    struct grammar_code c = g->code[p.pc];
    switch ((enum grammar_op)c.op) {
    case GRAMMAR_CHAR:
    case GRAMMAR_CLASS:
        if (room(s, (void **)&s->places, s->place_len, &s->place_cap, sizeof(*s->places)))
            s->places[s->place_len++] = p;
        return;
    case GRAMMAR_SPLIT:
        later(s, p.pc + (uint32_t)c.arg, p.stack);
        later(s, p.pc + 1, p.stack);
        return;
    case GRAMMAR_JUMP: later(s, p.pc + (uint32_t)c.arg, p.stack); return;
    case GRAMMAR_CALL: {
        /* A call with nothing behind it needs no way back: rules that end with themselves would pile them up. */
        uint32_t back = behind_jumps(g, p.pc + 1);
        later(s, g->rules[c.arg], g->code[back].op == GRAMMAR_RET ? p.stack : push(s, back, p.stack));
        return;
    }
    case GRAMMAR_RET:
        if (p.stack == 0) s->may_end = true;
        else later(s, s->stacks[p.stack].pc, s->stacks[p.stack].below);
    }
}

/* The set of the places behind `from` of s->places; those are numbered or taken off again. */
static uint32_t number(struct states *s, uint32_t from) {
    uint32_t len = s->place_len - from;
    uint64_t h = s->may_end ? 1 : 2;
    if (len == 0 && !s->may_end) return 0;
    for (uint32_t i = 0; i < len; i++)
        h = (h ^ ((uint64_t)s->places[from + i].pc << 32 | s->places[from + i].stack)) * UINT64_C(0x100000001b3) ^
            h >> 29;
    for (;; h++) { /* one with the same hash is mostly the same */
        struct slot *at = table_put(&s->by_hash, h);
        if (at == NULL) return fail(s, PERILUNE_ERR_NOMEM), 0;
        if (at->value == 0) {
            if (!room(s, (void **)&s->sets, s->set_len, &s->set_cap, sizeof(*s->sets))) return s->by_hash.len--, 0;
            s->sets[s->set_len] = (struct set){ from, len, s->may_end };
            at->value = ++s->set_len;
            return at->value - 1;
        }
        const struct set *it = &s->sets[at->value - 1];
        if (it->len != len || it->may_end != s->may_end || (len > 0 &&
            memcmp(&s->places[it->from], &s->places[from], len * sizeof(*s->places)) != 0)) continue;
        s->place_len = from;
        return at->value - 1;
    }
}

/* The set of all that the places begin[0..n) lead to.  After a failure (s->rc) nothing has changed but memory. */
static uint32_t make(struct states *s, const struct grammar *g, const struct place *begin, uint32_t n) {
    uint32_t from = s->place_len, set = 0;
    s->todo_len = s->seen_len = 0;
    s->may_end = false;
    if (++s->round == 0) { /* it went round: forget all */
        memset(s->seen, 0, s->seen_cap * sizeof(*s->seen));
        s->round = 1;
    }
    for (uint32_t i = n; i-- > 0;) later(s, begin[i].pc, begin[i].stack);
    while (s->todo_len > 0 && s->rc == 0) {
        struct place p = s->todo[--s->todo_len];
        if (s->seen_len * 2 >= s->seen_cap) {
            if (!seen_grow(s)) return fail(s, PERILUNE_ERR_NOMEM), 0;
            s->place_len = from;
            return make(s, g, begin, n);
        }
        if (s->work == 0 || s->place_len - from > GRAMMAR_WAYS) fail(s, PERILUNE_ERR_LIMITED);
        else s->work--;
        if (s->rc == 0 && is_new(s, p)) follow(s, g, p);
    }
    if (s->rc == 0) set = number(s, from);
    if (s->rc != 0) s->place_len = from;
    return set;
}

/* -- Moving ------------------------------------------------------------------------------------------- */

/* The set behind a character; 0: it may not come. */
static uint32_t move(struct states *s, const struct grammar *g, uint32_t set, uint32_t c) {
    uint32_t kind = grammar_symbol(g, c), n = 0;
    uint64_t key = (uint64_t)set << 32 | kind;
    if (set == 0 || s->rc != 0) return 0;
    struct slot *at = s->moves.cap ? slot_of(&s->moves, key) : NULL;
    if (at != NULL && at->value != 0) return at->value - 1;
    struct set it = s->sets[set];
    for (uint32_t i = 0; i < it.len; i++) {
        struct place p = s->places[it.from + i];
        if (!grammar_takes(g, p.pc, c, c)) continue;
        if (!room(s, (void **)&s->begin, n, &s->begin_cap, sizeof(*s->begin))) return 0;
        s->begin[n++] = (struct place){ p.pc + 1, p.stack };
    }
    s->work -= s->work < it.len ? s->work : it.len;
    uint32_t to = make(s, g, s->begin, n);
    if (s->rc != 0) return 0;
    at = table_put(&s->moves, key);
    if (at == NULL) return fail(s, PERILUNE_ERR_NOMEM), 0;
    at->value = to + 1;
    return to;
}

/* Where a text has led to. */
struct spot {
    uint32_t set, partial;
    uint8_t  rest, total;
};

static bool is_char(uint32_t c, unsigned bytes) {
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    return c >= least[bytes] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

/* One byte; a spot in set 0: it may not come. */
static struct spot step(struct states *s, const struct grammar *g, struct spot at, unsigned char byte) {
    static const struct spot nowhere = { .set = 0 };
    if (at.rest == 0) {
        if (byte < 0x80) return (struct spot){ .set = move(s, g, at.set, byte) };
        unsigned total = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
        if (byte < 0xC2 || byte > 0xF4) return nowhere;
        return (struct spot){ at.set, byte & (0xFFu >> (total + 1)), (uint8_t)(total - 1), (uint8_t)total };
    }
    if ((byte & 0xC0) != 0x80) return nowhere;
    at.partial = at.partial << 6 | (byte & 0x3F);
    if (--at.rest > 0) return at;
    if (!is_char(at.partial, at.total)) return nowhere;
    return (struct spot){ .set = move(s, g, at.set, at.partial) };
}

/* Can it go on from here, or end here? */
static bool leads_on(struct states *s, const struct grammar *g, struct spot at) {
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (at.rest == 0 || at.set == 0) return at.set != 0;
    uint32_t lo = at.partial << (6 * at.rest), hi = lo | ((1u << (6 * at.rest)) - 1);
    if (lo < least[at.total]) lo = least[at.total];
    if (hi > 0x10FFFF) hi = 0x10FFFF;
    if (lo > hi || (lo >= 0xD800 && hi <= 0xDFFF)) return false;
    struct set it = s->sets[at.set];
    s->work -= s->work < it.len ? s->work : it.len;
    for (uint32_t i = 0; i < it.len; i++)
        if (grammar_takes(g, s->places[it.from + i].pc, lo, hi)) return true;
    return false;
}

/* -- An answer --------------------------------------------------------------------------------------------- */

static struct spot spot_of(const struct matcher *m) { return (struct spot){ m->set, m->partial, m->rest, m->total }; }

static void begin_work(struct states *s) {
    s->work = GRAMMAR_WORK;
    s->rc = 0;
}

static uint32_t stack_into(struct states *to, const struct states *from, uint32_t stack) {
    if (stack == 0) return 0;
    uint32_t made = 0;
    to->todo_len = 0;
    for (uint32_t i = stack; i != 0 && to->rc == 0; i = from->stacks[i].below) {
        later(to, from->stacks[i].pc, 0);
        if (to->work == 0) fail(to, PERILUNE_ERR_LIMITED);
        else to->work--;
    }
    while (to->todo_len > 0 && to->rc == 0) made = push(to, to->todo[--to->todo_len].pc, made); /* the bottom first */
    return made;
}

/* The same set in other states. */
static uint32_t set_into(struct states *to, const struct states *from, uint32_t set) {
    const struct set *it = &from->sets[set];
    uint32_t at = to->place_len;
    for (uint32_t i = 0; i < it->len && to->rc == 0; i++) {
        struct place p = from->places[it->from + i];
        p.stack = stack_into(to, from, p.stack);
        if (room(to, (void **)&to->places, to->place_len, &to->place_cap, sizeof(*to->places)))
            to->places[to->place_len++] = p;
    }
    to->may_end = it->may_end;
    uint32_t made = to->rc == 0 ? number(to, at) : 0;
    if (to->rc != 0) to->place_len = at;
    return made;
}

/* Grammars have states that are not full. */
static int want_states(struct grammar *g) {
    if (g->states != NULL && !are_full(g->states)) return 0;
    struct states *fresh = states_new();
    if (fresh == NULL) return PERILUNE_ERR_NOMEM;
    states_put(g->states);
    g->states = fresh;
    return 0;
}

/* Other states for an answer whose own are full. */
static int renew(struct matcher *m) {
    struct grammar *g = m->grammar;
    if (!are_full(m->states)) return 0;
    int rc = want_states(g);
    if (rc != 0) return rc;
    begin_work(g->states);
    uint32_t set = set_into(g->states, m->states, m->set);
    if (g->states->rc != 0) return g->states->rc;
    g->states->refs++;
    states_put(m->states);
    m->states = g->states;
    m->set = set;
    return 0;
}

int matcher_init(struct matcher *m, struct grammar *g) {
    int rc = want_states(g);
    *m = (struct matcher){ .grammar = NULL };
    if (rc != 0) return rc;
    struct states *s = g->states;
    begin_work(s);
    uint32_t set = make(s, g, &(struct place){ g->rules[0], 0 }, 1);
    if (s->rc != 0) return s->rc;
    s->refs++;
    *m = (struct matcher){ .grammar = g, .states = s, .set = set };
    return 0;
}

void matcher_deinit(struct matcher *m) {
    struct grammar *g = m->grammar;
    if (g != NULL && g->states != NULL && are_full(g->states)) { /* it may be kept for long without an answer */
        states_put(g->states);
        g->states = NULL;
    }
    states_put(m->states);
    grammar_put(g);
    *m = (struct matcher){ .grammar = NULL };
}

static struct spot lead(struct matcher *m, struct slice text) {
    struct spot at = spot_of(m);
    for (size_t i = 0; i < text.len && at.set != 0 && m->states->rc == 0; i++)
        at = step(m->states, m->grammar, at, (unsigned char)text.ptr[i]);
    return at;
}

int matcher_allows(struct matcher *m, struct slice text) {
    begin_work(m->states);
    struct spot at = lead(m, text);
    bool may = text.len > 0 && leads_on(m->states, m->grammar, at);
    return m->states->rc != 0 ? m->states->rc : may;
}

int matcher_accept(struct matcher *m, struct slice text) {
    begin_work(m->states);
    struct spot at = lead(m, text);
    if (m->states->rc != 0) return m->states->rc;
    m->set = at.set;
    m->partial = at.partial;
    m->rest = at.rest;
    m->total = at.total;
    return renew(m);
}

bool matcher_may_end(const struct matcher *m) { return m->rest == 0 && m->states->sets[m->set].may_end; }

int matcher_mask(struct matcher *m, struct pieces *p, float *logits) {
    struct states *s = m->states;
    struct spot *path = mem_alloc(((size_t)p->longest + 1) * sizeof(*path));
    uint32_t dead = UINT32_MAX; /* bytes of the piece in front that may not come */
    if (path == NULL) return PERILUNE_ERR_NOMEM;
    begin_work(s);
    path[0] = spot_of(m);
    for (uint32_t i = 0; i < p->count && s->rc == 0; i++) {
        const struct piece *t = &p->at[i];
        const char *text = p->text + t->from;
        if (dead > t->common) {
            uint32_t n = t->common;
            dead = UINT32_MAX;
            for (; n < t->len && dead == UINT32_MAX; n++) {
                path[n + 1] = step(s, m->grammar, path[n], (unsigned char)text[n]);
                if (path[n + 1].set == 0) dead = n + 1;
            }
        }
        if (dead != UINT32_MAX || !leads_on(s, m->grammar, path[t->len])) logits[t->token] = -INFINITY;
    }
    mem_free(path);
    for (uint32_t i = 0; i < p->silent_count; i++) logits[p->silent[i]] = -INFINITY;
    for (uint32_t i = 0; i < p->end_count && !matcher_may_end(m); i++) logits[p->ends[i]] = -INFINITY;
    return s->rc;
}
