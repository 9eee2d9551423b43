/* trim_match.c -- phrases of politeness and filler, found at the edges of sentences.
 *
 * The automata that trim_rules.c made are walked from a given place, forwards from where a
 * sentence begins or backwards from where it ends, as long as there is a way; the last
 * place where a phrase ended and fitted is the answer.  That takes as many steps as the
 * phrase is long, however many phrases there are.
 *
 *     Explain, in your words, what this email means.
 *     ^        ^  ^    ^      ^    ^    ^     ^       where a phrase may begin
 *     exp      in you  wor    wha  thi  ema   mea     what it would begin with
 *
 * What is taken away counts only where a clause begins or ends, and only there it is looked
 * up.  What a text says is looked for wherever a word begins, for several places at once
 * (trim_rules_has).  A table of the first three bytes of all phrases tells which places have
 * one that may begin here; seldom does one, and only then the automaton is walked.
 *
 * A phrase ends where a word ends: "pleased" has no "please" in it.  A character of a
 * script without spaces is a word.
 *
 * Thread: any; rules are read only. */
#include <string.h>

#include "text/scan.h"
#include "text/trim_edges.h"
#include "text/trim_int.h"

/* -- Characters ------------------------------------------------------------------------- */

/* Is there a letter or digit at p, so that a word would go on?  Of the bytes of UTF-8
 * the leads up to E1 are letters of alphabets; punctuation and scripts without spaces
 * come behind. */
static inline bool goes_on(const char *p, const char *end) {
    if (p >= end) return false;
    unsigned char c = (unsigned char)*p;
    if (c >= 0x80) return c >= 0xC3 && c <= 0xE1;
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '_' || c == '-' || c == '\'';
}

/* The same for the character that ends in front of p. */
static bool came_from(const char *begin, const char *p) {
    const char *q = p;
    while (q > begin && ((unsigned char)*--q & 0xC0) == 0x80) continue;
    return q < p && goes_on(q, p);
}

/* The three bytes at p as a number; 0: fewer are left. */
static uint32_t three(const char *p, const char *end) {
    const unsigned char *u = (const unsigned char *)p;
    return end - p < 3 ? 0 : (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2];
}

size_t trim_separator(const char *p, const char *end) {
    if (p >= end) return 0;
    if ((unsigned char)*p < 0x80) return *p == ',' || *p == ';';
    switch (three(p, end)) {
    case 0xEFBC8C: /* ， */
    case 0xEFBC9B: /* ； */
    case 0xE38081: return 3; /* 、 */
    default: return 0;
    }
}

size_t trim_terminator(const char *p, const char *end) {
    if (p >= end) return 0;
    if ((unsigned char)*p < 0x80) return *p == '.' || *p == '!' || *p == '?' || *p == '~';
    switch (three(p, end)) {
    case 0xE38082: /* 。 */
    case 0xEFBC81: /* ！ */
    case 0xEFBC9F: /* ？ */
    case 0xE280A6: /* … */
    case 0xEFBD9E: return 3; /* ～ */
    default: return 0;
    }
}

/* -- Finding ---------------------------------------------------------------------------- */

/* The byte of a phrase that the text has at p, and how many bytes it takes there. */
static uint8_t read_rare(const char *p, const char *end, size_t *len) {
    unsigned char c = (unsigned char)*p;
    *len = 1;
    if (trim_is_white((char)c)) {
        while (p + *len < end && trim_is_white(p[*len])) (*len)++;
        return ' ';
    }
    if (c == 0xE2 && end - p >= 3 && memcmp(p, "\xE2\x80\x99", 3) == 0) {
        *len = 3;
        return '\'';
    }
    return c;
}

