/* guard_facts.c -- what the tokens of a text say that another text may not say otherwise.
 *
 *     is it legal to fly 2 drones in Paris?      opposite legal|  number 2  name paris
 *     2008年北京不允许放烟花                       number 2008  name 北京  negation
 *
 * The longest row of words that is listed wins, and nothing inside it is looked at: 大学 is not big, "as well" no
 * well.  English words that are not listed are tried without their endings.  What is listed nowhere may be a name:
 * a word with a capital inside a sentence, with several, in quotes, or a Latin one in a Chinese text.
 *
 * Linear: a row of words has WORD_MOST tokens at most.
 * Thread: any; works on the caller's struct alone. */
#include <string.h>

#include "semantic/guard_int.h"
#include "tokens/unicode.h"

#define COUNTRIES 1500 /* ORDER guard_words.lua: names' ids of the countries of languages */

/* -- Adding ------------------------------------------------------------------------------------- */

void guard_facts_add(struct guard_text *t, unsigned kind, uint32_t key, const struct token *at, unsigned flags) {
    if (t->fact_count == GUARD_FACTS) {
        t->more[kind] += guard_mix(key);
        return;
    }
    t->facts[t->fact_count++] = (struct fact){ .key = key, .at = at->at, .len = at->len, .kind = (uint8_t)kind,
                                               .flags = (uint8_t)flags };
}

/* -- Finding -------------------------------------------------------------------------------------- */

/* The longest row that begins at token i with a word of this hash. */
static unsigned match_from(const struct guard_text *t, unsigned i, uint32_t first, struct guard_entry *e) {
    struct guard_entry found;
    unsigned best = 0;
    uint32_t h = word_row(WORD_SEED, first);
    for (unsigned k = 1;; k++) {
        guard_word_find(h, &found);
        if (found.count > 0) {
            best = k;
            *e = found;
        }
        if (!found.prefix || k == WORD_MOST || i + k >= t->token_count) return best;
        const struct token *next = &t->tokens[i + k];
        bool joined = next->kind == TOKEN_HAN ? next->at == next[-1].at + next[-1].len : next->kind == TOKEN_WORD;
        if (!joined) return best;
        h = word_row(h, next->hash);
    }
}

size_t guard_without_ending(const char *p, size_t len, unsigned way, char *to) {
    static const struct { const char *ending, *instead; } ways[] = {
        { "s", "" }, { "es", "" }, { "ies", "y" }, { "ed", "" }, { "ed", "e" }, { "ied", "y" }, { "ing", "" },
        { "ing", "e" }, { "er", "" }, { "ers", "" }, { "ly", "" },
    };
    size_t n = strlen(ways[way].ending), m = strlen(ways[way].instead);
    if (len < n + 3 || strncasecmp(p + len - n, ways[way].ending, n) != 0) return 0;
    memcpy(to, p, len - n);
    memcpy(to + len - n, ways[way].instead, m);
    return len - n + m;
}
unsigned guard_facts_match(const struct guard_text *t, unsigned i, struct guard_entry *e) {
    const struct token *k = &t->tokens[i];
    e->count = 0;
    if (k->kind != TOKEN_WORD && k->kind != TOKEN_HAN) return 0;
    unsigned best = match_from(t, i, k->hash, e);
    if (best > 0 || k->kind != TOKEN_WORD || k->len < 4 || k->len > 24) return best;
    char to[32];
    for (unsigned way = 0; way < GUARD_ENDINGS && best == 0; way++) {
        size_t len = guard_without_ending(t->text + k->at, k->len, way, to);
        if (len == 0) continue;
        best = match_from(t, i, guard_hash(to, len), e);
        bool doubled = best == 0 && len > 3 && (to[len - 1] | 0x20) == (to[len - 2] | 0x20) && way >= 3;
        if (doubled) best = match_from(t, i, guard_hash(to, len - 1), e); /* stopped, running */
    }
    return best;
}

bool guard_facts_is_listed(const struct token *k) {
    uint32_t row = word_row(WORD_SEED, k->hash);
    return guard_word_id(row, WORD_NEGATION) >= 0 || guard_word_id(row, WORD_OPPOSITE) >= 0;
}

/* Words of t that mean something and are not, in some form, in the other text; *all of them. */
unsigned guard_facts_own(const struct guard_text *t, const struct guard_text *other, unsigned *all) {
    unsigned own = 0;
    *all = 0;
    for (unsigned i = 0; i < t->token_count; i++) {
        const struct token *k = &t->tokens[i];
        if (k->kind != TOKEN_WORD || k->len < 3) continue;
        uint32_t row = word_row(WORD_SEED, k->hash);
        if (guard_word_id(row, WORD_STOP) >= 0 || guard_word_id(row, WORD_ROLE) >= 0) continue;
        ++*all;
        bool stem = k->len >= GUARD_STEM && guard_words_has(other, ~guard_hash(t->text + k->at, GUARD_STEM));
        own += !stem && !guard_words_has(other, k->hash);
    }
    return own;
}

