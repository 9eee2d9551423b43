/* guard_replaced.c -- the same sentence with one word replaced by one that means something else.
 *
 *     怎么做[蛋糕]        how do I [clean] a skillet       what says nothing of its own is left out, then
 *     如何做[饼干]呢      how can I [season] the skillet   both ends that are equal; one word of each is left
 *
 * No list has all words that exclude each other: faucet and mirror, to fry and to poach.  So it is asked the other way
 * round: what is left of both texts, one word of English or up to HAN_MOST characters of Chinese, must be a form of the
 * other, a synonym that is listed (guard_words.lua, phrases.c), or near it in the table of tokens' vectors that is
 * inside the program.  How near is said below, and for what it was chosen.
 *
 * What differs at two places is not judged, nor what stands in another order or asks for something else, nor what other
 * files of the guard know better: numbers, code, a row of words that is listed (turn off), a negation.
 *
 * Linear.  Thread: any; the embedder is the caller's. */
#include <string.h>

#include "semantic/embedding.h"
#include "semantic/guard_int.h"
#include "semantic/phrases.h"

#define HAN_MOST 4  /* characters of a word of Chinese, or of two */
#define RAW_LEAST 2 /* tokens that are the same in texts which have nothing else in common */

/* Cosines below which two words do not mean the same.  Chosen on `tuned` of tests/bench/swaps_replaced.lua and on every
 * second line of LCQMC's development set: of the latter's pairs that are the same, 4 % have two such words. */
#define NEAR_WORD 0.33f
#define NEAR_HAN  0.30f
#define NEAR_ONE  0.50f /* of a character, alone or with one of its neighbours: it is half a word often */

/* Tokens of a text that are compared. */
struct line {
    const struct guard_text *t;
    unsigned count;
    uint16_t at[GUARD_TOKENS];
};

/* What is left of a line. */
struct rest {
    const struct line *line;
    unsigned from, count;
};

/* -- What says nothing ----------------------------------------------------------------------- */

static bool is_empty_han(const struct guard_text *t, const struct token *k) {
    static const char empty[] = "的了吗呢啊呀吧么嘛哦哈我你您他她它们这那个什怎"
                                "哪何为谁请问求给在和就都也还最很一是有能可以会要"
                                "想得地着过去来到不没好多少几如样啥咋才又再被把让"
                                "将对从向用里中上下些点使与跟之于或者但而且因所其"
                                "并及等该应需办做弄搞";
    for (const char *p = empty; *p != '\0'; p += 3)
        if (memcmp(p, t->text + k->at, 3) == 0) return true;
    return false;
}

static bool is_phrase_of(const char *word, size_t len, enum phrase_kind kind) {
    char lower[24];
    if (len > sizeof(lower)) return false;
    for (size_t i = 0; i < len; i++) lower[i] = guard_lower(word[i]);
    const struct phrase *p = phrase_of_word(slice_of(lower, len));
    return p != NULL && p->kind == kind;
}

static bool is_empty_word(const struct guard_text *t, const struct token *k) {
    static const char *const empty[] = { "way", "ways", "best", "good", "if", "whether", "one", "ones", "up", "out",
                                         "off", "then", "someone", "somebody", "anyone", "anybody", "people", "person",
                                         "use", "using", "used", "find", "look", "looking", "recommend", "suggest",
                                         "make", "makes", "making", "let", "mean", "possible", "describe", NULL };
    struct guard_entry e;
    guard_word_find(word_row(WORD_SEED, k->hash), &e);
    for (unsigned n = 0; n < e.count; n++) {
        unsigned class = e.list[n].class;
        if (class == WORD_STOP || class == WORD_QUESTION || class == WORD_ROLE || class == WORD_NEGATION) return true;
    }
    for (const char *const *p = empty; *p != NULL; p++)
        if (strlen(*p) == k->len && strncasecmp(*p, t->text + k->at, k->len) == 0) return true;
    const char *word = t->text + k->at;
    return is_phrase_of(word, k->len, PHRASE_FILLER) || is_phrase_of(word, k->len, PHRASE_QUESTION);
}

static bool is_empty(const struct guard_text *t, const struct token *k) {
    if (k->kind == TOKEN_HAN) return is_empty_han(t, k);
    return k->kind == TOKEN_WORD && is_empty_word(t, k);
}

/* How many tokens from i on are a phrase of Chinese that says nothing: 谢谢, 的方法. */
static unsigned empty_phrase(const struct guard_text *t, unsigned i) {
    static const char *const empty[] = { "方法", "办法", "方式", NULL };
    const char *p = t->text + t->tokens[i].at;
    if (t->tokens[i].kind != TOKEN_HAN) return 0;
    for (const char *const *e = empty; *e != NULL; e++)
        if (memcmp(p, *e, strlen(*e)) == 0) return 2;
    const struct phrase *f = phrase_at(p, t->text + t->len);
    bool says = f == NULL || (f->kind != PHRASE_FILLER && f->kind != PHRASE_QUESTION);
    return says ? 0 : (unsigned)strlen(f->text) / 3;
}