static inline uint8_t read_forward(const char *p, const char *end, size_t *len) {
    unsigned char c = (unsigned char)*p;
    if (c <= ' ' || c == 0xE2) return read_rare(p, end, len);
    *len = 1;
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static uint8_t read_backward(const char *begin, const char *p, size_t *len) {
    unsigned char c = (unsigned char)p[-1];
    *len = 1;
    if (trim_is_white((char)c)) {
        while (p - *len > begin && trim_is_white(p[-(ptrdiff_t)*len - 1])) (*len)++;
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

/* The places whose phrases may begin at p, by its first bytes: at almost all places none. */
static inline unsigned may_begin(const struct trim_rules *r, const struct trim_automaton *a, const char *p,
                                 const char *end) {
    const unsigned char *u = (const unsigned char *)p;
    return end - p < 3 ? ~0u : a->begins[trim_begin(r->fold[u[0]], r->fold[u[1]], r->fold[u[2]])];
}

/* The state behind st, NULL for the root, by the byte of a phrase; NULL: there is none. */
static inline const struct trim_state *step(const struct trim_automaton *a, const struct trim_state *st, uint8_t byte) {
    uint32_t at = st == NULL ? a->root[byte] : trim_follow(a, st, byte);
    return at == TRIM_NONE ? NULL : trim_state_at(a, at);
}

/* Does one of the strings of a list stand at p? */
static bool one_follows(const char *list, const char *p, const char *end) {
    for (const char *s = list; *s != '\0'; s += 1 + (uint8_t)*s) {
        const char *q = p, *want = s + 1, *stop = want + (uint8_t)*s;
        size_t n = 0;
        while (want < stop && q < end && read_forward(q, end, &n) == (uint8_t)*want) q += n, want++;
        if (want == stop) return true;
    }
    return false;
}

static const char *list_end(const char *list) {
    while (*list != '\0') list += 1 + (uint8_t)*list;
    return list;
}

/* Does one of the strings that must not follow follow?  Behind a space, too. */
static bool is_stopped(const struct trim_rules *r, const struct trim_term *t, const char *p, const char *end) {
    if (t->not_behind == TRIM_NONE) return false;
    const uint8_t *bits = (const uint8_t *)r->stops.data + t->not_behind;
    const char *list = (const char *)bits + TRIM_STOP_BITS / 8;
    while (p < end && trim_is_white(*p)) p++;
    if (one_follows(list, p, end)) return true;
    uint8_t begin[3] = { 0 };
    size_t n = 0;
    const char *q = p;
    for (unsigned i = 0; i < 3 && q < end; i++, q += n) begin[i] = read_forward(q, end, &n);
    unsigned bit = trim_stop_bit(begin);
    return (bits[bit / 8] >> bit % 8 & 1) != 0 && one_follows(list_end(list) + 1, p, end);
}

static bool clause_ends(const char *p, const char *end) {
    while (p < end && trim_is_white(*p)) p++;
    return p >= end || trim_separator(p, end) > 0 || trim_terminator(p, end) > 0;
}

/* The places of the phrases that end in front of p and fit there, of those that are asked for. */
static unsigned fits_front(const struct trim_rules *r, const struct trim_state *st, unsigned places, const char *p,
                           const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_FRONT];
    unsigned found = 0;
    if (goes_on(p, end) && ((unsigned char)p[-1] & 0x80) == 0) return 0;
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
    const struct trim_state *st = NULL;
    *lead = 0;
    if ((may_begin(r, a, p, end) & places) == 0) return 0;
    while (p < end && (st = step(a, st, read_forward(p, end, &n))) != NULL) {
        p += n;
        if ((st->places & places) == 0) continue;
        unsigned found = fits_front(r, st, places, p, end);
        if (found != 0) best = (size_t)(p - from);
        if ((found & 1u << TRIM_LEAD) != 0) *lead = best;
    }
    return best;
}

/* Does one of the words that must not stand in front of a tail stand there, where q ends? */
static bool is_stopped_back(const struct trim_rules *r, const struct trim_term *t, const char *begin, const char *q) {
    if (t->not_behind == TRIM_NONE) return false;
    bool longs = false;
    for (const char *s = r->stops.data + t->not_behind + TRIM_STOP_BITS / 8; *s != '\0' || !longs;) {
        if (*s == '\0') { /* behind the short ones */
            longs = true;
            s++;
            continue;
        }
        const char *p = q, *stop = s + 1, *want = stop + (uint8_t)*s;
        size_t n = 0;
        while (want > stop && p > begin && read_backward(begin, p, &n) == (uint8_t)want[-1]) p -= n, want--;
        if (want == stop && (((unsigned char)*stop & 0x80) != 0 || !came_from(begin, p))) return true;
        s += 1 + (uint8_t)*s;
    }
    return false;
}

/* Behind a space a tail is part of the sentence, and may be a name or what a verb is about:
 * "a button Thanks", "define please". */
static bool is_mentioned(const char *begin, const char *p, const char *q, const char *end) {
    if (end - p > 1 && p[0] >= 'A' && p[0] <= 'Z' && p[1] >= 'a' && p[1] <= 'z') return true;
    for (const char *c = begin; c < q; c++)
        if (trim_is_white(*c) || ((unsigned char)*c & 0x80) != 0) return false;
    return true; /* a single word */
}

/* Does a phrase that begins at p fit there? */
static bool fits_back(const struct trim_rules *r, const struct trim_state *st, const char *begin, const char *p,
                      const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_BACK];
    if (p == begin || (came_from(begin, p) && ((unsigned char)*p & 0x80) == 0)) return false;
    const char *q = p;
    while (q > begin && trim_is_white(q[-1])) q--;
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
    const struct trim_state *st = NULL;
    while (p > begin && (st = step(a, st, read_backward(begin, p, &n))) != NULL) {
        p -= n;
        if (st->terms > 0 && fits_back(r, st, begin, p, end)) best = (size_t)(end - p);
    }
    return best;
}

/* Behind the word at p, or the character: where a phrase may begin next. */
static inline const char *next_begin(const char *p, const char *end) {
    unsigned char c = (unsigned char)*p;
    size_t n = c < 0xC0 ? 1u : c < 0xE0 ? 2u : c < 0xF0 ? 3u : 4u;
    if (text_is_letter(*p)) n = text_letters(p, end);
    if ((size_t)(end - p) <= n) return end;
    return p[n] == ' ' ? p + n + 1 : p + n; /* none begins with a space */
}

/* Of the places those that have a phrase that begins at p, and ends where a word does. */
static unsigned find_at(const struct trim_automaton *a, unsigned places, const char *p, const char *end) {
    unsigned found = 0;
    size_t n = 0;
    const struct trim_state *st = NULL;
    while (p < end && (st = step(a, st, read_forward(p, end, &n))) != NULL) {
        p += n;
        unsigned here = st->places & places;
        if (here != 0 && (((unsigned char)p[-1] & 0x80) != 0 || !goes_on(p, end))) found |= here;
    }
    return found;
}

unsigned trim_rules_has(const struct trim_rules *r, unsigned places, const char *begin, const char *end) {
    const struct trim_automaton *a = &r->automata[TRIM_ANYWHERE];
    unsigned found = 0;
    for (const char *p = begin; p < end; p = next_begin(p, end)) {
        if ((may_begin(r, a, p, end) & places & ~found) == 0 || (goes_on(p, end) && came_from(begin, p))) continue;
        found |= find_at(a, places, p, end);
        if (found == places) break;
    }
    return found;
}
