/* vocab_build.c -- from tokens and merges to the file form of a vocabulary.
 *
 * Everything that a tokenizer would otherwise work out when it starts is worked out
 * here, once: at the build for the vocabularies that come along, at the import for
 * others.
 *
 *     tokens --> offsets, bytes --> index
 *     merges --> pairs, byte_rank, rank_id         (or every split of every token)
 *     tokens + pairs --> which tokens does merging make?  --> index, flag ODD
 *     tokens --> cuts, sticky                      (see vocab_joins)
 *     bytes + pairs --> chars                      (see vocab_char)
 *
 * What comes in is checked where it would break an invariant of the tables: bytes
 * twice, a single byte without a token, a merge that does not make its token.
 *
 * Thread: any; needs about three times the memory of the result. */
#include "tokens/vocab_build.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "tokens/bpe_merge.h"
#include "tokens/unicode.h"
#include "tokens/vocab_int.h"
#include "include/perilune.h"

struct build {
    const struct vocab_source *src;
    struct vocab view; /* the tables as far as they are done */
    struct buf   section[VOCAB_SECTIONS];
    struct buf   pairs; /* u64[]: entries as in PAIRS, unordered */
    unsigned     flags;
    uint32_t     n_ranks;
    char        *message;
    size_t       size;
};

static int refuse(struct build *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct build *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->message, b->size, fmt, ap);
    va_end(ap);
    return PERILUNE_ERR_INVAL;
}

/* A section of n zeroed bytes, or NULL. */
static void *section_new(struct build *b, enum vocab_section s, size_t n) {
    struct buf *buf = &b->section[s];
    buf_clear(buf);
    char *p = buf_reserve(buf, n);
    if (p == NULL) return NULL;
    memset(p, 0, n);
    buf_advance(buf, n);
    return p;
}

/* -- Tokens ---------------------------------------------------------------------------- */

static int build_tokens(struct build *b) {
    const struct vocab_source *src = b->src;
    if (src->n_ids == 0 || src->n_ids > VOCAB_MAX_IDS)
        return refuse(b, "%u token ids; between 1 and %u are supported", src->n_ids, VOCAB_MAX_IDS);
    uint32_t *offsets = section_new(b, VOCAB_OFFSETS, ((size_t)src->n_ids + 1) * sizeof(uint32_t));
    if (offsets == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t id = 0; id < src->n_ids; id++) {
        struct slice t = src->tokens[id];
        if (t.len > VOCAB_MAX_TOKEN)
            return refuse(b, "token %u has %zu bytes; the limit is %d", id, t.len, VOCAB_MAX_TOKEN);
        if (b->section[VOCAB_BYTES].len + t.len > (1u << 30))
            return refuse(b, "the tokens have more than 1 GiB together");
        offsets[id] = (uint32_t)b->section[VOCAB_BYTES].len;
        buf_slice(&b->section[VOCAB_BYTES], t);
    }
    offsets[src->n_ids] = (uint32_t)b->section[VOCAB_BYTES].len;
    if (buf_failed(&b->section[VOCAB_BYTES])) return PERILUNE_ERR_NOMEM;
    b->view.offsets = offsets;
    b->view.bytes = (const unsigned char *)b->section[VOCAB_BYTES].data;
    b->view.n_ids = src->n_ids;
    return 0;
}

static const unsigned char *token_bytes(const struct build *b, uint32_t id, size_t *len) {
    *len = b->view.offsets[id + 1] - b->view.offsets[id];
    return b->view.bytes + b->view.offsets[id];
}

/* Every token into the index, or, with `made`, those for which it is not 0. */
static int build_index(struct build *b, const unsigned char *made) {
    uint32_t n = 0;
    for (uint32_t id = 0; id < b->src->n_ids; id++) n += b->src->tokens[id].len > 0;
    uint32_t slots = n + n / 3 + 64;
    uint32_t *index = section_new(b, VOCAB_INDEX, (size_t)slots * sizeof(uint32_t));
    if (index == NULL) return PERILUNE_ERR_NOMEM;
    b->view.index = index;
    b->view.slots = slots;
    for (uint32_t id = 0; id < b->src->n_ids; id++) {
        size_t len;
        const unsigned char *p = token_bytes(b, id, &len);
        if (len == 0 || (made != NULL && !made[id])) continue;
        uint32_t same = vocab_find(&b->view, p, len);
        if (same != VOCAB_NONE) return refuse(b, "tokens %u and %u have the same bytes", same, id);
        uint64_t h = vocab_hash(p, len);
        uint32_t slot = (uint32_t)(((h >> 32) * slots) >> 32);
        while (index[slot] != 0) slot = slot + 1 == slots ? 0 : slot + 1;
        index[slot] = ((uint32_t)h & 0x7FF) << 21 | (id + 1);
    }
    return 0;
}

