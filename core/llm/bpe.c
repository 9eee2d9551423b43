/* bpe.c -- text to tokens and back.
 *
 *     text --added.c--> stretches between added tokens
 *          --nfc.c----> normalized, where the vocabulary asks for it
 *          --split.c--> pieces: words with their space, numbers, punctuation
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
 * The cache has two tables, by length; an entry is the word itself, so a hit is exact:
 *
 *     1..7 bytes    [ word, length | first token | count, second token ]      16 bytes
 *     8..15 bytes   [ word, length         | count | first three tokens ]     32 bytes
 *
 * Two entries share a place; the newer one is looked at first.  Words with more tokens
 * than an entry holds are merged again when their tokens are asked for, not when they
 * are counted.
 *
 * Thread: the one that owns the struct bpe. */
#include "llm/bpe.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "llm/added.h"
#include "llm/bpe_int.h"
#include "llm/nfc.h"
#include "llm/unicode.h"

#define SHORT_BITS 15 /* sets of two: 1 MiB */
#define LONG_BITS  14 /* 1 MiB */
#define KEEP_IDS   (64 * 1024)  /* tokens of scratch memory that stay */
#define KEEP_TEXT  (256 * 1024) /* bytes of normalized text that stay */

struct short_entry {
    uint64_t key;   /* the bytes, and their number in the highest */
    uint32_t first; /* token */
    uint32_t rest;  /* how many tokens << 24 | the second */
};

struct long_entry {
    uint64_t low, high; /* likewise */
    uint32_t count;
    uint32_t id[3];
};

