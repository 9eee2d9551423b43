/* guard.c -- when two questions that look alike must not get the same answer.
 *
 * Encoders place "how to enable it" beside "how to disable it": what differs is one word.  The guard knows which
 * words these are.  It reads each text once, into facts, and compares facts:
 *
 *     text --> tokens --> facts: numbers, units, dates, names, code, languages, formats
 *              guard_tokens.c    opposites, negations, what is asked       guard_facts.c, guard_numbers.c
 *                                who has which part (from A to B)          guard_order.c
 *                                the one word that was replaced            guard_replaced.c
 *
 * A fact of one text must be one of the other, as the same value or the same word.  Some are soft: they may be left
 * out (现在, 两大主题), but not be replaced.  Opposites count when each text has another side of the same pair.
 * A negation and an opposite may cancel each other: not closed, open.  English texts that share few words are judged
 * by what was replaced alone (is_reworded).
 *
 * It says nothing about texts that are not alike, and it is no proof: a pair of words that is not listed passes, unless
 * it is all that tells the texts apart.  What it does not vouch for it refuses: texts longer than SEMANTIC_MAX_TEXT or
 * with too many tokens.
 *
 * No allocation but the embedder's own; some 80 KB of stack; linear, but for facts, which are compared each with each,
 * 256 at most. */
#include "semantic/guard.h"

#include <string.h>

#include "semantic/guard_int.h"

/* ORDER enum guard. */
static const char *const names[] = {
    "same", "number", "unit", "date", "negation", "direction", "name", "code", "language", "format", "question",
    "word"
};

const char *guard_name(enum guard g) { return names[g]; }

#define REWORDED 2 /* words of its own that a text has */
#define ACRONYMS 8 /* of a text that are looked for in the other's initials */

/* An acronym, and where the other text spells it. */
struct spelled {
    uint32_t key;
    uint16_t first, last;
};

/* -- Facts ------------------------------------------------------------------------------------------- */

static bool has_fact(const struct guard_text *t, const struct fact *f) {
    for (unsigned i = 0; i < t->fact_count; i++)
        if (t->facts[i].kind == f->kind && t->facts[i].key == f->key) return true;
    return false;
}

/* Does text b spell the acronym f of text a: NLP, Natural Language Processing? */
static bool has_initials(const struct guard_text *a, const struct fact *f, const struct guard_text *b,
                         struct spelled *s) {
    unsigned done = 0;
    for (unsigned i = 0; i < b->token_count; i++) {
        const struct token *k = &b->tokens[i];
        if (k->kind != TOKEN_WORD) continue;
        char c = guard_lower(b->text[k->at]);
        if (c != guard_lower(a->text[f->at + done])) done = 0;
        if (c != guard_lower(a->text[f->at + done])) continue;
        if (done == 0) s->first = k->at;
        s->last = k->at;
        if (++done == f->len) return true;
    }
    return false;
}

/* Acronyms of a that b spells. */
static unsigned find_spelled(const struct guard_text *a, const struct guard_text *b, struct spelled *list) {
    unsigned n = 0, looked = 0;
    for (unsigned i = 0; i < a->fact_count && looked < ACRONYMS; i++) {
        const struct fact *f = &a->facts[i];
        if ((f->flags & FACT_UPPER) == 0 || guard_words_has(b, f->key)) continue;
        looked++;
        list[n].key = f->key;
        if (has_initials(a, f, b, &list[n])) n++;
    }
    return n;
}

static bool has_inside(const struct guard_text *a, const struct fact *f, const struct guard_text *b) {
    return memmem(b->text, b->len, a->text + f->at, f->len) != NULL;
}

static bool has_word(const struct guard_text *a, const struct fact *f, const struct guard_text *b) {
    const char *p = a->text + f->at;
    if (guard_words_has(b, f->key)) return true;
    return f->len > 3 && (p[f->len - 1] | 0x20) == 's' && guard_words_has(b, guard_hash(p, f->len - 1u));
}

static bool is_known(const struct guard_text *a, const struct fact *f, const struct guard_text *b) {
    if (has_fact(b, f)) return true;
    if (f->flags & FACT_WORD) return has_word(a, f, b);
    if (f->flags & FACT_LISTED) return guard_words_has(b, guard_hash(a->text + f->at, f->len));
    return (f->flags & FACT_INSIDE) != 0 && has_inside(a, f, b);
}

/* By kind: bit 0, a has a fact that b lacks; bit 1, one that it must have. */
static void find_lacking(const struct guard_text *a, const struct guard_text *b, uint8_t *kinds) {
    struct spelled ours[ACRONYMS], theirs[ACRONYMS];
    unsigned n = find_spelled(a, b, ours), m = find_spelled(b, a, theirs);
    for (unsigned i = 0; i < a->fact_count; i++) {
        const struct fact *f = &a->facts[i];
        bool known = is_known(a, f, b);
        for (unsigned k = 0; k < n && !known; k++) known = ours[k].key == f->key && f->kind == GUARD_NAME;
        for (unsigned k = 0; k < m && !known; k++) known = f->at >= theirs[k].first && f->at <= theirs[k].last;
        if (!known) kinds[f->kind] |= (f->flags & FACT_SOFT) != 0 ? 1 : 3;
    }
}

static unsigned count_kind(const struct guard_text *t, unsigned kind) {
    unsigned n = 0;
    for (unsigned i = 0; i < t->fact_count; i++) n += t->facts[i].kind == kind;
    return n;
}