static int build_byte_ids(struct build *b) {
    uint32_t *ids = section_new(b, VOCAB_BYTE_ID, 256 * sizeof(uint32_t));
    if (ids == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < 256; i++) {
        unsigned char c = (unsigned char)i;
        ids[i] = vocab_find(&b->view, &c, 1);
        if (ids[i] == VOCAB_NONE)
            return refuse(b, "no token is the single byte 0x%02X: not a byte-level vocabulary", i);
    }
    b->view.byte_id = ids;
    return 0;
}

/* -- Merges ------------------------------------------------------------------------------ */

static void add_pair(struct build *b, uint32_t left, uint32_t right, uint32_t rank) {
    uint64_t e = (uint64_t)left << 44 | (uint64_t)right << 24 | (rank + 1);
    buf_put(&b->pairs, &e, sizeof(e));
}

/* Without a list: every split of every token into two tokens. */
static void pairs_of_tokens(struct build *b) {
    for (uint32_t id = 0; id < b->src->n_ids; id++) {
        size_t len;
        const unsigned char *p = token_bytes(b, id, &len);
        for (size_t k = 1; k < len; k++) {
            uint32_t left = vocab_find(&b->view, p, k);
            if (left == VOCAB_NONE) continue;
            uint32_t right = vocab_find(&b->view, p + k, len - k);
            if (right != VOCAB_NONE) add_pair(b, left, right, id);
        }
    }
    b->n_ranks = b->src->n_ids;
}

static int check_merge(struct build *b, size_t i) {
    const struct vocab_merge *m = &b->src->merges[i];
    uint32_t n = b->src->n_ids;
    if (m->left >= n || m->right >= n || m->id >= n)
        return refuse(b, "merge %zu names the id %u; ids end at %u", i,
                      m->left >= n ? m->left : m->right >= n ? m->right : m->id, n - 1);
    size_t a, c, all;
    const unsigned char *pa = token_bytes(b, m->left, &a), *pc = token_bytes(b, m->right, &c);
    const unsigned char *p = token_bytes(b, m->id, &all);
    if (a == 0 || c == 0 || all != a + c || memcmp(p, pa, a) != 0 || memcmp(p + a, pc, c) != 0)
        return refuse(b, "merge %zu (tokens %u and %u) does not make token %u", i, m->left, m->right, m->id);
    return 0;
}

static int pairs_of_list(struct build *b) {
    const struct vocab_source *src = b->src;
    if (src->n_merges > VOCAB_MAX_RANKS)
        return refuse(b, "%zu merges; the limit is %u", src->n_merges, VOCAB_MAX_RANKS);
    bool rising = true; /* then the id can be the rank */
    for (size_t i = 0; i < src->n_merges; i++) {
        int rc = check_merge(b, i);
        if (rc != 0) return rc;
        if (i > 0 && src->merges[i].id <= src->merges[i - 1].id) rising = false;
    }
    for (size_t i = 0; i < src->n_merges; i++) {
        const struct vocab_merge *m = &src->merges[i];
        add_pair(b, m->left, m->right, rising ? m->id : (uint32_t)i);
        if (!rising) buf_put(&b->section[VOCAB_RANK_ID], &m->id, sizeof(m->id));
    }
    if (buf_failed(&b->section[VOCAB_RANK_ID])) return PERILUNE_ERR_NOMEM;
    if (!rising) b->view.rank_id = (const uint32_t *)(const void *)b->section[VOCAB_RANK_ID].data;
    b->n_ranks = rising ? src->n_ids : (uint32_t)src->n_merges;
    return 0;
}

