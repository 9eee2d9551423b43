/* import_cut.c -- words into the pieces of somebody's vocabulary.
 *
 *     WordPiece   the longest piece that the word begins with, then the longest "##..." that the rest begins
 *                 with, and so on; when there is none, the whole word is unknown
 *     BPE         characters, of which the pair that merges first in the list is merged, until none does
 *     Unigram     of all ways to cut the word the one whose pieces' scores have the largest sum
 *
 * A character that has no piece is cut into its bytes where the vocabulary has pieces for these, else it is
 * unknown and nothing is said for it, not even the piece that a vocabulary has for the unknown.
 *
 * Words are short (a token of ours has at most 128 bytes): BPE looks at all pairs for each merge.
 *
 * Thread: any. */
#include <float.h>

#include "include/perilune.h"
#include "semantic/import_pieces.h"

static size_t char_len(unsigned char first) { return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4; }

static size_t step(struct slice word, size_t at) {
    size_t n = char_len((unsigned char)word.ptr[at]);
    return n < word.len - at ? n : word.len - at;
}

static void put(const struct import_pieces *p, struct buf *out, uint32_t index, unsigned *unknown) {
    uint32_t id = p->items[index].id;
    if (id == p->unknown) ++*unknown; /* a text that is called as the piece for what is unknown */
    else buf_put(out, &id, sizeof(id));
}

/* -- WordPiece ------------------------------------------------------------------------------------ */

static size_t count_chars(struct slice word) {
    size_t n = 0;
    for (size_t i = 0; i < word.len; i += step(word, i)) n++;
    return n;
}

/* The longest piece at `at`, which ends at *end; scratch has the prefix in front. */
static uint32_t longest_at(const struct import_pieces *p, struct slice word, size_t at, bool inside,
                           struct buf *scratch, size_t *end) {
    struct slice prefix = inside ? p->prefix : slice_of(NULL, 0);
    buf_clear(scratch);
    buf_slice(scratch, prefix);
    buf_put(scratch, word.ptr + at, word.len - at);
    if (buf_failed(scratch)) return IMPORT_NONE;
    for (size_t n = word.len - at; n > 0; n--) {
        if (at + n < word.len && ((unsigned char)word.ptr[at + n] & 0xC0) == 0x80) continue;
        uint32_t found = import_pieces_find(p, slice_of(buf_get(scratch).ptr, prefix.len + n));
        *end = at + n;
        if (found != IMPORT_NONE) return found;
    }
    return IMPORT_NONE;
}

static int cut_wordpiece(const struct import_pieces *p, struct slice word, bool inside, struct buf *out,
                         unsigned *unknown) {
    struct buf scratch;
    size_t before = buf_len(out), at = 0;
    bool fits = count_chars(word) <= p->max_chars;
    buf_init(&scratch, 0);
    while (fits && at < word.len) {
        uint32_t found = longest_at(p, word, at, inside || at > 0, &scratch, &at);
        fits = found != IMPORT_NONE;
        if (fits) put(p, out, found, unknown);
    }
    int rc = buf_failed(&scratch) || buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
    buf_deinit(&scratch);
    if (!fits) {
        out->len = out->mark + before;
        ++*unknown;
    }
    return rc;
}

/* -- BPE ----------------------------------------------------------------------------------------------- */

/* Characters as indices; IMPORT_NONE between those that an unknown one keeps apart. */
static size_t spell(const struct import_pieces *p, struct slice word, uint32_t *to, unsigned *unknown) {
    size_t n = 0;
    for (size_t i = 0, len; i < word.len; i += len) {
        len = step(word, i);
        uint32_t found = import_pieces_find(p, slice_of(word.ptr + i, len));
        bool bytes = found == IMPORT_NONE && p->byte_fallback;
        for (size_t k = 0; k < len && bytes; k++) bytes = p->bytes[(unsigned char)word.ptr[i + k]] != IMPORT_NONE;
        if (!bytes) to[n++] = found;
        for (size_t k = 0; k < len && bytes; k++) to[n++] = p->bytes[(unsigned char)word.ptr[i + k]];
        *unknown += !bytes && found == IMPORT_NONE;
    }
    return n;
}

