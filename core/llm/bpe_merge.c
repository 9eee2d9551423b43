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
#include "llm/bpe_merge.h"

#include <string.h>

#include "base/mem.h"
#include "llm/vocab_int.h"

#define SMALL  128  /* bytes that are merged literally */
#define STEP   48   /* new bytes in a window, when nothing goes wrong */
#define AGAIN  16   /* bytes at least that a window takes in again, whole tokens */
#define KEEP   (256 * 1024) /* bytes of scratch memory that stay */

void merge_deinit(struct merge_scratch *s) {
    mem_free(s->data);
    *s = (struct merge_scratch){ 0 };
}

/* -- Short ------------------------------------------------------------------------- */

static size_t merge_small(const struct vocab *v, const unsigned char *p, size_t n, uint32_t *ids) {
    uint32_t rank[SMALL];
    for (size_t i = 0; i + 1 < n; i++) {
        ids[i] = v->byte_id[p[i]];
        rank[i] = v->byte_rank[(unsigned)p[i] << 8 | p[i + 1]];
    }
    ids[n - 1] = v->byte_id[p[n - 1]];

    for (size_t pairs = n - 1; pairs > 0;) {
        uint32_t best = rank[0];
        size_t at = 0;
        for (size_t i = 1; i < pairs; i++)
            if (rank[i] < best) {
                best = rank[i];
                at = i;
            }
        if (best == VOCAB_NONE) break;

        /* ids[at] and ids[at + 1] become one; the pair between them goes. */
        ids[at] = vocab_rank_id(v, best);
        pairs--;
        n--;
        for (size_t i = at + 1; i < n; i++) ids[i] = ids[i + 1];
        for (size_t i = at; i < pairs; i++) rank[i] = rank[i + 1];
        if (at < pairs) rank[at] = vocab_pair(v, ids[at], ids[at + 1]);
        if (at > 0) rank[at - 1] = vocab_pair(v, ids[at - 1], ids[at]);
    }
    return n;
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

size_t merge_piece(const struct vocab *v, struct merge_scratch *s, const unsigned char *p, size_t n, uint32_t *ids) {
    if (n <= SMALL) return merge_small(v, p, n, ids);
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
        size_t m = merge_window(v, s, from, overlap + fresh, to);
        if (m == 0) return 0;
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