static int place_pairs(struct build *b) {
    size_t n = b->pairs.len / sizeof(uint64_t);
    uint32_t buckets = (uint32_t)(n * 10 / 6 / VOCAB_BUCKET + 8);
    uint64_t *table = section_new(b, VOCAB_PAIRS, (size_t)buckets * VOCAB_BUCKET * sizeof(uint64_t));
    if (table == NULL) return PERILUNE_ERR_NOMEM;
    b->view.pairs = table;
    b->view.buckets = buckets;
    const char *at = b->pairs.data;
    for (size_t i = 0; i < n; i++, at += sizeof(uint64_t)) {
        uint64_t e;
        memcpy(&e, at, sizeof(e));
        uint32_t left = (uint32_t)(e >> 44), right = (uint32_t)(e >> 24) & (VOCAB_MAX_IDS - 1);
        if (vocab_pair(&b->view, left, right) != VOCAB_NONE)
            return refuse(b, "merge %zu (tokens %u and %u) is there twice", i, left, right);
        uint32_t bucket = (uint32_t)((((e >> 24) * VOCAB_MIX >> 32) * buckets) >> 32);
        uint64_t *to = table + (size_t)bucket * VOCAB_BUCKET;
        while (*to != 0)
            if (++to == table + (size_t)buckets * VOCAB_BUCKET) to = table;
        *to = e;
    }
    return 0;
}

static int build_merges(struct build *b) {
    int rc = 0;
    if (b->src->merges == NULL) pairs_of_tokens(b);
    else rc = pairs_of_list(b);
    if (rc != 0) return rc;
    if (buf_failed(&b->pairs)) return PERILUNE_ERR_NOMEM;
    rc = place_pairs(b);
    if (rc != 0) return rc;

    uint32_t *ranks = section_new(b, VOCAB_BYTE_RANK, 65536 * sizeof(uint32_t));
    if (ranks == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < 65536; i++)
        ranks[i] = vocab_pair(&b->view, b->view.byte_id[i >> 8], b->view.byte_id[i & 255]);
    b->view.byte_rank = ranks;
    return 0;
}

/* Which tokens does merging make of their bytes?  Those that it does not may not be
 * found by their bytes, unless the vocabulary says that a whole piece may. */
static int build_made(struct build *b) {
    uint32_t n = b->src->n_ids, *ids = mem_alloc((VOCAB_MAX_TOKEN + 1) * sizeof(uint32_t));
    unsigned char *made = mem_zalloc(n);
    struct merge_scratch scratch = { 0 };
    bool odd = false;
    int rc = PERILUNE_ERR_NOMEM;
    if (ids == NULL || made == NULL) goto done;
    for (uint32_t id = 0; id < n; id++) {
        size_t len;
        const unsigned char *p = token_bytes(b, id, &len);
        if (len == 0) continue;
        size_t k = merge_piece(&b->view, &scratch, p, len, ids);
        if (k == 0) goto done;
        made[id] = k == 1;
        if (k != 1) odd = true;
    }
    rc = 0;
    if (odd && (b->flags & VOCAB_WHOLE)) b->flags |= VOCAB_ODD;
    else if (odd) rc = build_index(b, made);
done:
    merge_deinit(&scratch);
    mem_free(made);
    mem_free(ids);
    return rc;
}

/* -- Cuts ---------------------------------------------------------------------------------- */

/* How many bytes the character whose first byte is c should have; 0: none begins so. */
static unsigned char_len(unsigned char c) {
    return c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
}

static void stick(unsigned char *sticky, uint32_t c, unsigned flag) {
    sticky[c >> 2 & (VOCAB_STICKY_SIZE - 1)] |= (unsigned char)(flag << (2 * (c & 3)));
}

/* Every character that begins with the n < 4 bytes at p may have something before it
 * that no whole character names. */
static void stick_all(unsigned char *sticky, const unsigned char *p, size_t n) {
    unsigned len = char_len(p[0]);
    uint32_t low = p[0] & (len == 2 ? 31 : len == 3 ? 15 : 7);
    for (size_t i = 1; i < n; i++) low = low << 6 | (p[i] & 63);
    unsigned shift = 6 * (len - (unsigned)n);
    for (uint32_t c = low << shift; c < (low + 1) << shift; c++) stick(sticky, c, STICKY_BEFORE);
}

/* A token is a tail of a character, characters, and a head of one, each possibly none;
 * else it is in no text.  Notes what of it stands side by side. */