static size_t merge_all(const struct import_pieces *p, uint32_t *items, size_t n) {
    for (;;) {
        const struct import_merge *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            if (items[i] == IMPORT_NONE || items[i + 1] == IMPORT_NONE) continue;
            const struct import_merge *m = import_pieces_merge(p, items[i], items[i + 1]);
            if (m == NULL || (best != NULL && m->rank >= best->rank)) continue;
            best = m;
            at = i;
        }
        if (best == NULL) return n;
        items[at] = best->made;
        memmove(items + at + 1, items + at + 2, (n - at - 2) * sizeof(*items));
        n--;
    }
}

static int cut_bpe(const struct import_pieces *p, struct slice word, struct buf *out, unsigned *unknown) {
    uint32_t whole = p->whole ? import_pieces_find(p, word) : IMPORT_NONE;
    if (whole != IMPORT_NONE) {
        put(p, out, whole, unknown);
        return buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
    }
    uint32_t *items = mem_alloc((word.len + 1) * sizeof(*items));
    if (items == NULL) return PERILUNE_ERR_NOMEM;
    size_t n = merge_all(p, items, spell(p, word, items, unknown));
    for (size_t i = 0; i < n; i++)
        if (items[i] != IMPORT_NONE) put(p, out, items[i], unknown);
    mem_free(items);
    return buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
}

/* -- Unigram ------------------------------------------------------------------------------------------- */

struct best {
    float    score;
    uint32_t from, piece; /* where the piece that ends here begins */
};

static void offer(struct best *b, float score, size_t from, uint32_t piece) {
    if (score > b->score) *b = (struct best){ score, (uint32_t)from, piece };
}

static void find_best(const struct import_pieces *p, struct slice word, struct best *best) {
    best[0] = (struct best){ .piece = IMPORT_NONE };
    for (size_t i = 1; i <= word.len; i++) best[i] = (struct best){ -FLT_MAX, 0, IMPORT_NONE };
    for (size_t i = 0; i < word.len; i += step(word, i)) {
        size_t first = i + step(word, i);
        bool single = false;
        for (size_t end = first;; end += step(word, end)) {
            uint32_t found = import_pieces_find(p, slice_of(word.ptr + i, end - i));
            if (found != IMPORT_NONE) offer(&best[end], best[i].score + p->items[found].score, i, found);
            single = single || (found != IMPORT_NONE && end == first);
            if (end == word.len || end - i >= p->longest) break;
        }
        if (!single) offer(&best[first], best[i].score + p->unknown_score, i, IMPORT_NONE);
    }
}

static void put_unknown(const struct import_pieces *p, struct slice c, struct buf *out, unsigned *unknown) {
    bool bytes = p->byte_fallback;
    for (size_t k = 0; k < c.len && bytes; k++) bytes = p->bytes[(unsigned char)c.ptr[k]] != IMPORT_NONE;
    for (size_t k = 0; k < c.len && bytes; k++) put(p, out, p->bytes[(unsigned char)c.ptr[k]], unknown);
    *unknown += !bytes;
}

static int cut_unigram(const struct import_pieces *p, struct slice word, struct buf *out, unsigned *unknown) {
    struct best *best = mem_alloc((word.len + 1) * sizeof(*best));
    if (best == NULL) return PERILUNE_ERR_NOMEM;
    find_best(p, word, best);
    /* Back to front: which order they stand in does not matter to a sum. */
    for (size_t end = word.len; end > 0; end = best[end].from) {
        if (best[end].piece != IMPORT_NONE) put(p, out, best[end].piece, unknown);
        else put_unknown(p, slice_of(word.ptr + best[end].from, end - best[end].from), out, unknown);
    }
    mem_free(best);
    return buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
}

/* -- All of them ------------------------------------------------------------------------------------------ */

int import_pieces_cut(const struct import_pieces *p, struct slice word, bool inside, struct buf *out,
                      unsigned *unknown) {
    if (word.len == 0) return 0;
    switch (p->kind) {
    case IMPORT_WORDPIECE: return cut_wordpiece(p, word, inside, out, unknown);
    case IMPORT_BPE: return cut_bpe(p, word, out, unknown);
    case IMPORT_UNIGRAM: return cut_unigram(p, word, out, unknown);
    }
    return 0;
}