static enum guard compare_facts(const struct guard_text *a, const struct guard_text *b, bool reworded) {
    static const enum guard order[] = { GUARD_LANGUAGE, GUARD_CODE,   GUARD_DATE, GUARD_NUMBER,
                                        GUARD_UNIT,     GUARD_FORMAT, GUARD_NAME };
    uint8_t in_a[GUARD_KINDS] = { 0 }, in_b[GUARD_KINDS] = { 0 };
    find_lacking(a, b, in_a);
    find_lacking(b, a, in_b);
    for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
        unsigned k = order[i];
        bool both = (in_a[k] & in_b[k]) != 0, lacks = ((in_a[k] | in_b[k]) & 2) != 0;
        if (reworded && k != GUARD_NUMBER && k != GUARD_LANGUAGE) lacks = false;
        /* 买一送一, 买二送一: as many numbers, so none was left out */
        if (k == GUARD_NUMBER && (in_a[k] | in_b[k]) != 0 && count_kind(a, k) == count_kind(b, k)) both = true;
        if (both || lacks || a->more[k] != b->more[k]) return order[i];
    }
    return GUARD_SAME;
}

/* -- Negation, opposites -------------------------------------------------------------------------------- */

/* Words of a that b has without the syllable that negates them: unresponsive.  Listed words were counted. */
static unsigned count_prefixed(const struct guard_text *a, const struct guard_text *b) {
    static const char *const prefixes[] = { "un", "in", "im", "ir", "il", "non", "dis", "de" };
    unsigned n = 0;
    for (unsigned i = 0; i < a->token_count; i++) {
        const struct token *k = &a->tokens[i];
        const char *p = a->text + k->at;
        if (k->kind != TOKEN_WORD || k->len < 6 || k->len > 30 || guard_words_has(b, k->hash)) continue;
        bool found = false;
        for (unsigned j = 0; j < sizeof(prefixes) / sizeof(*prefixes) && !found; j++) {
            size_t len = strlen(prefixes[j]);
            if (strncasecmp(p, prefixes[j], len) != 0) continue;
            uint32_t base = guard_hash(p + len, k->len - len);
            found = guard_words_has(b, base) && !guard_words_has(a, base);
        }
        n += found && !guard_facts_is_listed(k);
    }
    return n;
}

static enum guard compare_sides(const struct guard_text *a, const struct guard_text *b) {
    unsigned negations = a->negations + b->negations + count_prefixed(a, b) + count_prefixed(b, a);
    bool odd = (negations & 1) != 0, contrary = false;
    for (unsigned i = 0; i < GUARD_WORDS_PAIRS; i++) {
        unsigned x = a->sides[i] & 3, y = b->sides[i] & 3;
        if (x == 0 || y == 0 || x == y) continue;
        unsigned flags = a->sides[i] | b->sides[i];
        if ((x & y) != 0) {
            if ((flags & WORD_WEAK) == 0) return GUARD_DIRECTION;
            continue;
        }
        if (odd && (flags & WORD_CONTRARY)) contrary = true;
        else return GUARD_DIRECTION;
    }
    return odd && !contrary ? GUARD_NEGATION : GUARD_SAME;
}

/* -- Language of the question ------------------------------------------------------------------------------ */

static bool is_chinese(const struct guard_text *t) { return t->han > 0 && t->han * 4 >= t->latin / 3; }

static bool speaks_alike(const struct guard_text *a, const struct guard_text *b) {
    if (a->other != b->other) return false;
    bool words = (a->han > 0 || a->latin > 4) && (b->han > 0 || b->latin > 4);
    return !words || is_chinese(a) == is_chinese(b);
}

/* Each text says in many words of its own what it says: what is not there may be there in other words.  Then only
 * what was replaced tells them apart, and neither a negation nor an opposite does. */
static bool is_reworded(const struct guard_text *a, const struct guard_text *b) {
    if (a->han > 0 || b->han > 0) return false;
    unsigned n, m, x = guard_facts_own(a, b, &n), y = guard_facts_own(b, a, &m);
    return x >= REWORDED && y >= REWORDED && (x + y) * 3 >= n + m;
}

/* -- Comparing ------------------------------------------------------------------------------------------------ */

static bool read_text(struct guard_text *t, struct slice text) {
    if (text.len > SEMANTIC_MAX_TEXT) return false;
    t->token_count = t->fact_count = t->negations = t->asked = t->han = t->latin = t->other = t->role_count = 0;
    memset(t->more, 0, sizeof(t->more));
    memset(t->sides, 0, sizeof(t->sides));
    memset(t->words, 0, sizeof(t->words));
    if (!guard_tokens_read(t, text)) return false;
    guard_facts_read(t);
    return true;
}

enum guard guard_compare(struct slice a, struct slice b, struct embedder *e) {
    if (slice_eq(a, b)) return GUARD_SAME;
    struct guard_text ta, tb;
    bool read = read_text(&ta, a);
    if (!read_text(&tb, b) || !read) return GUARD_CODE;
    if (!speaks_alike(&ta, &tb)) return GUARD_LANGUAGE;
    bool reworded = is_reworded(&ta, &tb);
    enum guard g = compare_facts(&ta, &tb, reworded);
    if (g == GUARD_SAME && !reworded) g = compare_sides(&ta, &tb);
    if (g == GUARD_SAME && guard_order_differs(&ta, &tb)) g = GUARD_DIRECTION;
    bool other_kind = ta.asked != 0 && tb.asked != 0 && (ta.asked & tb.asked) == 0;
    if (g == GUARD_SAME && other_kind) g = GUARD_QUESTION;
    return g == GUARD_SAME && e != NULL && guard_replaced_differs(&ta, &tb, e) ? GUARD_WORD : g;
}
