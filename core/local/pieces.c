/* pieces.c -- the texts of a vocabulary, in order.
 *
 *     common  0  1  2  2  0
 *             a  ab abc abd b        "abd" is looked at from its third byte on: what "ab" leads to is known
 *
 * Which tokens of 50,000 to 250,000 a grammar allows is found by one walk: each is looked at from where it differs from
 * the one in front of it, and none whose beginning is not allowed.
 *
 * Thread: the model's. */
#include "local/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

struct entry {
    const char  *text;
    struct piece piece;
};

static int by_bytes(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    uint32_t n = x->piece.len < y->piece.len ? x->piece.len : y->piece.len;
    int c = memcmp(x->text, y->text, n);
    if (c != 0) return c;
    if (x->piece.len != y->piece.len) return x->piece.len < y->piece.len ? -1 : 1;
    return (x->piece.token > y->piece.token) - (x->piece.token < y->piece.token);
}

static uint32_t common(struct slice a, struct slice b) {
    uint32_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n]) n++;
    return n;
}

static void sort(struct pieces *p, struct entry *entries) {
    for (uint32_t i = 0; i < p->count; i++) {
        entries[i].piece = p->at[i];
        entries[i].text = p->text + p->at[i].from;
    }
    if (p->count > 1) qsort(entries, p->count, sizeof(*entries), by_bytes);
    for (uint32_t i = 0; i < p->count; i++) {
        p->at[i] = entries[i].piece;
        p->at[i].common = i ? common(piece_text(p, &p->at[i - 1]), piece_text(p, &p->at[i])) : 0;
    }
}

/* Appends a text to p->text, of which *len bytes of *cap are used. */
static bool keep(struct pieces *p, size_t *len, size_t *cap, const char *text, size_t n) {
    if (*len + n > *cap) {
        size_t more = (*len + n) * 2;
        char *larger = mem_realloc(p->text, more);
        if (larger == NULL) return false;
        p->text = larger;
        *cap = more;
    }
    memcpy(p->text + *len, text, n);
    *len += n;
    return true;
}

int pieces_init(struct pieces *p, uint32_t vocab, uint32_t longest, pieces_text *text, pieces_end *is_end, void *ud) {
    size_t len = 0, cap = (size_t)vocab * 8 + 64;
    *p = (struct pieces){ .longest = longest };
    char *one = mem_alloc((size_t)longest + 1);
    struct entry *entries = mem_alloc((vocab + 1) * sizeof(*entries));
    p->at = mem_alloc((vocab + 1) * sizeof(*p->at));
    p->ends = mem_alloc((vocab + 1) * sizeof(*p->ends));
    p->silent = mem_alloc((vocab + 1) * sizeof(*p->silent));
    p->text = mem_alloc(cap);
    bool ok = one && entries && p->at && p->ends && p->silent && p->text;
    for (uint32_t t = 0; t < vocab && ok; t++) {
        int32_t token = (int32_t)t;
        if (is_end(ud, token)) {
            p->ends[p->end_count++] = token;
            continue;
        }
        size_t n = text(ud, token, one, longest);
        if (n == 0) p->silent[p->silent_count++] = token;
        else p->at[p->count++] = (struct piece){ .token = token, .from = (uint32_t)len, .len = (uint32_t)n };
        ok = keep(p, &len, &cap, one, n);
    }
    if (ok) sort(p, entries);
    mem_free(one);
    mem_free(entries);
    if (ok) return 0;
    pieces_deinit(p);
    return PERILUNE_ERR_NOMEM;
}

void pieces_deinit(struct pieces *p) {
    mem_free(p->at);
    mem_free(p->ends);
    mem_free(p->silent);
    mem_free(p->text);
    *p = (struct pieces){ .at = NULL };
}