struct bpe_cache {
    struct short_entry shorts[1u << SHORT_BITS][2];
    struct long_entry  longs[1u << LONG_BITS][2];
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
    uint32_t id = vocab_find(b->v, p, n);
    if (id != VOCAB_NONE) {
        ids[0] = id;
        return 1;
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

static __attribute__((noinline)) int short_miss(struct bpe *b, const unsigned char *p, size_t n, struct sink *s,
                                                struct short_entry set[2], uint64_t key) {
    uint32_t ids[8];
    size_t k = tokens_of(b, p, n, ids);
    set[1] = (struct short_entry){ key, ids[0], (uint32_t)k << 24 | (k > 1 ? ids[1] : 0) };
    return put_ids(s, ids, k);
}

static __attribute__((noinline)) int long_miss(struct bpe *b, const unsigned char *p, size_t n, struct sink *s,
                                               struct long_entry set[2], uint64_t low, uint64_t high) {
    uint32_t ids[16];
    size_t k = tokens_of(b, p, n, ids);
    set[1] = (struct long_entry){ .low = low, .high = high, .count = (uint32_t)k };
    memcpy(set[1].id, ids, (k < 3 ? k : 3) * sizeof(*ids));
    return put_ids(s, ids, k);
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

static inline int put_short(struct bpe *b, const unsigned char *p, size_t n, struct sink *s,
                            const struct short_entry *e) {
    if (s->ids == NULL) {
        s->count += e->rest >> 24;
        return 0;
    }
    if (e->rest >> 24 == 1) return put_one(s, e->first);
    if (e->rest >> 24 > 2) return again(b, p, n, s);
    uint32_t ids[2] = { e->first, e->rest & 0xFFFFFF };
    return put_ids(s, ids, 2);
}

static inline int put_long(struct bpe *b, const unsigned char *p, size_t n, struct sink *s,
                           const struct long_entry *e) {
    if (s->ids == NULL) {
        s->count += e->count;
        return 0;
    }
    return e->count <= 3 ? put_ids(s, e->id, e->count) : again(b, p, n, s);
}

/* A word of 1..7 bytes whose first eight are x. */
static inline int short_word(struct bpe *b, const unsigned char *p, size_t n, uint64_t x, struct sink *s) {
    uint64_t key = (x & (((uint64_t)1 << (8 * n)) - 1)) | (uint64_t)n << 56;
    struct short_entry *set = b->cache->shorts[key * VOCAB_MIX >> (64 - SHORT_BITS)];
    if (set[0].key == key) return put_short(b, p, n, s, &set[0]);
    if (set[1].key == key) {
        struct short_entry e = set[1];
        set[1] = set[0];
        set[0] = e;
        return put_short(b, p, n, s, &set[0]);
    }
    return short_miss(b, p, n, s, set, key);
}

/* Of 8..15. */
static inline int middle_word(struct bpe *b, const unsigned char *p, size_t n, uint64_t low, uint64_t x,
                              struct sink *s) {
    uint64_t high = (x & (((uint64_t)1 << (8 * (n - 8))) - 1)) | (uint64_t)n << 56;
    uint64_t h = (low ^ (high * 0xC4CEB9FE1A85EC53ull)) * VOCAB_MIX;
    struct long_entry *set = b->cache->longs[(h ^ h << 32) >> (64 - LONG_BITS)];
    if (set[0].low == low && set[0].high == high) return put_long(b, p, n, s, &set[0]);
    if (set[1].low == low && set[1].high == high) {
        struct long_entry e = set[1];
        set[1] = set[0];
        set[0] = e;
        return put_long(b, p, n, s, &set[0]);
    }
    return long_miss(b, p, n, s, set, low, high);
}

static inline int word(struct bpe *b, const unsigned char *p, size_t n, const unsigned char *end, struct sink *s) {
    if (n <= 7) return short_word(b, p, n, load8(p, end), s);
    if (n <= 15) return middle_word(b, p, n, load8(p, end), load8(p + 8, end), s);
    return long_word(b, p, n, s);
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
    const uint64_t high_bits = 0x8080808080808080ull;
    size_t n = (size_t)(stop - p);
    if (n <= 7) return short_word(b, p, n, load8(p, end), s);
    if (n <= 15) {
        uint64_t low = load8(p, end), high = load8(p + 8, end);
        if (b->cuts && (low & high_bits)) return cut_piece(b, p, stop, end, s);
        return middle_word(b, p, n, low, high, s);
    }
    if (b->cuts && !all_ascii(p, n)) return cut_piece(b, p, stop, end, s);
    return long_word(b, p, n, s);
}

static inline __attribute__((always_inline)) int plain(struct bpe *b, const unsigned char *p,
                                                       const unsigned char *end, struct sink *s,
                                                       const struct split_ascii rule) {
    split_fn *next = b->next;
    while (p < end) {
        int rc;
        unsigned n = rule.words && end - p >= 16 ? split_ascii(p, rule) : 0;
        if (n > 0) {
            uint64_t low, high;
            memcpy(&low, p, 8);
            memcpy(&high, p + 8, 8);
            rc = n <= 7 ? short_word(b, p, n, low, s) : middle_word(b, p, n, low, high, s);
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
    case SPLIT_O200K: return plain(b, p, end, s, (struct split_ascii){ true, true, true, 3 });
    case SPLIT_CL100K:
    case SPLIT_LLAMA3: return plain(b, p, end, s, (struct split_ascii){ true, false, false, 3 });
    case SPLIT_QWEN: return plain(b, p, end, s, (struct split_ascii){ true, false, false, 1 });
    case SPLIT_DEEPSEEK: return plain(b, p, end, s, (struct split_ascii){ true, false, false, 0 });
    default: return plain(b, p, end, s, (struct split_ascii){ false, false, false, 0 });
    }
}

/* -- Stretches between added tokens ------------------------------------------------------------ */

static int stretch(struct bpe *b, const unsigned char *p, const unsigned char *end, struct added_filter f,
                   struct sink *s);

/* Those that are looked for in the text as it came are out; now it is normalized. */
static int normalized(struct bpe *b, const unsigned char *p, const unsigned char *end, struct added_filter f,
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
    int rc = added_any(b->v->added, f) ? stretch(b, p, end, f, s) : bpe_plain(b, p, end, s);
    if (b->text.cap > KEEP_TEXT) buf_deinit(&b->text);
    return rc;
}

static int between(struct bpe *b, const unsigned char *p, const unsigned char *end, struct added_filter f,
                   struct sink *s) {
    if (p == end) return 0;
    return f.normalized ? bpe_plain(b, p, end, s) : normalized(b, p, end, f, s);
}

static int stretch(struct bpe *b, const unsigned char *p, const unsigned char *end, struct added_filter f,
                   struct sink *s) {
    const unsigned char *text = p;
    struct added_match m;
    while (added_find(b->v->added, f, text, p, end, &m)) {
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
    struct added_filter f = { .special = (flags & BPE_SPECIAL) != 0, .normalized = false };
    if (text.len == 0) return 0;
    int rc = need_cache(b);
    if (rc != 0) return rc;
    rc = added_any(b->v->added, f) ? stretch(b, p, end, f, s) : normalized(b, p, end, f, s);
    sink_commit(s);
    if (rc == PERILUNE_ERR_INVAL) b->error_offset = utf8_valid_prefix(text);
    return rc;
}

bool bpe_is_rewritten(const struct bpe *b, struct slice text) {
    return added_strips(b->v->added) || ((b->v->flags & VOCAB_NFC) && !nfc_is_plain(text));
}

/* -- Public -------------------------------------------------------------------------------------- */

struct bpe *bpe_new(struct vocab *v) {
    struct bpe *b = mem_zalloc(sizeof(*b));
    if (b == NULL) return NULL;
    b->v = vocab_ref(v);
    b->next = split_rule(v->split);
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
