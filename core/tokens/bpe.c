/* bpe.c -- text to tokens and back.
 *
 *     text --special_tokens.c--> stretches between added tokens
 *          --nfc.c----> normalized, where the vocabulary asks for it
 *          --pretokenize.c--> pieces: words with their space, numbers, punctuation
 *          ------------> cut once more where no token can reach across (outside ASCII)
 *          --cache----> tokens, when this word came before
 *          --merge----> else: found whole, or merged byte by byte (bpe_merge.c)
 *
 * Text repeats its words, so the cache answers nearly always, and what it costs is what
 * counting costs.  Chinese has no spaces: its pieces are clauses that never come
 * again.  But two characters that stand side by side in no token are never merged
 * across, and that is most of them; so a clause falls into a handful of one to four
 * characters, which do repeat.
 *
 * An entry of the cache is the word itself, so a hit is exact:
 *
 *     keys   [ 15 bytes | length, count ]        16 bytes, all that counting looks at
 *     ids    [ the first three tokens ]          12 bytes, beside it in a table of their own
 *
 * Two entries share a place; the newer one is looked at first.  A word that comes for the
 * first time takes the second, and the first one when it comes again.  Words with more
 * tokens than an entry holds are merged again when their tokens are asked for, not when
 * they are counted.
 *
 * ASCII is split 64 bytes at a time (pretokenize_block.h).  Where the pieces end is then known
 * without a branch that text could make unpredictable, and the processor looks for many
 * words in the cache at once.
 *
 * Thread: the one that owns the struct bpe. */
#include "tokens/bpe.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/special_tokens.h"
#include "tokens/bpe_int.h"
#include "tokens/nfc.h"
#include "tokens/pretokenize_block.h"
#include "tokens/unicode.h"

#define SET_BITS   16 /* sets of two words: 2 MiB, and 1.5 MiB for their tokens */
#define FEW_IDS    3
#define KEEP_IDS   (64 * 1024)  /* tokens of scratch memory that stay */
#define KEEP_TEXT  (256 * 1024) /* bytes of normalized text that stay */
#define HIGH_BITS  0x8080808080808080ull
#define BLOCK_ROOM (PRETOKENIZE_BLOCK + 16) /* the last word's sixteen bytes are read, too */

/* A word's bytes; the highest has their number, and above it how many tokens they are. */
struct key {
    uint64_t low, high;
};
#define COUNT_SHIFT 60
#define COUNT_BITS  ((uint64_t)15 << COUNT_SHIFT)

struct few_ids {
    uint32_t id[FEW_IDS];
};

struct bpe_cache {
    struct key     keys[1u << SET_BITS][2];
    struct few_ids ids[1u << SET_BITS][2];
};

/* -- Words that are not in the cache -------------------------------------------------- */

static uint32_t *scratch_ids(struct bpe *b, size_t n) {
    if (b->ids_cap < n) {
        uint32_t *ids = mem_realloc(b->ids, n * sizeof(*ids));
        if (ids == NULL) return NULL;
        b->ids = ids;
        b->ids_cap = n;
    }
    return b->ids;
}

static void scratch_done(struct bpe *b) {
    if (b->ids_cap <= KEEP_IDS) return;
    mem_free(b->ids);
    b->ids = NULL;
    b->ids_cap = 0;
}

/* The tokens of one word; room for n.  0: no memory. */
static size_t tokens_of(struct bpe *b, const unsigned char *p, size_t n, uint32_t *ids) {
    if (n > 3 || !b->cuts) { /* two merges are done sooner than one look into the index */
        uint32_t id = vocab_find(b->v, p, n);
        if (id != VOCAB_NONE) {
            ids[0] = id;
            return 1;
        }
    }
    return merge_piece(b->v, &b->merge, p, n, ids);
}

/* What was written becomes part of the buffer. */
static void sink_commit(struct sink *s) {
    if (s->at != NULL) s->ids->len = (size_t)(s->at - s->ids->data);
    s->at = s->stop = NULL;
}