/* How many tokens from i on are a word of Chinese that is listed with others, so that no part of it says nothing:
 * 好看, 的士. */
static unsigned known_word(const struct guard_text *t, unsigned i) {
    if (t->tokens[i].kind != TOKEN_HAN) return 0;
    const char *p = t->text + t->tokens[i].at;
    const struct phrase *f = phrase_at(p, t->text + t->len);
    unsigned most = f != NULL && f->kind == PHRASE_OTHER ? (unsigned)strlen(f->text) / 3 : 0;
    uint32_t row = word_row(WORD_SYNONYMS, t->tokens[i].hash);
    for (unsigned k = 1; k < HAN_MOST && i + k < t->token_count && t->tokens[i + k].kind == TOKEN_HAN; k++) {
        row = word_row(row, t->tokens[i + k].hash);
        if (k >= most && guard_word_id(row, WORD_SYNONYM) >= 0) most = k + 1;
    }
    return most > 1 ? most : 0;
}

/* raw: with what says nothing. */
static void read_line(const struct guard_text *t, bool raw, struct line *l) {
    l->t = t;
    l->count = 0;
    for (unsigned i = 0, kept = 0; i < t->token_count; i++) { /* kept: tokens of a known word, from here on */
        unsigned none = raw || kept > 0 ? 0 : empty_phrase(t, i);
        if (kept == 0) kept = raw ? 1 : known_word(t, i);
        if (none > 0 && none >= kept) {
            i += none - 1;
            kept = 0;
            continue;
        }
        bool says = t->tokens[i].kind != TOKEN_STOP && (kept > 0 || !is_empty(t, &t->tokens[i]));
        if (says) l->at[l->count++] = (uint16_t)i;
        if (kept > 0) kept--;
    }
}

/* -- Forms of a word ---------------------------------------------------------------------------- */

static bool is_ending(const char *p, size_t len) {
    static const char *const endings[] = { "", "e", "s", "es", "ed", "d", "ing", "y", "ies", "ied", "ly", NULL };
    for (const char *const *e = endings; *e != NULL; e++)
        if (strlen(*e) == len && strncasecmp(*e, p, len) == 0) return true;
    return false;
}

/* plan, planning: of the rest of the longer one the first letter may be the last one of both. */
static bool is_rest(const char *p, size_t len, char last) {
    return is_ending(p, len) || (len > 2 && guard_lower(*p) == guard_lower(last) && is_ending(p + 1, len - 1));
}

static bool is_form(const char *x, size_t n, const char *y, size_t m) {
    size_t same = 0;
    while (same < n && same < m && guard_lower(x[same]) == guard_lower(y[same])) same++;
    return same >= 3 && is_rest(x + same, n - same, x[same - 1]) && is_rest(y + same, m - same, y[same - 1]);
}

static bool is_same(const struct line *a, unsigned i, const struct line *b, unsigned k) {
    const struct token *x = &a->t->tokens[a->at[i]], *y = &b->t->tokens[b->at[k]];
    if (x->kind != y->kind) return false;
    if (x->hash == y->hash) return true;
    return x->kind == TOKEN_WORD && is_form(a->t->text + x->at, x->len, b->t->text + y->at, y->len);
}

/* -- What is left --------------------------------------------------------------------------------- */

/* Returns how many tokens both ends share. */
static unsigned compare_lines(const struct line *a, const struct line *b, struct rest *x, struct rest *y) {
    unsigned least = a->count < b->count ? a->count : b->count, from = 0, end = 0;
    while (from < least && is_same(a, from, b, from)) from++;
    while (from + end < least && is_same(a, a->count - 1 - end, b, b->count - 1 - end)) end++;
    *x = (struct rest){ a, from, a->count - from - end };
    *y = (struct rest){ b, from, b->count - from - end };
    return from + end;
}

static const struct token *token_of(const struct rest *r, unsigned i) {
    return &r->line->t->tokens[r->line->at[r->from + i]];
}

static struct slice text_of(const struct rest *r) {
    const struct token *first = token_of(r, 0), *last = token_of(r, r->count - 1);
    return slice_of(r->line->t->text + first->at, (size_t)(last->at + last->len - first->at));
}

/* Has what is left a token in common, so that it stands in another order, or is a form of it: 寻找, 找? */
static bool share_token(const struct rest *x, const struct rest *y) {
    for (unsigned i = 0; i < x->count; i++)
        for (unsigned k = 0; k < y->count; k++)
            if (token_of(x, i)->hash == token_of(y, k)->hash) return true;
    return false;
}

/* Is it a row of so many tokens of this kind, without a word between that was left out? */
static bool is_row(const struct rest *r, unsigned kind, unsigned most) {
    if (r->count == 0 || r->count > most) return false;
    for (unsigned i = 0; i < r->count; i++) {
        const struct token *k = token_of(r, i);
        if (k->kind != kind || (i > 0 && k != token_of(r, i - 1) + 1)) return false;
    }
    return true;
}

static bool is_fact_class(unsigned class) {
    return class >= WORD_NUMBER && class <= WORD_FORMAT && class != WORD_NAME;
}

