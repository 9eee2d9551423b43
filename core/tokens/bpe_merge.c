/* bpe_merge.c -- byte pair encoding of one piece, exactly and in linear time.
 *
 * The definition: begin with a token per byte; while some neighbours have a merge, do
 * the one of lowest rank, of equals the leftmost.  Done literally it is quadratic,
 * and a user could stop a gateway with a page of "aaaa".
 *
 * Short pieces, which are nearly all, are done literally, because nothing is faster.
 * A long piece grows to the right in windows:
 *
 *     ids   [t0][t1] ... [ti][tj][tk]            the tokens of the text so far
 *                        |-- again --|-- new --| one window, merged by itself
 *                        [ti'] ...               accepted when ti' is ti
 *
 * Why this is exact.  Call two tokens compatible when merging their bytes alone gives
 * the two.  A sequence whose neighbours are all compatible is what merging gives for
 * the whole: take the first merge that crosses a border; until then both sides went
 * as they would alone, where the same merge would have been the best one, too; but
 * alone it did not happen.  Merging results are compatible sequences, and the window
 * shares ti with what stands to its left; so all neighbours are.  When ti' differs, the
 * window takes in twice as many tokens to its left, at last all of them.
 *
 * A window that had to become large (only a vocabulary made for it does that) is
 * merged with a heap of candidates, n log n.
 *
 * Thread: any; the scratch memory is the caller's. */
#include "tokens/bpe_merge.h"

#include <string.h>

#include "base/mem.h"
#include "tokens/unicode.h"
#include "tokens/vocab_int.h"

#define SMALL  128  /* bytes that are merged literally: places have POS_BITS bits */
#define STEP   48   /* new bytes in a window, when nothing goes wrong */
#define AGAIN  6    /* bytes at least that a window takes in again, whole tokens */
#define KEEP   (256 * 1024) /* bytes of scratch memory that stay */

void merge_deinit(struct merge_scratch *s) {
    mem_free(s->data);
    *s = (struct merge_scratch){ 0 };
}

/* -- Short -------------------------------------------------------------------------

 * Tokens keep the place of their first byte.  key[i] is what joining the token at i with
 * the next one is worth: its rank, then i, so that the smallest key is the merge to do.
 * No key moves; finding the smallest is eight at a time.
 *
 * What a merge costs is waiting: the table of pairs is larger than the caches, and text
 * that has to be merged (names, keys, random letters) is text whose pairs are not in them.
 * So the pairs of a merge are asked for first, then the smallest of the other keys is
 * found, which is nearly always the next merge, and its pairs are asked for, too. */

#define POS_BITS 7
#define NO_KEY   INT32_MAX
#define FEW      24

typedef int32_t quad __attribute__((vector_size(16)));

static inline int32_t key_of(uint32_t rank, size_t at) {
    return rank == VOCAB_NONE ? NO_KEY : (int32_t)(rank << POS_BITS | (uint32_t)at);
}

static inline quad quad_min(quad a, quad b) {
    quad less = a < b;
    return (a & less) | (b & ~less);
}

/* Of the first n keys, n a multiple of 8.  A few are faster one by one: they were just
 * written one by one, and a wide load would have to wait for that to reach the cache. */
static inline int32_t smallest(const int32_t *key, size_t n) {
    if (n <= FEW) {
        int32_t least = key[0];
        for (size_t i = 1; i < n; i++) least = key[i] < least ? key[i] : least;
        return least;
    }
    quad best, other, x, y;
    memcpy(&best, key, sizeof(best));
    memcpy(&other, key + 4, sizeof(other));
    for (size_t i = 8; i < n; i += 8) {
        memcpy(&x, key + i, sizeof(x));
        memcpy(&y, key + i + 4, sizeof(y));
        best = quad_min(best, x);
        other = quad_min(other, y);
    }
    best = quad_min(best, other);
    int32_t a = best[0] < best[1] ? best[0] : best[1], b = best[2] < best[3] ? best[2] : best[3];
    return a < b ? a : b;
}