/* Of one token. */
static int id_of(const struct guard_text *t, unsigned i, unsigned class) {
    return guard_word_id(word_row(WORD_SEED, t->tokens[i].hash), class);
}
static int stop_of(const struct guard_text *t, unsigned i) { return id_of(t, i, WORD_STOP); }

/* -- What words are ------------------------------------------------------------------------------- */

/* 是不是, 去不去: the same on both sides of it; or at the end, 好找不？ 有网站没有？ */
static bool is_choice(const struct guard_text *t, unsigned i, unsigned many) {
    const struct token *k = &t->tokens[i], *last = k + many - 1;
    if (i == 0 || k->kind != TOKEN_HAN || k[-1].kind != TOKEN_HAN) return false;
    bool ends = i + many == t->token_count || last[1].kind != TOKEN_HAN || last[1].at != last->at + last->len;
    if (many > 1 ? k[-1].hash == last->hash : !ends && k[-1].hash == last[1].hash) return true;
    if (!ends) return false;
    static const char *const firm[] = { "都", "也", "就", "还", "全", "并", "什" };
    for (unsigned n = 0; n < sizeof(firm) / sizeof(*firm); n++)
        if (memcmp(t->text + k[-1].at, firm[n], 3) == 0) return false;
    return k->hash == guard_hash("不", 3) ? many == 1 : k->hash == guard_hash("没", 3);
}

/* Is the English "when", "where", "who" at token i a question's, and not one of "people who", "when I come"? */
static bool asks(const struct guard_text *t, unsigned i, unsigned many, unsigned id) {
    const struct token *k = &t->tokens[i];
    if (k->kind != TOKEN_WORD || id == ASKED_WHY || (id > ASKED_WHERE && id != ASKED_HOW) || many > 1) return true;
    int after = i + 1 < t->token_count ? stop_of(t, i + 1) : STOP_AUXILIARY;
    if (id == ASKED_HOW) return after == STOP_AUXILIARY || after == STOP_INTO;
    if (i > 0 && stop_of(t, i - 1) == STOP_EMBEDS) return true;
    bool begins = (k->flags & TOKEN_BEGINS) != 0;
    if (id == ASKED_WHO) return begins || (i > 0 && stop_of(t, i - 1) >= 0 && t->tokens[i - 1].flags & TOKEN_BEGINS);
    return after == STOP_AUXILIARY || after == STOP_INTO;
}

static void add_language(struct guard_text *t, unsigned i, const struct guard_word *w) {
    bool answer = (w->flags & WORD_SOFT) == 0 || (i > 0 && stop_of(t, i - 1) == STOP_INTO);
    unsigned country = 0x10000 | (COUNTRIES + w->id);
    guard_facts_add(t, answer ? GUARD_LANGUAGE : GUARD_NAME, answer ? w->id : country, &t->tokens[i], FACT_LISTED);
}

/* Words that are something else without a capital: May, Turkey. */
static bool has_its_capital(const struct guard_text *t, unsigned i, const struct guard_word *w) {
    if ((w->flags & WORD_CAPITAL) == 0 || t->tokens[i].kind != TOKEN_WORD) return true;
    return (t->tokens[i].flags & (TOKEN_CAPITAL | TOKEN_BEGINS)) == TOKEN_CAPITAL;
}

/* Stop taking it, keep taking it; but whoever keeps it from barking stops it. */
static bool is_going(const struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    return i < t->token_count && k->kind == TOKEN_WORD && k->len > 4 &&
           strncasecmp(t->text + k->at + k->len - 3, "ing", 3) == 0;
}

/* What `many` tokens from i on are. */
static void add_word(struct guard_text *t, unsigned i, unsigned many, const struct guard_word *w) {
    const struct token *k = &t->tokens[i];
    unsigned soft = (w->flags & WORD_SOFT) != 0 ? FACT_SOFT : 0;
    if (!has_its_capital(t, i, w)) return;
    switch (w->class) {
    case WORD_NEGATION: t->negations += !is_choice(t, i, many); break;
    case WORD_OPPOSITE:
        if ((w->flags & WORD_GOING) == 0 || is_going(t, i + many)) t->sides[w->id] |= w->flags & (WORD_GOING - 1u);
        break;
    case WORD_UNIT:
        if (w->flags & WORD_LOOSE) guard_facts_add(t, GUARD_UNIT, w->id, k, FACT_SOFT);
        break;
    case WORD_DATE: guard_facts_add(t, GUARD_DATE, w->id, k, soft); break;
    case WORD_NAME: guard_facts_add(t, GUARD_NAME, 0x10000 | w->id, k, soft | FACT_LISTED); break;
    case WORD_LANGUAGE: add_language(t, i, w); break;
    case WORD_FORMAT: guard_facts_add(t, GUARD_FORMAT, w->id, k, soft); break;
    case WORD_QUESTION:
        if (asks(t, i, many, w->id)) t->asked |= 1u << w->id;
        break;
    default: break;
    }
}

/* -- Names ------------------------------------------------------------------------------------------- */

