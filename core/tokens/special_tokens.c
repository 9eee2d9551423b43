/* special_tokens.c -- finds added tokens in a text.
 *
 * Added tokens are cut out before the text is split and merged.  A vocabulary has from
 * five to a thousand; nearly all begin with "<", which is rare in text, so:
 *
 *     first byte --> which second bytes, which lengths (longest first)
 *     bytes      --> token, in a hash table
 *
 * The search goes from left to right and takes the longest token at a place, also
 * among tokens that the filter then drops: a dropped one is passed over whole, as the
 * tokenizers of the models do it.
 *
 * Thread: any; never changes after special_tokens_new(). */
#include "tokens/special_tokens.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/unicode.h"
#include "tokens/vocab_int.h"

struct first {
    uint64_t second[4];       /* bits: the second bytes of tokens that have one */
    uint32_t lens, n_lens;    /* in added.lens */
    bool     single;          /* a token is this byte alone */
};

struct special_tokens {
    const struct vocab *v;
    uint32_t  kinds;          /* bits: 1 << (flags & (SPECIAL | NORMALIZED)) */
    uint32_t  slots;
    uint32_t *slot;           /* index in special_tokens_list + 1; 0: free */
    uint32_t *lens;
    bool      strips;         /* a token takes white space along */
    bool      looks;          /* a token asks what stands beside it */
    int       only;           /* the one first byte that tokens have, or -1 */
    struct first first[256];
};

static const unsigned char *text_of(const struct vocab *v, const struct vocab_added *t) {
    return (const unsigned char *)v->texts + t->offset;
}

static const struct vocab_added *find_text(const struct special_tokens *a, const unsigned char *p, size_t n) {
    uint32_t i = (uint32_t)(((vocab_hash(p, n) >> 32) * a->slots) >> 32);
    for (; a->slot[i] != 0; i = i + 1 == a->slots ? 0 : i + 1) {
        const struct vocab_added *t = &a->v->special_tokens_list[a->slot[i] - 1];
        if (t->size == n && memcmp(text_of(a->v, t), p, n) == 0) return t;
    }
    return NULL;
}

/* -- Building ------------------------------------------------------------------------- */

static void insert(struct special_tokens *a, uint32_t k) {
    const struct vocab_added *t = &a->v->special_tokens_list[k];
    const unsigned char *p = text_of(a->v, t);
    struct first *f = &a->first[p[0]];
    if (find_text(a, p, t->size) != NULL) return; /* the lower id keeps the text */
    uint32_t i = (uint32_t)(((vocab_hash(p, t->size) >> 32) * a->slots) >> 32);
    while (a->slot[i] != 0) i = i + 1 == a->slots ? 0 : i + 1;
    a->slot[i] = k + 1;
    if (t->size == 1) f->single = true;
    else f->second[p[1] >> 6] |= 1ull << (p[1] & 63);
    if (t->flags & (TOKEN_LSTRIP | TOKEN_RSTRIP)) a->strips = true;
    if (t->flags & (TOKEN_LSTRIP | TOKEN_RSTRIP | TOKEN_WORD)) a->looks = true;
    a->kinds |= 1u << (t->flags & (TOKEN_SPECIAL | TOKEN_NORMALIZED));
}

/* A token's length into its first byte's list, longest first, each once. */
static void insert_len(struct special_tokens *a, const struct vocab_added *t) {
    struct first *f = &a->first[text_of(a->v, t)[0]];
    uint32_t *lens = a->lens + f->lens, i = 0;
    while (i < f->n_lens && lens[i] > t->size) i++;
    if (i < f->n_lens && lens[i] == t->size) return;
    memmove(lens + i + 1, lens + i, (f->n_lens - i) * sizeof(*lens));
    lens[i] = t->size;
    f->n_lens++;
}

int special_tokens_new(const struct vocab *v, struct special_tokens **out) {
    *out = NULL;
    uint32_t n = v->n_added;
    if (n == 0) return 0;
    struct special_tokens *a = mem_zalloc(sizeof(*a));
    if (a == NULL) return PERILUNE_ERR_NOMEM;
    a->v = v;
    a->slots = 2 * n + 1;
    a->slot = mem_zalloc((size_t)a->slots * sizeof(*a->slot));
    a->lens = mem_zalloc((size_t)n * sizeof(*a->lens));
    if (a->slot == NULL || a->lens == NULL) {
        special_tokens_free(a);
        return PERILUNE_ERR_NOMEM;
    }
    uint32_t per_byte[256] = { 0 }, at = 0, bytes = 0;
    for (uint32_t k = 0; k < n; k++) per_byte[text_of(v, &v->special_tokens_list[k])[0]]++;
    a->only = -1;
    for (unsigned c = 0; c < 256; c++) {
        a->first[c].lens = at;
        at += per_byte[c];
        if (per_byte[c] == 0) continue;
        a->only = bytes++ == 0 ? (int)c : -1;
    }
    for (uint32_t k = 0; k < n; k++) {
        insert(a, k);
        insert_len(a, &v->special_tokens_list[k]);
    }
    *out = a;
    return 0;
}