/* Tokens side by side. */
struct run {
    uint32_t id[SMALL];
    int32_t  key[SMALL] __attribute__((aligned(16)));
    unsigned char next[SMALL + 1], prev[SMALL + 1]; /* the places of the neighbours */
};

/* The token that a merge makes, and its place. */
static inline uint32_t made_by(const struct vocab *v, int32_t key, size_t *at) {
    *at = (size_t)key & ((1u << POS_BITS) - 1);
    return vocab_rank_id(v, (uint32_t)key >> POS_BITS);
}

static inline void prefetch_next(const struct vocab *v, const struct run *r, size_t n, int32_t key) {
    size_t at;
    uint32_t made = made_by(v, key, &at);
    size_t right = r->next[r->next[at]];
    if (right < n) __builtin_prefetch(vocab_place(v, made, r->id[right]).bucket);
    if (at > 0) __builtin_prefetch(vocab_place(v, r->id[r->prev[at]], made).bucket);
}

/* n tokens, already in r->id, and the keys between them in r->key. */
static size_t merge_run(const struct vocab *v, struct run *r, size_t n, uint32_t *ids) {
    size_t keys = (n + 7) & ~(size_t)7;
    for (size_t i = 0; i < n; i++) {
        r->next[i] = (unsigned char)(i + 1);
        r->prev[i] = (unsigned char)(i - 1);
    }
    for (size_t i = n - 1; i < keys; i++) r->key[i] = NO_KEY;

    for (int32_t best = smallest(r->key, keys); best != NO_KEY;) {
        struct vocab_place with_left = { 0 }, with_right = { 0 };
        size_t at;
        uint32_t made = made_by(v, best, &at);
        size_t gone = r->next[at], right = r->next[gone], left = r->prev[at];
        r->id[at] = made;
        r->next[at] = (unsigned char)right;
        r->prev[right] = (unsigned char)at; /* n has a place, too */
        r->key[gone] = r->key[at] = NO_KEY;
        if (right < n) {
            with_right = vocab_place(v, made, r->id[right]);
            __builtin_prefetch(with_right.bucket);
        }
        if (at > 0) {
            r->key[left] = NO_KEY;
            with_left = vocab_place(v, r->id[left], made);
            __builtin_prefetch(with_left.bucket);
        }
        best = smallest(r->key, keys);
        if (n > FEW && best != NO_KEY) prefetch_next(v, r, n, best);
        if (right < n) {
            r->key[at] = key_of(vocab_pair_at(v, with_right), at);
            best = r->key[at] < best ? r->key[at] : best;
        }
        if (at > 0) {
            r->key[left] = key_of(vocab_pair_at(v, with_left), left);
            best = r->key[left] < best ? r->key[left] : best;
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i = r->next[i]) ids[count++] = r->id[i];
    return count;
}

/* Beginning with characters instead of bytes, when all are tokens that are made before
 * anything joins them with a neighbour, and no token holds a part of one beside another.
 * Then the merges within characters come first, and undisturbed, in effect: the merge
 * that is best among the characters' tokens finds both its sides complete.  0: not so. */
static size_t merge_chars(const struct vocab *v, const unsigned char *p, size_t n, uint32_t *ids) {
    struct run r;
    uint32_t before = 0;
    size_t k = 0;
    for (size_t i = 0; i < n; i += 3, k++) {
        uint32_t c;
        if (unicode_decode(p + i, p + n, &c) != 3) return 0;
        r.id[k] = vocab_char(v, c);
        if (r.id[k] == VOCAB_NONE) return 0;
        if (k > 0) {
            if ((vocab_sticky(v, before) & STICKY_AFTER) || (vocab_sticky(v, c) & STICKY_BEFORE)) return 0;
            r.key[k - 1] = key_of(vocab_pair(v, r.id[k - 1], r.id[k]), k - 1);
        }
        before = c;
    }
    return merge_run(v, &r, k, ids);
}

static size_t merge_small(const struct vocab *v, const unsigned char *p, size_t n, uint32_t *ids) {
    struct run r;
    if (p[0] >= 0xE3 && p[0] <= 0xE9 && n % 3 == 0) {
        size_t k = merge_chars(v, p, n, ids);
        if (k > 0) return k;
    }
    for (size_t i = 0; i < n; i++) {
        r.id[i] = v->byte_id[p[i]];
        if (i + 1 < n) r.key[i] = key_of(v->byte_rank[(unsigned)p[i] << 8 | p[i + 1]], i);
    }
    return merge_run(v, &r, n, ids);
}

/* -- Large --------------------------------------------------------------------------- */

/* The window as a linked list; a candidate is rank << 32 | position of its left side.
 * Candidates that a merge made wrong stay in the heap and are known by their rank. */
struct large {
    uint32_t *id, *next, *prev, *rank; /* by position; next == n: the last */
    uint64_t *heap;
    size_t    heap_len;
};

static void heap_push(struct large *w, uint64_t x) {
    size_t i = w->heap_len++;
    while (i > 0 && w->heap[(i - 1) / 2] > x) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = x;
}

static uint64_t heap_pop(struct large *w) {
    uint64_t top = w->heap[0], x = w->heap[--w->heap_len];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= w->heap_len) break;
        if (k + 1 < w->heap_len && w->heap[k + 1] < w->heap[k]) k++;
        if (w->heap[k] >= x) break;
        w->heap[i] = w->heap[k];
        i = k;
    }
    if (w->heap_len > 0) w->heap[i] = x;
    return top;
}