/* Room for n more bytes, and for some after them. */
static __attribute__((noinline)) int sink_grow(struct sink *s, size_t n) {
    sink_commit(s);
    size_t room = n + (buf_len(s->ids) / 32 + 64) * sizeof(uint32_t);
    s->at = buf_reserve(s->ids, room);
    if (s->at == NULL) {
        s->ids->error = 0; /* a limit may be what stands against room that nobody asked for */
        s->at = buf_reserve(s->ids, room = n);
    }
    if (s->at == NULL) return s->ids->error;
    s->stop = s->at + room;
    return 0;
}

static inline int put_ids(struct sink *s, const uint32_t *ids, size_t n) {
    s->count += n;
    if (s->ids == NULL) return 0;
    n *= sizeof(*ids);
    if ((size_t)(s->stop - s->at) < n) {
        int rc = sink_grow(s, n);
        if (rc != 0) return rc;
    }
    memcpy(s->at, ids, n);
    s->at += n;
    return 0;
}

static int long_word(struct bpe *b, const unsigned char *p, size_t n, struct sink *s) {
    uint32_t *ids = scratch_ids(b, n);
    if (ids == NULL) return PERILUNE_ERR_NOMEM;
    size_t k = tokens_of(b, p, n, ids);
    int rc = k == 0 ? PERILUNE_ERR_NOMEM : put_ids(s, ids, k);
    scratch_done(b);
    return rc;
}

/* -- The cache ---------------------------------------------------------------------------- */

static inline uint64_t load_some(const unsigned char *p, size_t n) {
    uint64_t x = 0;
    memcpy(&x, p, n); /* at the end of the text only */
    return x;
}
static inline uint64_t load8(const unsigned char *p, const unsigned char *end) {
    uint64_t x;
    if (end - p < 8) return load_some(p, (size_t)(end - p));
    memcpy(&x, p, 8);
    return x;
}

#define BYTES(n) ((n) >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * (n)) - 1)
#define MASK(n)  { BYTES(n), BYTES((n) - 8 + 8 * ((n) < 8)) * ((n) > 8) }
static const struct key masks[16] = { /* by length */
    MASK(0), MASK(1), MASK(2),  MASK(3),  MASK(4),  MASK(5),  MASK(6),  MASK(7),
    MASK(8), MASK(9), MASK(10), MASK(11), MASK(12), MASK(13), MASK(14), MASK(15),
};

static int miss(struct bpe *b, const unsigned char *p, size_t n, struct sink *s, struct key k, uint32_t set) {
    uint32_t ids[16] = { 0 };
    size_t count = tokens_of(b, p, n, ids);
    k.high |= (uint64_t)count << COUNT_SHIFT;
    b->cache->keys[set][1] = k;
    memcpy(b->cache->ids[set][1].id, ids, sizeof(struct few_ids));
    return put_ids(s, ids, count);
}

static __attribute__((noinline)) int again(struct bpe *b, const unsigned char *p, size_t n, struct sink *s) {
    uint32_t ids[16];
    return put_ids(s, ids, tokens_of(b, p, n, ids));
}

static inline int put_one(struct sink *s, uint32_t id) {
    s->count++;
    if (s->at == s->stop) {
        int rc = sink_grow(s, sizeof(id));
        if (rc != 0) return rc;
    }
    memcpy(s->at, &id, sizeof(id));
    s->at += sizeof(id);
    return 0;
}

static inline int put_hit(struct bpe *b, const unsigned char *p, size_t n, struct sink *s, size_t count,
                          const struct few_ids *few) {
    if (s->ids == NULL) {
        s->count += count;
        return 0;
    }
    if (count == 1) return put_one(s, few->id[0]);
    return count <= FEW_IDS ? put_ids(s, few->id, count) : again(b, p, n, s);
}

