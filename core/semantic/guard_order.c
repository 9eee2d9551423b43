/* guard_order.c -- who has which part: from A to B is not from B to A.
 *
 *     convert miles to km          before TO: convert miles   behind: km
 *     convert km to miles          before TO: convert km      behind: miles
 *
 * No grammar: some words on both sides of a word like "to", "than", 到, 比 are collected.  Parts are exchanged when
 * one word went from the front to the back and another one the other way, and neither stands on both sides.
 * What stands behind "from" counts as being in front of "to", wherever it stands.
 *
 * Thread: any; works on the caller's struct alone. */
#include "semantic/guard_int.h"

#define REACH 8 /* tokens to each side */

static int role_of(const struct guard_text *t, unsigned i) {
    if (t->tokens[i].kind == TOKEN_SIGN) {
        const char *p = t->text + t->tokens[i].at;
        bool arrow = (p[0] == '-' && p[1] == '>') || (p[0] == '\xe2' && p[1] == '\x86' && p[2] == '\x92');
        return arrow ? (int)ROLE_TO : -1;
    }
    return guard_word_id(word_row(WORD_SEED, t->tokens[i].hash), WORD_ROLE);
}

static bool is_content(const struct token *k) {
    if (k->kind == TOKEN_SIGN || k->kind == TOKEN_STOP) return false;
    struct guard_entry e;
    guard_word_find(word_row(WORD_SEED, k->hash), &e);
    for (unsigned i = 0; i < e.count; i++) {
        unsigned class = e.list[i].class;
        if (class == WORD_STOP || class == WORD_QUESTION || class == WORD_ROLE) return false;
    }
    return true;
}

static bool has(const uint32_t *list, unsigned n, uint32_t x) {
    for (unsigned i = 0; i < n; i++)
        if (list[i] == x) return true;
    return false;
}

/* Words from token i on in one direction, until a sentence ends or another role begins. */
static uint8_t collect(const struct guard_text *t, unsigned i, int step, uint32_t *list) {
    uint8_t n = 0;
    for (unsigned k = 0; k < REACH && n < GUARD_ROLE_WORDS; k++) {
        i += (unsigned)step;
        if (i >= t->token_count || t->tokens[i].kind == TOKEN_STOP || role_of(t, i) >= 0) break;
        if (is_content(&t->tokens[i]) && !has(list, n, t->tokens[i].hash)) list[n++] = t->tokens[i].hash;
    }
    return n;
}

void guard_order_read(struct guard_text *t) {
    for (unsigned i = 0; i < t->token_count && t->role_count < GUARD_ROLES; i++) {
        int role = role_of(t, i);
        if (role < 0) continue;
        struct roles *r = &t->roles[t->role_count++];
        r->role = (uint8_t)role;
        r->before_count = collect(t, i, -1, r->before);
        r->behind_count = collect(t, i, +1, r->behind);
    }
}

/* The two parts that a kind of role gives in a text. */
struct parts {
    uint32_t front[GUARD_ROLES * GUARD_ROLE_WORDS], back[GUARD_ROLES * GUARD_ROLE_WORDS];
    unsigned front_count, back_count;
};

static void append(uint32_t *list, unsigned *n, const uint32_t *more, unsigned count) {
    for (unsigned i = 0; i < count; i++) list[(*n)++] = more[i];
}

static void find_parts(const struct guard_text *t, unsigned role, struct parts *p) {
    p->front_count = p->back_count = 0;
    bool from = false;
    for (unsigned i = 0; i < t->role_count && role == ROLE_TO; i++) {
        const struct roles *r = &t->roles[i];
        if (r->role != ROLE_FROM) continue;
        from = true;
        append(p->front, &p->front_count, r->behind, r->behind_count);
    }
    for (unsigned i = 0; i < t->role_count; i++) {
        const struct roles *r = &t->roles[i];
        if (r->role != role) continue;
        if (!from) append(p->front, &p->front_count, r->before, r->before_count);
        append(p->back, &p->back_count, r->behind, r->behind_count);
    }
}

/* Does a word of the front of a stand only in the back of b? */
static bool moved(const uint32_t *front, unsigned fronts, const uint32_t *back, unsigned backs,
                  const uint32_t *other_front, unsigned other_fronts, const uint32_t *other_back, unsigned other_backs) {
    for (unsigned i = 0; i < fronts; i++)
        if (!has(back, backs, front[i]) && has(other_back, other_backs, front[i]) &&
            !has(other_front, other_fronts, front[i]))
            return true;
    return false;
}

static bool exchanged(const struct parts *a, const struct parts *b) {
    return moved(a->front, a->front_count, a->back, a->back_count, b->front, b->front_count, b->back, b->back_count) &&
           moved(a->back, a->back_count, a->front, a->front_count, b->back, b->back_count, b->front, b->front_count);
}

bool guard_order_differs(const struct guard_text *a, const struct guard_text *b) {
    if (a->role_count == 0 || b->role_count == 0) return false;
    static const unsigned roles[] = { ROLE_TO, ROLE_THAN, ROLE_WITH };
    struct parts pa, pb;
    for (unsigned i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        find_parts(a, roles[i], &pa);
        find_parts(b, roles[i], &pb);
        if (exchanged(&pa, &pb)) return true;
    }
    return false;
}