/* Do lists of other files say what the word at token i is? */
static bool is_judged_elsewhere(const struct guard_text *t, unsigned i) {
    struct guard_entry e;
    for (unsigned k = i >= WORD_MOST ? i - WORD_MOST + 1 : 0; k <= i; k++) {
        unsigned many = guard_facts_match(t, k, &e);
        if (many > 1 && k + many > i) return true;
        if (many != 1 || k != i) continue;
        for (unsigned n = 0; n < e.count; n++)
            if (is_fact_class(e.list[n].class)) return true;
    }
    return false;
}

/* -- What means the same ------------------------------------------------------------------------------ */

#define GROUPS 8 /* of synonyms that a word is in */

static unsigned add_groups(uint32_t row, uint16_t *groups, unsigned count) {
    struct guard_entry e;
    guard_word_find(row, &e);
    for (unsigned n = 0; n < e.count && count < GROUPS; n++)
        if (e.list[n].class == WORD_SYNONYM) groups[count++] = e.list[n].id;
    return count;
}

static unsigned find_groups(const struct rest *r, uint16_t *groups) {
    uint32_t row = WORD_SYNONYMS;
    for (unsigned i = 0; i < r->count; i++) row = word_row(row, token_of(r, i)->hash);
    unsigned count = add_groups(row, groups, 0);
    struct slice word = text_of(r);
    char to[32];
    for (unsigned way = 0; way < GUARD_ENDINGS && token_of(r, 0)->kind == TOKEN_WORD && word.len <= 24; way++) {
        size_t len = guard_without_ending(word.ptr, word.len, way, to);
        if (len > 0) count = add_groups(word_row(WORD_SYNONYMS, guard_hash(to, len)), groups, count);
    }
    return count;
}

static bool are_listed(const struct rest *x, const struct rest *y) {
    uint16_t of_x[GROUPS], of_y[GROUPS];
    unsigned n = find_groups(x, of_x), m = find_groups(y, of_y);
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < m; k++)
            if (of_x[i] == of_y[k]) return true;
    struct slice a = text_of(x), b = text_of(y);
    const struct phrase *p = phrase_of_word(a), *q = phrase_of_word(b);
    return p != NULL && q != NULL && strcmp(p->means, q->means) == 0;
}

/* A character and `before` in front of it, `behind` behind it, as far as these say something. */
static struct slice widen(const struct rest *r, unsigned before, unsigned behind) {
    const struct guard_text *t = r->line->t;
    const struct token *first = token_of(r, 0), *last = first, *end = t->tokens + t->token_count;
    if (before > 0 && first > t->tokens && first[-1].kind == TOKEN_HAN && !is_empty(t, &first[-1])) first--;
    if (behind > 0 && last + 1 < end && last[1].kind == TOKEN_HAN && !is_empty(t, &last[1])) last++;
    return slice_of(t->text + first->at, (size_t)(last->at + last->len - first->at));
}

/* 价格, 价钱: the characters say little, the words do. */
static bool are_near_ones(const struct rest *x, const struct rest *y, struct embedder *e) {
    static const unsigned sides[][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 } };
    for (unsigned i = 0; i < sizeof(sides) / sizeof(*sides); i++) {
        struct slice a = widen(x, sides[i][0], sides[i][1]), b = widen(y, sides[i][0], sides[i][1]);
        if (embedder_nearness(e, a, b, false) >= NEAR_ONE) return true;
    }
    return false;
}

static bool mean_the_same(const struct rest *x, const struct rest *y, struct embedder *e) {
    struct slice a = text_of(x), b = text_of(y);
    bool han = token_of(x, 0)->kind == TOKEN_HAN;
    if (are_listed(x, y)) return true;
    if (han && x->count + y->count == 2) return are_near_ones(x, y, e);
    return embedder_nearness(e, a, b, !han) >= (han ? NEAR_HAN : NEAR_WORD);
}

bool guard_replaced_differs(const struct guard_text *a, const struct guard_text *b, struct embedder *e) {
    struct line la, lb;
    struct rest x, y;
    read_line(a, false, &la);
    read_line(b, false, &lb);
    if (compare_lines(&la, &lb, &x, &y) == 0) { /* what do koalas eat */
        read_line(a, true, &la);
        read_line(b, true, &lb);
        if (compare_lines(&la, &lb, &x, &y) < RAW_LEAST) return false;
    }
    bool word = is_row(&x, TOKEN_WORD, 1) && is_row(&y, TOKEN_WORD, 1);
    bool han = !word && is_row(&x, TOKEN_HAN, HAN_MOST) && is_row(&y, TOKEN_HAN, HAN_MOST) && !share_token(&x, &y);
    if ((!word && !han) || a->negations != b->negations) return false;
    if (word && a->asked != b->asked) return false; /* where can i buy it, which site sells it */
    if (word && (is_judged_elsewhere(a, la.at[x.from]) || is_judged_elsewhere(b, lb.at[y.from]))) return false;
    return !mean_the_same(&x, &y, e);
}