static inline bool is_key(const struct key *k, uint64_t low, uint64_t high) {
    return ((k->low ^ low) | ((k->high ^ high) & ~COUNT_BITS)) == 0;
}

/* Not the first of its set. */
static __attribute__((noinline)) int second(struct bpe *b, const unsigned char *p, size_t n, struct sink *s,
                                            struct key k, uint32_t set) {
    struct key *keys = b->cache->keys[set], hit = keys[1];
    struct few_ids *few = b->cache->ids[set], hit_ids = few[1];
    if (!is_key(&hit, k.low, k.high)) return miss(b, p, n, s, k, set);
    keys[1] = keys[0];
    few[1] = few[0];
    keys[0] = hit;
    few[0] = hit_ids;
    return put_hit(b, p, n, s, hit.high >> COUNT_SHIFT, &few[0]);
}

/* A word of 1..15 bytes, which are the first of low and high. */
static inline __attribute__((always_inline)) int short_word(struct bpe *b, const unsigned char *p, size_t n,
                                                            uint64_t low, uint64_t high, struct sink *s) {
    low &= masks[n].low;
    high = (high & masks[n].high) | (uint64_t)n << 56;
    uint32_t set = (uint32_t)((low ^ high * 0xC4CEB9FE1A85EC53ull) * VOCAB_MIX >> (64 - SET_BITS));
    const struct key *k = b->cache->keys[set];
    if (is_key(k, low, high)) return put_hit(b, p, n, s, k->high >> COUNT_SHIFT, b->cache->ids[set]);
    return second(b, p, n, s, (struct key){ low, high }, set);
}

static __attribute__((noinline)) int word(struct bpe *b, const unsigned char *p, size_t n, const unsigned char *end,
                                          struct sink *s) {
    if (n <= 7) return short_word(b, p, n, load8(p, end), 0, s);
    if (n <= 15) return short_word(b, p, n, load8(p, end), load8(p + 8, end), s);
    return long_word(b, p, n, s);
}

/* A word of ASCII, with at least 16 bytes before the text's end. */
static __attribute__((noinline)) int ascii_word(struct bpe *b, const unsigned char *p, size_t n, struct sink *s) {
    uint64_t low, high;
    if (n > 15) return long_word(b, p, n, s);
    memcpy(&low, p, 8);
    memcpy(&high, p + 8, 8);
    return short_word(b, p, n, low, high, s);
}

/* -- Pieces --------------------------------------------------------------------------------- */

/* A piece with characters outside ASCII, cut where nothing joins. */
static __attribute__((noinline)) int cut_piece(struct bpe *b, const unsigned char *p, const unsigned char *stop,
                                               const unsigned char *end, struct sink *s) {
    const struct vocab *v = b->v;
    uint32_t before = 0, c = 0;
    const unsigned char *q = p + unicode_decode(p, stop, &before);
    unsigned sticky_before = vocab_sticky(v, before);
    while (q < stop) {
        unsigned len = unicode_decode(q, stop, &c), sticky = vocab_sticky(v, c);
        if ((before | c) >= 0x80 && !vocab_joins(v, before, sticky_before, c, sticky)) {
            int rc = word(b, p, (size_t)(q - p), end, s);
            if (rc != 0) return rc;
            p = q;
        }
        before = c;
        sticky_before = sticky;
        q += len;
    }
    return word(b, p, (size_t)(q - p), end, s);
}

static bool all_ascii(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] >= 0x80) return false;
    return true;
}

static inline int piece(struct bpe *b, const unsigned char *p, const unsigned char *stop, const unsigned char *end,
                        struct sink *s) {
    size_t n = (size_t)(stop - p);
    if (n <= 7) return short_word(b, p, n, load8(p, end), 0, s);
    if (n <= 15) {
        uint64_t low = load8(p, end), high = load8(p + 8, end);
        if (b->cuts && (low & HIGH_BITS)) return cut_piece(b, p, stop, end, s);
        return short_word(b, p, n, low, high, s);
    }
    if (b->cuts && !all_ascii(p, n)) return cut_piece(b, p, stop, end, s);
    return long_word(b, p, n, s);
}

