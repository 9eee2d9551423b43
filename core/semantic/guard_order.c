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

static bool has(const struct part *p, uint32_t x) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->words[i] == x) return true;
    return false;
}

/* Words from token i on in one direction, until a sentence ends or another role begins. */
static void collect(const struct guard_text *t, unsigned i, int step, struct part *p) {
    p->count = 0;
    for (unsigned k = 0; k < GUARD_REACH; k++) {
        i += (unsigned)step;
        if (i >= t->token_count || t->tokens[i].kind == TOKEN_STOP || role_of(t, i) >= 0) break;
        if (is_content(&t->tokens[i])) p->words[p->count++] = t->tokens[i].hash;
    }
}

void guard_order_read(struct guard_text *t) {
    for (unsigned i = 0; i < t->token_count && t->role_count < GUARD_ROLES; i++) {
        int role = role_of(t, i);
        if (role < 0) continue;
        struct roles *r = &t->roles[t->role_count++];
        r->role = (uint8_t)role;
        collect(t, i, -1, &r->before);
        collect(t, i, +1, &r->behind);
    }
}

/* The two parts that a kind of role gives in a text. */
struct parts {
    struct part front[GUARD_ROLES], back[GUARD_ROLES];
    unsigned    fronts, backs;
};

static void find_parts(const struct guard_text *t, unsigned role, struct parts *p) {
    p->fronts = p->backs = 0;
    for (unsigned i = 0; i < t->role_count && role == ROLE_TO; i++)
        if (t->roles[i].role == ROLE_FROM) p->front[p->fronts++] = t->roles[i].behind;
    bool from = p->fronts > 0;
    for (unsigned i = 0; i < t->role_count; i++) {
        if (t->roles[i].role != role) continue;
        if (!from) p->front[p->fronts++] = t->roles[i].before;
        p->back[p->backs++] = t->roles[i].behind;
    }
}

static bool in_front(const struct parts *p, uint32_t x) {
    for (unsigned i = 0; i < p->fronts; i++)
        if (has(&p->front[i], x)) return true;
    return false;
}

static bool in_back(const struct parts *p, uint32_t x) {
    for (unsigned i = 0; i < p->backs; i++)
        if (has(&p->back[i], x)) return true;
    return false;
}

/* Does a word stand only in front in a, and only behind in b? */
static bool moved(const struct parts *a, const struct parts *b) {
    for (unsigned i = 0; i < a->fronts; i++)
        for (unsigned k = 0; k < a->front[i].count; k++) {
            uint32_t x = a->front[i].words[k];
            if (!in_back(a, x) && in_back(b, x) && !in_front(b, x)) return true;
        }
    return false;
}

bool guard_order_differs(const struct guard_text *a, const struct guard_text *b) {
    if (a->role_count == 0 || b->role_count == 0) return false;
    static const unsigned roles[] = { ROLE_TO, ROLE_THAN, ROLE_WITH };
    struct parts pa, pb;
    for (unsigned i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        find_parts(a, roles[i], &pa);
        find_parts(b, roles[i], &pb);
        if (moved(&pa, &pb) && moved(&pb, &pa)) return true;
    }
    return false;
}