static void note_token(unsigned char *cuts, unsigned char *sticky, const unsigned char *p, size_t n) {
    const unsigned char *end = p + n;
    size_t tail = 0;
    while (tail < 3 && p < end && (*p & 0xC0) == 0x80) p++, tail++;
    uint32_t before = UINT32_MAX, c;
    for (const unsigned char *q = p; q < end;) { /* in no text? */
        unsigned len = unicode_decode(q, end, &c);
        if (len == 0 && (char_len(*q) <= end - q || char_len(*q) == 0)) return;
        q += len == 0 ? (size_t)(end - q) : len;
    }
    while (p < end) {
        unsigned len = unicode_decode(p, end, &c);
        if (len == 0) { /* a head */
            if (before != UINT32_MAX) stick(sticky, before, STICKY_AFTER);
            else if (tail > 0) stick_all(sticky, p, (size_t)(end - p));
            return;
        }
        if (before != UINT32_MAX && (before >= 0x80 || c >= 0x80)) {
            uint32_t h = vocab_cut_hash(before, c);
            cuts[h >> 3] |= (unsigned char)(1u << (h & 7));
        } else if (before == UINT32_MAX && tail > 0) {
            stick(sticky, c, STICKY_BEFORE);
        }
        before = c;
        p += len;
    }
}

static int build_cuts(struct build *b) {
    unsigned char *cuts = section_new(b, VOCAB_CUTS, (size_t)1 << (VOCAB_CUT_BITS - 3));
    unsigned char *sticky = section_new(b, VOCAB_STICKY, VOCAB_STICKY_SIZE);
    if (cuts == NULL || sticky == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t id = 0; id < b->src->n_ids; id++) {
        size_t len;
        const unsigned char *p = token_bytes(b, id, &len);
        note_token(cuts, sticky, p, len);
    }
    b->view.cuts = cuts;
    b->view.sticky = sticky;
    return 0;
}

/* -- Characters ------------------------------------------------------------------------------ */

/* The rank of the last merge that makes the three bytes at p a token, *id; VOCAB_NONE:
 * merging does not make one of them. */
static uint32_t made_at(const struct vocab *v, const unsigned char *p, uint32_t *id) {
    uint32_t first = v->byte_rank[(unsigned)p[0] << 8 | p[1]], second = v->byte_rank[(unsigned)p[1] << 8 | p[2]];
    uint32_t rank = first <= second ? first : second; /* VOCAB_NONE is the largest */
    if (rank == VOCAB_NONE) return VOCAB_NONE;
    uint32_t both = vocab_rank_id(v, rank);
    uint32_t last = first <= second ? vocab_pair(v, both, v->byte_id[p[2]]) : vocab_pair(v, v->byte_id[p[0]], both);
    if (last == VOCAB_NONE) return VOCAB_NONE;
    *id = vocab_rank_id(v, last);
    return last > rank ? last : rank;
}

/* A merge of rank joins these bytes, which are more than one character: characters in it
 * that are not yet made by then are no place to begin. */
static void strike_chars(const struct vocab *v, uint32_t *chars, uint32_t rank, const unsigned char *p, size_t n) {
    const unsigned char *end = p + n;
    while (p < end) {
        uint32_t c = 0, id;
        unsigned len = unicode_decode(p, end, &c);
        if (len == 3 && n > 3 && vocab_char(v, c) != VOCAB_NONE && made_at(v, p, &id) >= rank)
            chars[c - VOCAB_CHARS_FIRST] = VOCAB_NONE;
        p += len > 0 ? len : 1;
    }
}

static int build_chars(struct build *b) {
    uint32_t *chars = section_new(b, VOCAB_CHARS, VOCAB_CHARS_COUNT * sizeof(uint32_t));
    if (chars == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t i = 0; i < VOCAB_CHARS_COUNT; i++) {
        uint32_t c = VOCAB_CHARS_FIRST + i;
        unsigned char p[3] = { (unsigned char)(0xE0 | c >> 12), (unsigned char)(0x80 | (c >> 6 & 63)),
                               (unsigned char)(0x80 | (c & 63)) };
        if (made_at(&b->view, p, &chars[i]) == VOCAB_NONE) chars[i] = VOCAB_NONE;
    }
    b->view.chars = chars;
    size_t n = b->pairs.len / sizeof(uint64_t);
    const char *at = b->pairs.data;
    for (size_t i = 0; i < n; i++, at += sizeof(uint64_t)) {
        uint64_t e;
        memcpy(&e, at, sizeof(e));
        uint32_t rank = (uint32_t)(e & 0xFFFFFF) - 1;
        size_t len;
        const unsigned char *p = token_bytes(b, vocab_rank_id(&b->view, rank), &len);
        strike_chars(&b->view, chars, rank, p, len);
    }
    return 0;
}