/* The words that end at these bits. */
static inline __attribute__((always_inline)) int words(struct bpe *b, const unsigned char *p, uint64_t ends,
                                                       struct sink *s) {
    unsigned from = 0;
    do {
        unsigned to = (unsigned)__builtin_ctzll(ends);
        int rc = ascii_word(b, p + from, to - from, s);
        if (rc != 0) return rc;
        from = to;
        ends &= ends - 1;
    } while (ends != 0);
    return 0;
}

static inline __attribute__((always_inline)) int plain(struct bpe *b, const unsigned char *p,
                                                       const unsigned char *end, struct sink *s,
                                                       const struct pretokenize_ascii rule) {
    pretokenize_fn *next = b->next;
    while (p < end) {
        int rc;
        unsigned n;
        uint64_t ends = 0;
        if (rule.digits > 0 && end - p >= BLOCK_ROOM && !(load8(p, end) & HIGH_BITS)) ends = pretokenize_block(p, rule);
        if (ends != 0) {
            rc = words(b, p, ends, s);
            p += 63 - __builtin_clzll(ends);
        } else if (rule.words && end - p >= 16 && (n = pretokenize_ascii(p, rule)) > 0) {
            rc = ascii_word(b, p, n, s);
            p += n;
        } else {
            const unsigned char *stop = next(p, end);
            if (stop == NULL) return PERILUNE_ERR_INVAL;
            rc = piece(b, p, stop, end, s);
            p = stop;
        }
        if (rc != 0) return rc;
        if (s->count > s->limit) return SINK_FULL;
    }
    return 0;
}

/* Text without added tokens.  A copy of the loop per rule, so that what differs is known
 * when it is compiled. */
int bpe_plain(struct bpe *b, const unsigned char *p, const unsigned char *end, struct sink *s) {
    switch (b->v->split) {
    case PRETOKENIZE_O200K: return plain(b, p, end, s, PRETOKENIZE_ASCII_O200K);
    case PRETOKENIZE_CL100K:
    case PRETOKENIZE_LLAMA3: return plain(b, p, end, s, PRETOKENIZE_ASCII_CL100K);
    case PRETOKENIZE_QWEN: return plain(b, p, end, s, PRETOKENIZE_ASCII_QWEN);
    case PRETOKENIZE_DEEPSEEK: return plain(b, p, end, s, PRETOKENIZE_ASCII_DEEPSEEK);
    default: return plain(b, p, end, s, PRETOKENIZE_ASCII_NONE);
    }
}

/* -- Stretches between added tokens ------------------------------------------------------------ */

static int stretch(struct bpe *b, const unsigned char *p, const unsigned char *end, struct special_tokens_filter f,
                   struct sink *s);

/* Those that are looked for in the text as it came are out; now it is normalized. */
static int normalized(struct bpe *b, const unsigned char *p, const unsigned char *end, struct special_tokens_filter f,
                      struct sink *s) {
    struct slice text = slice_of((const char *)p, (size_t)(end - p));
    f.normalized = true;
    if ((b->v->flags & VOCAB_NFC) && !nfc_is_plain(text)) {
        if (utf8_valid_prefix(text) != text.len) return PERILUNE_ERR_INVAL;
        buf_clear(&b->text);
        int rc = nfc_append(text, &b->text);
        if (rc != 0) return rc;
        p = (const unsigned char *)b->text.data;
        end = p + b->text.len;
    }
    int rc = special_tokens_any(b->v->added, f) ? stretch(b, p, end, f, s) : bpe_plain(b, p, end, s);
    if (b->text.cap > KEEP_TEXT) buf_deinit(&b->text);
    return rc;
}