static bool is_name(const struct guard_text *t, const struct token *k) {
    if (k->flags & TOKEN_QUOTED) return true;
    if (t->han > 0 && k->flags != 0 && t->han * 2 > t->latin / 3) return true;
    if (t->titled) return false;
    if (k->flags & (TOKEN_UPPER | TOKEN_INNER)) return true;
    bool inside = (k->flags & (TOKEN_CAPITAL | TOKEN_BEGINS)) == TOKEN_CAPITAL;
    return inside && !(k->len == 1 && (t->text[k->at] == 'I' || t->text[k->at] == 'A'));
}

/* A picture, but for the color of its skin. */
static bool is_emoji(const char *p, size_t len) {
    uint32_t c;
    if (unicode_decode((const unsigned char *)p, (const unsigned char *)p + len, &c) == 0) return false;
    return (c >= 0x1F000 && c <= 0x1FAFF && !(c >= 0x1F3FB && c <= 0x1F3FF)) || (c >= 0x2600 && c <= 0x27BF) ||
           (c >= 0x2B00 && c <= 0x2BFF);
}

static void add_plain(struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    const char *p = t->text + k->at;
    switch (k->kind) {
    case TOKEN_WORD:
        if (!is_name(t, k)) break;
        guard_facts_add(t, GUARD_NAME, k->hash, k, k->flags & TOKEN_UPPER ? FACT_WORD | FACT_UPPER : FACT_WORD);
        break;
    case TOKEN_CODE: guard_facts_add(t, GUARD_CODE, k->hash, k, FACT_WORD); break;
    case TOKEN_SIGN:
        if (((unsigned char)*p & 0x80) == 0 && *p != '$' && !(k->len == 2 && p[0] == '-' && p[1] == '>'))
            guard_facts_add(t, GUARD_CODE, k->hash, k, 0);
        else if (is_emoji(p, k->len))
            guard_facts_add(t, GUARD_CODE, k->hash, k, FACT_SOFT);
        break;
    default: break;
    }
}

/* Chinese characters between quotation marks are a name as a whole; returns the token behind them. */
static void add_quote(struct guard_text *t, unsigned i) {
    unsigned j = i;
    while (j + 1 < t->token_count && t->tokens[j + 1].kind == TOKEN_HAN && (t->tokens[j + 1].flags & TOKEN_QUOTED) &&
           t->tokens[j + 1].at == t->tokens[j].at + t->tokens[j].len)
        j++;
    struct token whole = t->tokens[i];
    whole.len = (uint16_t)(t->tokens[j].at + t->tokens[j].len - whole.at);
    guard_facts_add(t, GUARD_NAME, guard_hash(t->text + whole.at, whole.len), &whole, FACT_INSIDE | FACT_SOFT);
}

static bool begins_quote(const struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    if (k->kind != TOKEN_HAN || (k->flags & TOKEN_QUOTED) == 0) return false;
    const struct token *before = i > 0 ? k - 1 : NULL;
    return before == NULL || before->kind != TOKEN_HAN || (before->flags & TOKEN_QUOTED) == 0 ||
           before->at + before->len != k->at;
}

/* -- Reading ----------------------------------------------------------------------------------------- */

static bool is_numeric(const struct guard_entry *e) {
    for (unsigned i = 0; i < e->count; i++) {
        unsigned class = e->list[i].class;
        if (class == WORD_NUMBER || class == WORD_NUMERAL || class == WORD_TIMES) return true;
    }
    return false;
}

static void read_token_words(struct guard_text *t) {
    for (unsigned i = 0; i < t->token_count; i++) {
        const struct token *k = &t->tokens[i];
        if (k->kind != TOKEN_WORD && k->kind != TOKEN_CODE) continue;
        guard_words_add(t, k->hash);
        const char *p = t->text + k->at;
        if (k->kind != TOKEN_WORD) continue;
        if (k->len > 3 && (p[k->len - 1] | 0x20) == 's') guard_words_add(t, guard_hash(p, k->len - 1u));
        if (k->len >= GUARD_STEM) guard_words_add(t, ~guard_hash(p, GUARD_STEM));
    }
}

void guard_facts_read(struct guard_text *t) {
    read_token_words(t);
    for (unsigned i = 0; i < t->token_count;) {
        struct guard_entry e;
        unsigned many = guard_facts_match(t, i, &e), digits = 0;
        if (begins_quote(t, i)) add_quote(t, i);
        bool letter = many == 1 && t->tokens[i].len == 1; /* type I */
        if (many == 0 || letter || is_numeric(&e)) digits = guard_numbers_read(t, i);
        for (unsigned k = 0; k < e.count; k++) /* "first" is a number, and not "last" */
            if (digits == 0 || e.list[k].class == WORD_OPPOSITE) add_word(t, i, many, &e.list[k]);
        if (digits == 0 && many == 0) add_plain(t, i);
        i += digits > 0 ? digits : many > 0 ? many : 1;
    }
    guard_order_read(t);
}
