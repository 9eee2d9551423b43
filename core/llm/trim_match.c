/* trim_match.c -- phrases of politeness and filler, found at the edges of sentences.
 *
 * The automata that trim_rules.c made are walked from a given place, forwards from where a
 * sentence begins or backwards from where it ends, as long as there is a way; the last
 * place where a phrase ended and fitted is the answer.  That takes as many steps as the
 * phrase is long, however many phrases there are.  Nothing is searched: a phrase counts
 * only where a clause begins or ends, and only there it is looked up.
 *
 * A phrase ends where a word ends: "pleased" has no "please" in it.  A character of a
 * script without spaces is a word.
 *
 * Thread: any; rules are read only. */
#include <string.h>

#include "llm/trim_int.h"

/* -- Characters ------------------------------------------------------------------------- */

static bool is_white(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Is there a letter or digit at p, so that a word would go on?  Of the bytes of UTF-8
 * the leads up to E1 are letters of alphabets; punctuation and scripts without spaces
 * come behind. */
static bool goes_on(const char *p, const char *end) {
    if (p >= end) return false;
    unsigned char c = (unsigned char)*p;
    if (c >= 0x80) return c >= 0xC3 && c <= 0xE1;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '\'';
}

/* The same for the character that ends in front of p. */
static bool came_from(const char *begin, const char *p) {
    const char *q = p;
    while (q > begin && ((unsigned char)*--q & 0xC0) == 0x80) continue;
    return q < p && goes_on(q, p);
}

/* Are the bytes at p one of a list of characters, each with its length in front? */
static size_t one_of(const char *p, const char *end, const char *const *list) {
    for (; *list != NULL; list++) {
        size_t n = strlen(*list);
        if ((size_t)(end - p) >= n && memcmp(p, *list, n) == 0) return n;
    }
    return 0;
}

size_t trim_separator(const char *p, const char *end) {
    static const char *const wide[] = { "，", "；", "、", NULL };
    if (p >= end) return 0;
    if (*p == ',' || *p == ';') return 1;
    return (unsigned char)*p < 0x80 ? 0 : one_of(p, end, wide);
}

size_t trim_terminator(const char *p, const char *end) {
    static const char *const wide[] = { "。", "！", "？", "…", "～", NULL };
    if (p >= end) return 0;
    if (*p == '.' || *p == '!' || *p == '?' || *p == '~') return 1;
    return (unsigned char)*p < 0x80 ? 0 : one_of(p, end, wide);
}

/* -- Finding ---------------------------------------------------------------------------- */

/* The byte of a phrase that the text has at p, and how many bytes it takes there. */
static uint8_t read_forward(const char *p, const char *end, size_t *len) {
    unsigned char c = (unsigned char)*p;
    *len = 1;
    if (is_white((char)c)) {
        while (p + *len < end && is_white(p[*len])) (*len)++;
        return ' ';
    }
    if (c == 0xE2 && end - p >= 3 && memcmp(p, "\xE2\x80\x99", 3) == 0) {
        *len = 3;
        return '\'';
    }
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static uint8_t read_backward(const char *begin, const char *p, size_t *len) {
    unsigned char c = (unsigned char)p[-1];
    *len = 1;
    if (is_white((char)c)) {
        while (p - *len > begin && is_white(p[-(ptrdiff_t)*len - 1])) (*len)++;
        return ' ';
    }
    if (c == 0x99 && p - begin >= 3 && memcmp(p - 3, "\xE2\x80\x99", 3) == 0) {
        *len = 3;
        return '\'';
    }
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static const struct trim_term *term_at(const struct trim_rules *r, const struct trim_automaton *a,
                                       const struct trim_state *st, unsigned i) {
    const uint32_t *ends = (const uint32_t *)(const void *)a->ends.data;
    return (const struct trim_term *)(const void *)r->terms.data + ends[st->first_term + i];
}

static uint32_t step(const struct trim_automaton *a, uint32_t at, uint8_t byte) {
    if (at == 0) return a->root[byte];
    const struct trim_state *st = trim_state_at(a, at);
    const struct trim_edge *e = (const struct trim_edge *)(const void *)a->edges.data + st->first_edge;
    for (unsigned i = 0; i < st->edges; i++)
        if (e[i].byte == byte) return e[i].target;
    return TRIM_NONE;
}

/* Does one of the strings that must not follow follow?  Behind a space, too. */
static bool is_stopped(const struct trim_rules *r, const struct trim_term *t, const char *p, const char *end) {
    if (t->not_behind == TRIM_NONE) return false;
    while (p < end && is_white(*p)) p++;
    for (const char *s = r->stops.data + t->not_behind; *s != '\0'; s += 1 + (uint8_t)*s) {
        const char *q = p, *want = s + 1, *stop = want + (uint8_t)*s;
        size_t n = 0;
        while (want < stop && q < end && read_forward(q, end, &n) == (uint8_t)*want) q += n, want++;
        if (want == stop) return true;
    }
    return false;
}

static bool clause_ends(const char *p, const char *end) {
    while (p < end && is_white(*p)) p++;
    return p >= end || trim_separator(p, end) > 0 || trim_terminator(p, end) > 0;
}

/* The places of the phrases that end in front of p and fit there, of those that are asked for. */
static unsigned fits_front(const struct trim_rules *r, const struct trim_state *st, unsigned places, const char *p,
                           const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_FRONT];
    unsigned found = 0;
    if (st->terms == 0 || (goes_on(p, end) && ((unsigned char)p[-1] & 0x80) == 0)) return 0;
    for (unsigned i = 0; i < st->terms; i++) {
        const struct trim_term *t = term_at(r, a, st, i);
        unsigned place = 1u << t->place;
        if ((places & place) == 0 || (found & place) != 0 || is_stopped(r, t, p, end)) continue;
        if (t->place != TRIM_WHOLE || clause_ends(p, end)) found |= place;
    }
    return found;
}

size_t trim_rules_begin(const struct trim_rules *r, unsigned places, const char *p, const char *end, size_t *lead) {
    const struct trim_automaton *a = &r->automata[TRIM_FRONT];
    const char *from = p;
    size_t best = 0, n = 0;
    uint32_t at = 0;
    *lead = 0;
    while (p < end && (at = step(a, at, read_forward(p, end, &n))) != TRIM_NONE) {
        p += n;
        unsigned found = fits_front(r, trim_state_at(a, at), places, p, end);
        if (found != 0) best = (size_t)(p - from);
        if ((found & 1u << TRIM_LEAD) != 0) *lead = best;
    }
    return best;
}

/* Does one of the words that must not stand in front of a tail stand there, where q ends? */
static bool is_stopped_back(const struct trim_rules *r, const struct trim_term *t, const char *begin, const char *q) {
    if (t->not_behind == TRIM_NONE) return false;
    for (const char *s = r->stops.data + t->not_behind; *s != '\0'; s += 1 + (uint8_t)*s) {
        const char *p = q, *stop = s + 1, *want = stop + (uint8_t)*s;
        size_t n = 0;
        while (want > stop && p > begin && read_backward(begin, p, &n) == (uint8_t)want[-1]) p -= n, want--;
        if (want == stop && (((unsigned char)*stop & 0x80) != 0 || !came_from(begin, p))) return true;
    }
    return false;
}

/* Behind a space a tail is part of the sentence, and may be a name or what a verb is about:
 * "a button Thanks", "define please". */
static bool is_mentioned(const char *begin, const char *p, const char *q, const char *end) {
    if (end - p > 1 && p[0] >= 'A' && p[0] <= 'Z' && p[1] >= 'a' && p[1] <= 'z') return true;
    for (const char *c = begin; c < q; c++)
        if (is_white(*c) || ((unsigned char)*c & 0x80) != 0) return false;
    return true; /* a single word */
}

/* Does a phrase that begins at p fit there? */
static bool fits_back(const struct trim_rules *r, const struct trim_state *st, const char *begin, const char *p,
                      const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_BACK];
    if (st->terms == 0 || p == begin || (came_from(begin, p) && ((unsigned char)*p & 0x80) == 0)) return false;
    const char *q = p;
    while (q > begin && is_white(q[-1])) q--;
    bool comma = q > begin && (trim_separator(q - 1, q) == 1 || (q - begin >= 3 && trim_separator(q - 3, q) == 3));
    bool apart = comma || (q < p && !is_mentioned(begin, p, q, end));
    for (unsigned i = 0; i < st->terms; i++) {
        const struct trim_term *t = term_at(r, a, st, i);
        if ((t->comma ? comma : apart || t->attached) && (comma || !is_stopped_back(r, t, begin, q))) return true;
    }
    return false;
}

size_t trim_rules_end(const struct trim_rules *r, const char *begin, const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_BACK];
    const char *p = end;
    size_t best = 0, n = 0;
    uint32_t at = 0;
    while (p > begin && (at = step(a, at, read_backward(begin, p, &n))) != TRIM_NONE) {
        p -= n;
        if (fits_back(r, trim_state_at(a, at), begin, p, end)) best = (size_t)(end - p);
    }
    return best;
}

