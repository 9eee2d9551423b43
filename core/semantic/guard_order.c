/* guard_order.c -- who has which part: from A to B is not from B to A.
 *
 *     convert miles to km          before TO: convert miles   behind: km
 *     convert km to miles          before TO: convert km      behind: miles
 *
 * No grammar: some words on both sides of a word like "to", "than", 到, 比 are collected.  Parts are exchanged when
 * one word went from the front to the back and another one the other way, and neither stands on both sides.
 * What stands behind "from" counts as being in front of "to", wherever it stands.
 *
 *     did Alice pay Bob                            did Bob pay Alice
 *     sell apple and buy tesla                     sell tesla and buy apple
 *
 * Where no word says who is who, the place does: when all words are the same and in the same order, but for two that
 * have exchanged places around others, parts are exchanged, too.  Not so in a list (cats, dogs and birds), nor
 * when a word took along what says its part (in winter, food for dogs).  Of Chinese nothing is said
 * here: its words are not cut.
 *
 * Thread: any; works on the caller's struct alone. */
#include <string.h>

#include "semantic/guard_int.h"

#define LINE     64 /* words of a text whose places are compared */
#define TOGETHER 3  /* words that may exchange their places with others as one: Alice Smith */

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

/* -- Places ------------------------------------------------------------------------------------- */

/* The words of a text that mean something, as tokens. */
struct line {
    const struct guard_text *t;
    unsigned count;
    uint16_t at[LINE];
    uint32_t all; /* the sum of all words: who says it otherwise may say it in another order */
};

/* False: it says nothing about this text. */
static bool read_line(const struct guard_text *t, struct line *l) {
    l->t = t;
    l->count = l->all = 0;
    for (unsigned i = 0; i < t->token_count; i++) {
        if (t->tokens[i].kind != TOKEN_STOP) l->all += guard_mix(t->tokens[i].hash);
        if (!is_content(&t->tokens[i])) continue;
        if (l->count == LINE) return false;
        l->at[l->count++] = (uint16_t)i;
    }
    return t->han == 0;
}

static uint32_t word_at(const struct line *l, unsigned i) { return l->t->tokens[l->at[i]].hash; }

static bool is_same(const struct line *a, unsigned i, const struct line *b, unsigned k, unsigned n) {
    for (unsigned j = 0; j < n; j++)
        if (word_at(a, i + j) != word_at(b, k + j)) return false;
    return true;
}

static bool is_one_of(const struct guard_text *t, unsigned i, const char *const *list) {
    const struct token *k = &t->tokens[i];
    for (; *list != NULL; list++)
        if (strlen(*list) == k->len && strncasecmp(t->text + k->at, *list, k->len) == 0) return true;
    return false;
}

/* Are words i and i + 1 of l members of a list, or of a choice? */
static bool is_joined(const struct line *l, unsigned i) {
    static const char *const joints[] = { "and", "or", "nor", "vs", "versus", NULL };
    const struct token *x = &l->t->tokens[l->at[i]], *y = &l->t->tokens[l->at[i + 1]];
    for (unsigned k = l->at[i] + 1u; k < l->at[i + 1]; k++)
        if (is_one_of(l->t, k, joints)) return true;
    if (is_one_of(l->t, l->at[i + 1], joints) || is_one_of(l->t, l->at[i], joints)) return true;
    return memchr(l->t->text + x->at, ',', (size_t)(y->at - x->at)) != NULL;
}

/* The token in front of word i that says which part it has: in, for. -1: there is none. */
static int marker(const struct line *l, unsigned i) {
    static const char *const articles[] = { "the", "a", "an", "my", "your", "his", "her", "its", "our", "their",
                                            "this", "that", "these", "those", NULL };
    static const char *const markers[] = { "in", "for", "of", "on", "at", "by", "with", "from", "to", "into", "about",
                                           "during", "under", "near", "if", "when", "while", "because", "after",
                                           "before", "as", "like", "without", "using", "via", "per", NULL };
    int k = l->at[i] - 1;
    while (k >= 0 && is_one_of(l->t, (unsigned)k, articles)) k--;
    return k >= 0 && is_one_of(l->t, (unsigned)k, markers) ? k : -1;
}

/* Has word i of a the same marker as word k of b? */
static bool keeps_marker(const struct line *a, unsigned i, const struct line *b, unsigned k) {
    int x = marker(a, i), y = marker(b, k);
    return x >= 0 && y >= 0 && a->t->tokens[x].hash == b->t->tokens[y].hash;
}

/* Words i to end of a are x, others, and y ones that stand in b as y, others, x. */
static bool is_exchange(const struct line *a, const struct line *b, unsigned i, unsigned end, unsigned x, unsigned y) {
    if (end - i <= x + y) return false;
    unsigned between = end - i - x - y;
    if (!is_same(a, i, b, end - x, x) || !is_same(a, end - y, b, i, y) || !is_same(a, i + x, b, i + y, between))
        return false;
    bool list = is_joined(a, i + x - 1) && is_joined(a, end - y - 1) && is_joined(b, i + y - 1) &&
                is_joined(b, end - x - 1);
    return !list && !keeps_marker(a, i, b, end - x) && !keeps_marker(a, end - y, b, i);
}

static bool exchanges_places(const struct guard_text *ta, const struct guard_text *tb) {
    struct line a, b;
    if (!read_line(ta, &a) || !read_line(tb, &b) || a.count != b.count || a.all != b.all) return false;
    unsigned i = 0, end = a.count;
    while (i < end && is_same(&a, i, &b, i, 1)) i++;
    while (end > i && is_same(&a, end - 1, &b, end - 1, 1)) end--;
    for (unsigned x = 1; x <= TOGETHER; x++)
        for (unsigned y = 1; y <= TOGETHER; y++)
            if (is_exchange(&a, &b, i, end, x, y)) return true;
    return false;
}

bool guard_order_differs(const struct guard_text *a, const struct guard_text *b) {
    if (exchanges_places(a, b)) return true;
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
