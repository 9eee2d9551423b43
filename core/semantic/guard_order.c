/* guard_order.c -- who has which part: from A to B is not from B to A.
 *
 *     convert miles to km          before TO: convert miles   behind: km
 *     convert km to miles          before TO: convert km      behind: miles
 *
 * No grammar: some words on both sides of a word like "to", "than", 到, 比 are collected.  Parts are exchanged when
 * of two words the one stands before such a word in one text and behind one in the other, and the other way round.
 * Each word like "to" is looked at alone: "how to convert miles to km" has two of them, and what stands between is
 * behind the one and before the other.  What stands behind "from" counts as being in front of "to", wherever it
 * stands.  An A that is no article (plan A, divide A by B) is a word like any other.
 *
 *     did Alice pay Bob                            did Bob pay Alice
 *     sell apple and buy tesla                     sell tesla and buy apple
 *
 * Where no word says who is who, the place does: when all words are the same and in the same order, but for two that
 * have exchanged places around others, or around a word that says a part (the art of history), parts are exchanged,
 * too.  Not so in a list (cats, dogs and birds), nor when a word took along what says its part (in winter, food for
 * dogs).  Chinese, whose words are not cut, has a rule of its own: guard_han.c.
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

static bool is_one_of(const struct guard_text *t, unsigned i, const char *const *list) {
    const struct token *k = &t->tokens[i];
    for (; *list != NULL; list++)
        if (strlen(*list) == k->len && strncasecmp(t->text + k->at, *list, k->len) == 0) return true;
    return false;
}

/* Is the word "a" at token i a letter, and no article: plan A, divide a by b?  Behind an article something is named. */
static bool is_letter(const struct guard_text *t, unsigned i) {
    static const char *const never[] = { "be", "and", "or", "of", "as", "in", "on", "at", "for", "if", "when", NULL };
    static const char *const labels[] = { "option", "vitamin", "hepatitis", "team", "node", "variant", "column",
                                          "player", "candidate", "company", "person", "product", NULL };
    const struct token *k = &t->tokens[i];
    if (k->kind != TOKEN_WORD || k->len != 1 || (t->text[k->at] | 0x20) != 'a') return false;
    if ((k->flags & (TOKEN_CAPITAL | TOKEN_BEGINS)) == TOKEN_CAPITAL && !t->titled) return true;
    if (i > 0 && is_one_of(t, i - 1, labels)) return true;
    if (i + 1 >= t->token_count || role_of(t, i + 1) >= 0 || is_one_of(t, i + 1, never)) return true;
    unsigned kind = k[1].kind;
    bool named = kind == TOKEN_WORD || kind == TOKEN_NUMBER || kind == TOKEN_CODE;
    return !named || guard_word_id(word_row(WORD_SEED, k[1].hash), WORD_STOP) == STOP_AUXILIARY;
}

static bool is_content(const struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    if (k->kind == TOKEN_SIGN || k->kind == TOKEN_STOP) return false;
    struct guard_entry e;
    guard_word_find(word_row(WORD_SEED, k->hash), &e);
    for (unsigned n = 0; n < e.count; n++) {
        unsigned class = e.list[n].class;
        if (class == WORD_STOP || class == WORD_QUESTION || class == WORD_ROLE) return is_letter(t, i);
    }
    return true;
}

static bool has(const struct part *p, uint32_t x) {
    for (unsigned i = 0; i < p->count; i++)
        if (p->words[i] == x) return true;
    return false;
}

/* Words from token i on in one direction, until a sentence ends or another role begins; one that is said in several
 * words is one (转换成). */