/* -- Added tokens ---------------------------------------------------------------------------- */

static int build_added(struct build *b) {
    uint32_t last = 0;
    for (size_t i = 0; i < b->src->n_added; i++) {
        const struct vocab_source_added *a = &b->src->added[i];
        if (i > 0 && a->id <= last)
            return refuse(b, "added tokens are not in the order of their ids, or %u is there twice", a->id);
        if (a->id >= VOCAB_MAX_IDS) return refuse(b, "added token id %u; ids end at %u", a->id, VOCAB_MAX_IDS - 1);
        if (a->text.len == 0 || a->text.len > VOCAB_MAX_TOKEN)
            return refuse(b, "added token %u has %zu bytes", a->id, a->text.len);
        last = a->id;
        struct vocab_added out = { a->id, a->flags, (uint32_t)b->section[VOCAB_TEXTS].len, (uint32_t)a->text.len };
        buf_put(&b->section[VOCAB_ADDED], &out, sizeof(out));
        buf_slice(&b->section[VOCAB_TEXTS], a->text);
        if (b->section[VOCAB_TEXTS].len > (1u << 30))
            return refuse(b, "the added tokens have more than 1 GiB together");
    }
    return buf_failed(&b->section[VOCAB_ADDED]) || buf_failed(&b->section[VOCAB_TEXTS]) ? PERILUNE_ERR_NOMEM : 0;
}

/* -- The file ---------------------------------------------------------------------------------- */

static int write_file(struct build *b, struct buf *out) {
    struct vocab_header h = { .version = VOCAB_VERSION, .header_size = sizeof(h) };
    uint64_t at = (sizeof(h) + 63) & ~(uint64_t)63;
    memcpy(h.magic, VOCAB_MAGIC, sizeof(h.magic));
    h.split = b->src->split;
    h.flags = b->flags;
    h.n_ids = b->src->n_ids;
    h.n_ranks = b->n_ranks;
    slice_copy(h.name, sizeof(h.name), slice_str(b->src->name));
    for (unsigned s = 0; s < VOCAB_SECTIONS; s++) {
        h.section[s].offset = at;
        h.section[s].size = b->section[s].len;
        at = (at + b->section[s].len + 63) & ~(uint64_t)63;
    }
    h.file_size = at;
    char *file = buf_reserve(out, at);
    if (file == NULL) return out->error;
    memset(file, 0, at);
    memcpy(file, &h, sizeof(h));
    for (unsigned s = 0; s < VOCAB_SECTIONS; s++)
        if (h.section[s].size > 0) memcpy(file + h.section[s].offset, b->section[s].data, h.section[s].size);
    h.checksum = vocab_checksum(file, at);
    memcpy(file, &h, sizeof(h));
    buf_advance(out, at);
    return 0;
}

int vocab_build(const struct vocab_source *source, struct buf *out, char *message, size_t size) {
    struct build b = { .src = source, .flags = source->flags, .message = message, .size = size };
    int rc = build_tokens(&b);
    if (rc == 0) rc = build_index(&b, NULL);
    if (rc == 0) rc = build_byte_ids(&b);
    if (rc == 0) rc = build_merges(&b);
    if (rc == 0) rc = build_cuts(&b);
    if (rc == 0) rc = build_chars(&b);
    if (rc == 0) rc = build_made(&b);
    if (rc == 0) rc = build_added(&b);
    if (rc == 0) rc = write_file(&b, out);
    for (unsigned s = 0; s < VOCAB_SECTIONS; s++) buf_deinit(&b.section[s]);
    buf_deinit(&b.pairs);
    if (rc == PERILUNE_ERR_NOMEM) snprintf(message, size, "out of memory");
    return rc;
}