static int between(struct bpe *b, const unsigned char *p, const unsigned char *end, struct special_tokens_filter f,
                   struct sink *s) {
    if (p == end) return 0;
    return f.normalized ? bpe_plain(b, p, end, s) : normalized(b, p, end, f, s);
}

static int stretch(struct bpe *b, const unsigned char *p, const unsigned char *end, struct special_tokens_filter f,
                   struct sink *s) {
    const unsigned char *text = p;
    struct special_tokens_match m;
    while (special_tokens_find(b->v->added, f, text, p, end, &m)) {
        int rc = between(b, p, m.start, f, s);
        if (rc == 0) rc = put_ids(s, &m.id, 1);
        if (rc == 0 && s->count > s->limit) rc = SINK_FULL;
        if (rc != 0) return rc;
        p = m.end;
    }
    return between(b, p, end, f, s);
}

static int need_cache(struct bpe *b) {
    if (b->cache == NULL) b->cache = mem_zalloc(sizeof(*b->cache));
    return b->cache == NULL ? PERILUNE_ERR_NOMEM : 0;
}

int bpe_text(struct bpe *b, struct slice text, unsigned flags, struct sink *s) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    struct special_tokens_filter f = { .special = (flags & BPE_SPECIAL) != 0, .normalized = false };
    if (text.len == 0) return 0;
    int rc = need_cache(b);
    if (rc != 0) return rc;
    rc = special_tokens_any(b->v->added, f) ? stretch(b, p, end, f, s) : normalized(b, p, end, f, s);
    sink_commit(s);
    if (rc == PERILUNE_ERR_INVAL) b->error_offset = utf8_valid_prefix(text);
    return rc;
}

bool bpe_is_rewritten(const struct bpe *b, struct slice text) {
    return special_tokens_strips(b->v->added) || ((b->v->flags & VOCAB_NFC) && !nfc_is_plain(text));
}

/* -- Public -------------------------------------------------------------------------------------- */

struct bpe *bpe_new(struct vocab *v) {
    struct bpe *b = mem_zalloc(sizeof(*b));
    if (b == NULL) return NULL;
    b->v = vocab_ref(v);
    b->next = pretokenize_rule(v->split);
    b->cuts = (v->flags & VOCAB_ODD) == 0;
    return b;
}

void bpe_free(struct bpe *b) {
    if (b == NULL) return;
    vocab_put(b->v);
    merge_deinit(&b->merge);
    mem_free(b->ids);
    mem_free(b->cache);
    buf_deinit(&b->text);
    mem_free(b);
}

struct vocab *bpe_vocab(const struct bpe *b) { return b->v; }
size_t bpe_error_offset(const struct bpe *b) { return b->error_offset; }

int bpe_count(struct bpe *b, struct slice text, unsigned flags, size_t limit, size_t *out) {
    struct sink s = { .limit = limit };
    int rc = bpe_text(b, text, flags, &s);
    *out = rc == 0 ? s.count : rc == SINK_FULL ? limit + 1 : 0;
    return rc == SINK_FULL ? 0 : rc;
}

int bpe_encode(struct bpe *b, struct slice text, unsigned flags, struct buf *ids) {
    struct sink s = { .ids = ids, .limit = BPE_NO_LIMIT };
    size_t before = buf_len(ids);
    if (buf_failed(ids)) return ids->error;
    int rc = bpe_text(b, text, flags, &s);
    if (rc != 0) {
        ids->error = 0;
        ids->len = ids->mark + before;
    }
    return rc;
}

int bpe_decode(struct bpe *b, const uint32_t *ids, size_t n, struct buf *text) {
    size_t before = buf_len(text);
    if (buf_failed(text)) return text->error;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct slice bytes;
        if (!vocab_token(b->v, ids[i], &bytes)) rc = PERILUNE_ERR_INVAL;
        else buf_slice(text, bytes);
        if (buf_failed(text)) rc = text->error;
    }
    if (rc != 0) {
        text->error = 0;
        text->len = text->mark + before;
    }
    return rc;
}