static void set_rank(struct large *w, uint32_t at, uint32_t rank) {
    w->rank[at] = rank;
    if (rank != VOCAB_NONE) heap_push(w, (uint64_t)rank << 32 | at);
}

static bool scratch_need(struct merge_scratch *s, size_t size) {
    if (s->size >= size) return true;
    char *data = mem_realloc(s->data, size);
    if (data == NULL) return false;
    s->data = data;
    s->size = size;
    return true;
}

static void scratch_shrink(struct merge_scratch *s) {
    if (s->size > KEEP) merge_deinit(s);
}

static void large_merge_all(const struct vocab *v, struct large *w, uint32_t n) {
    while (w->heap_len > 0) {
        uint64_t top = heap_pop(w);
        uint32_t at = (uint32_t)top, rank = (uint32_t)(top >> 32);
        if (w->rank[at] != rank) continue; /* one side is no more what it was */
        uint32_t gone = w->next[at], right = w->next[gone];
        w->id[at] = vocab_rank_id(v, rank);
        w->rank[gone] = VOCAB_NONE;
        w->next[at] = right;
        if (right < n) {
            w->prev[right] = at;
            set_rank(w, at, vocab_pair(v, w->id[at], w->id[right]));
        } else {
            w->rank[at] = VOCAB_NONE;
        }
        if (at > 0) {
            uint32_t left = w->prev[at];
            set_rank(w, left, vocab_pair(v, w->id[left], w->id[at]));
        }
    }
}

static size_t merge_large(const struct vocab *v, struct merge_scratch *s, const unsigned char *p, size_t n,
                          uint32_t *ids) {
    /* Every merge pushes two candidates at most, and there are fewer than n merges. */
    size_t heap_size = 3 * n * sizeof(uint64_t), list_size = n * sizeof(uint32_t);
    if (n >= UINT32_MAX || !scratch_need(s, heap_size + 4 * list_size)) return 0;
    struct large w = { .heap = (uint64_t *)(void *)s->data };
    w.id = (uint32_t *)(void *)(s->data + heap_size);
    w.next = w.id + n;
    w.prev = w.next + n;
    w.rank = w.prev + n;

    for (uint32_t i = 0; i < n; i++) {
        w.id[i] = v->byte_id[p[i]];
        w.next[i] = i + 1;
        w.prev[i] = i - 1;
        if (i + 1 < n) set_rank(&w, i, v->byte_rank[(unsigned)p[i] << 8 | p[i + 1]]);
        else w.rank[i] = VOCAB_NONE;
    }
    large_merge_all(v, &w, (uint32_t)n);
    size_t count = 0;
    for (uint32_t i = 0; i < n; i = w.next[i]) ids[count++] = w.id[i];
    scratch_shrink(s);
    return count;
}