static bool ends_one(const struct trim_rules *r, const struct trim_automaton *a, const struct trim_state *st,
                     enum trim_place place) {
    for (unsigned i = 0; i < st->terms; i++)
        if (term_at(r, a, st, i)->place == place) return true;
    return false;
}

bool trim_rules_has(const struct trim_rules *r, enum trim_place place, const char *p, const char *end) {
    const struct trim_automaton *a = &r->automata[trim_automaton_of(place)];
    for (const char *begin = p; p < end; p++) {
        unsigned char c = (unsigned char)p[0], d = p + 1 < end ? (unsigned char)p[1] : 0;
        if (p + 1 < end && (a->pairs[c][d / 8] >> d % 8 & 1) == 0) continue; /* almost all places begin nothing */
        size_t n = 0;
        uint32_t at = step(a, 0, read_forward(p, end, &n));
        if (at == TRIM_NONE || (goes_on(p, end) && came_from(begin, p))) continue;
        for (const char *q = p + n; at != TRIM_NONE; q += n) {
            bool inside = goes_on(q, end) && ((unsigned char)q[-1] & 0x80) == 0;
            if (!inside && ends_one(r, a, trim_state_at(a, at), place)) return true;
            if (q >= end) break;
            at = step(a, at, read_forward(q, end, &n));
        }
    }
    return false;
}