void special_tokens_free(struct special_tokens *a) {
    if (a == NULL) return;
    mem_free(a->slot);
    mem_free(a->lens);
    mem_free(a);
}

/* -- Searching ------------------------------------------------------------------------- */

/* The longest token at p, whatever its kind, among those of the right side of
 * normalization. */
static const struct vocab_added *longest_at(const struct special_tokens *a, bool normalized, const unsigned char *p,
                                            const unsigned char *end) {
    const struct first *f = &a->first[*p];
    if (f->n_lens == 0) return NULL;
    bool second = end - p > 1 && (f->second[p[1] >> 6] >> (p[1] & 63) & 1);
    if (!second && !f->single) return NULL;
    for (uint32_t i = 0; i < f->n_lens; i++) {
        uint32_t len = a->lens[f->lens + i];
        if (len > (size_t)(end - p)) continue;
        const struct vocab_added *t = find_text(a, p, len);
        if (t != NULL && ((t->flags & TOKEN_NORMALIZED) != 0) == normalized) return t;
    }
    return NULL;
}

static const unsigned char *char_before(const unsigned char *from, const unsigned char *p) {
    do p--;
    while (p > from && (*p & 0xC0) == 0x80);
    return p;
}

static bool is_space_at(const unsigned char *p, const unsigned char *end, unsigned *len) {
    uint32_t c;
    *len = unicode_decode(p, end, &c);
    if (*len == 0) return false;
    unsigned class = unicode_class(c);
    return class == UC_SPACE || class == UC_NEWLINE;
}

static bool is_word_at(const unsigned char *p, const unsigned char *end) {
    uint32_t c;
    return unicode_decode(p, end, &c) != 0 && unicode_is_word(c);
}

/* Stands the match alone, where that is asked for? */
static bool stands_alone(const unsigned char *text, const unsigned char *end, const struct special_tokens_match *m) {
    if (m->start > text && is_word_at(char_before(text, m->start), end)) return false;
    return m->end == end || !is_word_at(m->end, end);
}

static void take_spaces(unsigned flags, const unsigned char *floor, const unsigned char *end,
                        struct special_tokens_match *m) {
    unsigned len;
    while ((flags & TOKEN_LSTRIP) && m->start > floor) {
        const unsigned char *q = char_before(floor, m->start);
        if (!is_space_at(q, end, &len)) break;
        m->start = q;
    }
    while ((flags & TOKEN_RSTRIP) && m->end < end && is_space_at(m->end, end, &len)) m->end += len;
}

bool special_tokens_find(const struct special_tokens *a, struct special_tokens_filter f, const unsigned char *text,
                         const unsigned char *p, const unsigned char *end, struct special_tokens_match *m) {
    const unsigned char *floor = p;
    while (p < end) {
        if (a->only >= 0) {
            p = memchr(p, a->only, (size_t)(end - p));
            if (p == NULL) return false;
        }
        const struct vocab_added *t = longest_at(a, f.normalized, p, end);
        if (t == NULL) {
            p++;
            continue;
        }
        *m = (struct special_tokens_match){ .id = t->id, .start = p, .end = p + t->size };
        p = m->end;
        if ((t->flags & TOKEN_SPECIAL) && !f.special) continue;
        if ((t->flags & TOKEN_WORD) && !stands_alone(text, end, m)) continue;
        take_spaces(t->flags, floor, end, m);
        return true;
    }
    return false;
}

bool special_tokens_strips(const struct special_tokens *a) { return a != NULL && a->strips; }

bool special_tokens_holds(const struct special_tokens *a, struct slice both) {
    if (a == NULL) return false;
    if (a->looks) return true;
    for (uint32_t i = 0; i < a->v->n_added; i++) {
        const struct vocab_added *t = &a->v->special_tokens_list[i];
        if (memmem(text_of(a->v, t), t->size, both.ptr, both.len) != NULL) return true;
    }
    return false;
}

bool special_tokens_any(const struct special_tokens *a, struct special_tokens_filter f) {
    if (a == NULL) return false;
    unsigned side = f.normalized ? TOKEN_NORMALIZED : 0;
    return (a->kinds >> side & 1) || (f.special && (a->kinds >> (side | TOKEN_SPECIAL) & 1));
}