/* -- Long ------------------------------------------------------------------------------ */

static size_t merge_window(const struct vocab *v, struct merge_scratch *s, const unsigned char *p, size_t n,
                           uint32_t *ids) {
    return n <= SMALL ? merge_small(v, p, n, ids) : merge_large(v, s, p, n, ids);
}

static size_t token_len(const struct vocab *v, uint32_t id) { return v->offsets[id + 1] - v->offsets[id]; }

/* How many of the last tokens are at least `want` bytes; *len: how many bytes they are. */
static size_t last_tokens(const struct vocab *v, const uint32_t *ids, size_t count, size_t want, size_t *len) {
    size_t n = 0;
    *len = 0;
    while (n < count && *len < want) *len += token_len(v, ids[count - ++n]);
    return n;
}

/* The window before: a text that repeats itself ("=====", spaces) asks for it again. */
struct last_window {
    uint32_t in[SMALL], out[2 * SMALL];
    size_t   n_in, n_out; /* n_out 0: none is kept */
    const unsigned char *fresh;
    size_t   n_fresh;
};

static bool is_again(const struct last_window *l, const uint32_t *in, size_t n_in, const unsigned char *fresh,
                     size_t n_fresh) {
    return l->n_out > 0 && l->n_in == n_in && l->n_fresh == n_fresh &&
           memcmp(l->in, in, n_in * sizeof(*in)) == 0 && memcmp(l->fresh, fresh, n_fresh) == 0;
}

static void keep_in(struct last_window *l, const uint32_t *in, size_t n_in, const unsigned char *fresh,
                    size_t n_fresh) {
    l->n_out = 0;
    l->n_in = n_in;
    l->fresh = fresh;
    l->n_fresh = n_fresh;
    if (n_in <= SMALL) memcpy(l->in, in, n_in * sizeof(*in));
}

static void keep_out(struct last_window *l, const uint32_t *out, size_t n_out) {
    if (l->n_in > SMALL || n_out > 2 * SMALL) return;
    l->n_out = n_out;
    memcpy(l->out, out, n_out * sizeof(*out));
}

size_t merge_piece(const struct vocab *v, struct merge_scratch *s, const unsigned char *p, size_t n, uint32_t *ids) {
    if (n <= SMALL) return merge_small(v, p, n, ids);
    struct last_window last;
    last.n_out = 0;
    size_t done = STEP, count = merge_small(v, p, STEP, ids);
    size_t want = AGAIN;
    while (done < n) {
        size_t overlap, again = last_tokens(v, ids, count, want, &overlap);
        if (overlap > done) return merge_large(v, s, p, n, ids); /* a file with lengths that are lies */
        size_t fresh = overlap > STEP ? overlap : STEP; /* so that long windows are rare ones */
        if (fresh > n - done) fresh = n - done;

        /* The window's tokens go where those that it takes in again were.  There is
         * room: tokens are never more than bytes. */
        uint32_t *to = ids + count - again, first = to[0];
        const unsigned char *from = p + done - overlap;
        size_t m = last.n_out;
        if (is_again(&last, to, again, p + done, fresh)) {
            memcpy(to, last.out, m * sizeof(*to));
        } else {
            keep_in(&last, to, again, p + done, fresh);
            m = merge_window(v, s, from, overlap + fresh, to);
            if (m == 0) return 0;
            keep_out(&last, to, m);
        }
        if (again == count || to[0] == first) {
            count = count - again + m;
            done += fresh;
            want = AGAIN;
            continue;
        }
        /* Not compatible with its left: back to what was there (a compatible sequence,
         * so merging gives it again), then a longer window. */
        if (merge_window(v, s, from, overlap, to) != again) return 0;
        want = 2 * overlap;
    }
    return count;
}