static void collect(const struct guard_text *t, unsigned i, int step, struct part *p) {
    bool first = true;
    p->count = 0;
    for (unsigned k = 0; k < GUARD_REACH; k++) {
        i += (unsigned)step;
        if (i >= t->token_count || t->tokens[i].kind == TOKEN_STOP) break;
        bool role = role_of(t, i) >= 0, goes_on = role && t->tokens[i].kind == TOKEN_HAN && first;
        if (role && !goes_on) break;
        first = goes_on;
        if (is_content(t, i)) p->words[p->count++] = t->tokens[i].hash;
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

/* Does x stand in front of the role r?  from: what stands behind "from" is what stands in front. */
static bool is_before(const struct guard_text *t, const struct roles *r, bool from, uint32_t x) {
    if (!from) return has(&r->before, x);
    for (unsigned i = 0; i < t->role_count; i++)
        if (t->roles[i].role == ROLE_FROM && has(&t->roles[i].behind, x)) return true;
    return false;
}

static bool says_from(const struct guard_text *t, unsigned role) {
    for (unsigned i = 0; i < t->role_count && role == ROLE_TO; i++)
        if (t->roles[i].role == ROLE_FROM) return true;
    return false;
}

/* Does a role of this kind have x in front of it, and y behind it? */
static bool relates(const struct guard_text *t, unsigned role, uint32_t x, uint32_t y) {
    bool from = says_from(t, role);
    for (unsigned i = 0; i < t->role_count; i++) {
        const struct roles *r = &t->roles[i];
        if (r->role == role && has(&r->behind, y) && is_before(t, r, from, x)) return true;
    }
    return false;
}

/* Has y a word in front of its role r in a, which stands behind y in b, and not in both in both ways? */
static bool is_exchanged(const struct guard_text *a, const struct guard_text *b, unsigned role,
                         const struct part *front, uint32_t y) {
    for (unsigned i = 0; i < front->count; i++) {
        uint32_t x = front->words[i];
        if (x != y && relates(b, role, y, x) && !relates(b, role, x, y) && relates(a, role, x, y) &&
            !relates(a, role, y, x))
            return true;
    }
    return false;
}

static bool exchanges_parts(const struct guard_text *a, const struct guard_text *b, unsigned role) {
    bool from = says_from(a, role);
    for (unsigned i = 0; i < a->role_count; i++) {
        if (a->roles[i].role != role) continue;
        for (unsigned k = 0; k < a->role_count; k++) {
            bool own = from ? a->roles[k].role == ROLE_FROM : k == i;
            const struct part *front = from ? &a->roles[k].behind : &a->roles[i].before, *back = &a->roles[i].behind;
            for (unsigned n = 0; own && n < back->count; n++)
                if (is_exchanged(a, b, role, front, back->words[n])) return true;
        }
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
    static const char *const whole[] = { "a", "an", "the", NULL }; /* an array to a list, a list to an array */
    l->t = t;
    l->count = l->all = 0;
    for (unsigned i = 0; i < t->token_count; i++) {
        bool content = is_content(t, i), article = !content && is_one_of(t, i, whole);
        if (t->tokens[i].kind != TOKEN_STOP && !article) l->all += guard_mix(t->tokens[i].hash);
        if (!content) continue;
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

/* Are words i and i + 1 of l members of a list, or of a choice? */
static bool is_joined(const struct line *l, unsigned i) {
    static const char *const joints[] = { "and", "or", "nor", "vs", "versus", NULL };
    const struct token *x = &l->t->tokens[l->at[i]], *y = &l->t->tokens[l->at[i + 1]];
    for (unsigned k = l->at[i] + 1u; k < l->at[i + 1]; k++)
        if (is_one_of(l->t, k, joints)) return true;
    if (is_one_of(l->t, l->at[i + 1], joints) || is_one_of(l->t, l->at[i], joints)) return true;
    return memchr(l->t->text + x->at, ',', (size_t)(y->at - x->at)) != NULL;
}

static const char *const markers[] = { "in", "for", "of", "on", "at", "by", "with", "from", "to", "into", "about",
                                       "during", "under", "near", "if", "when", "while", "because", "after",
                                       "before", "as", "like", "without", "using", "via", "per", NULL };

/* The token in front of word i that says which part it has: in, for. -1: there is none. */
static int marker(const struct line *l, unsigned i) {
    static const char *const articles[] = { "the", "a", "an", "my", "your", "his", "her", "its", "our", "their",
                                            "this", "that", "these", "those", NULL };
    int k = l->at[i] - 1;
    while (k >= 0 && is_one_of(l->t, (unsigned)k, articles)) k--;
    return k >= 0 && is_one_of(l->t, (unsigned)k, markers) ? k : -1;
}

/* Has word i of a the same marker as word k of b? */
static bool keeps_marker(const struct line *a, unsigned i, const struct line *b, unsigned k) {
    int x = marker(a, i), y = marker(b, k);
    return x >= 0 && y >= 0 && a->t->tokens[x].hash == b->t->tokens[y].hash;
}

/* The last token between words i and i + 1 that says a part; 0: none does. */
static uint32_t link_behind(const struct line *l, unsigned i) {
    for (unsigned k = l->at[i + 1] - 1u; k > l->at[i]; k--)
        if (role_of(l->t, k) >= 0 || is_one_of(l->t, k, markers)) return l->t->tokens[k].hash;
    return 0;
}

/* Words i to end of a are x, others, and y ones that stand in b as y, others, x. */
static bool is_exchange(const struct line *a, const struct line *b, unsigned i, unsigned end, unsigned x, unsigned y) {
    if (end - i < x + y) return false;
    unsigned between = end - i - x - y;
    if (!is_same(a, i, b, end - x, x) || !is_same(a, end - y, b, i, y) || !is_same(a, i + x, b, i + y, between))
        return false;
    uint32_t link = between == 0 ? link_behind(a, i + x - 1) : 0;
    if (between == 0 && (link == 0 || link != link_behind(b, i + y - 1))) return false;
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
    if (exchanges_places(a, b) || guard_han_differs(a, b)) return true;
    if (a->role_count == 0 || b->role_count == 0) return false;
    static const unsigned roles[] = { ROLE_TO, ROLE_THAN, ROLE_WITH };
    for (unsigned i = 0; i < sizeof(roles) / sizeof(*roles); i++)
        if (exchanges_parts(a, b, roles[i])) return true;
    return false;
}
