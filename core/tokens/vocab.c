/* vocab.c -- vocabularies: taken, opened, shared, given back.
 *
 * A vocabulary is a file in memory: mapped from disk, or part of the program.  It is
 * used where it lies; `struct vocab` only points at its sections.
 *
 *     struct vocab --> header | offsets | bytes | pairs | index | ...      (vocab_int.h)
 *          \--> added: the matcher of added tokens, built when it is opened
 *
 * Files are not trusted.  The checksum finds damage; what a person made on purpose is
 * found by looking at every number that is later used without a check: offsets rise
 * and end in bounds, ids and ranks exist, tables have free entries (so that probing
 * ends).  That is one pass over the file, about a millisecond.  What remains for a
 * hostile file is to be another vocabulary.  Who writes into a file that is mapped, or
 * cuts it, ends the process (SIGBUS) or worse; a copy would guard against that, but cost
 * each load more than all the checks.
 *
 * Thread: any.  The count of shares is atomic, the rest never changes. */
#include "tokens/vocab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/special_tokens.h"
#include "tokens/vocab_int.h"

/* -- Checksum --------------------------------------------------------------------------- */

/* Eight lanes of multiply and rotate over 64 bytes at a time: as fast as memory.  It
 * finds accidents, not forgeries. */
#define LANES 8

static inline uint64_t lane(uint64_t h, const unsigned char *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    h = (h ^ x) * VOCAB_MIX;
    return h << 31 | h >> 33;
}

static void sum_range(uint64_t h[LANES], const unsigned char *p, size_t n) {
    uint64_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], i = h[7];
    unsigned char rest[8 * LANES] = { 0 };
    for (bool last = false;; p += 8 * LANES, n -= 8 * LANES) {
        if (n < 8 * LANES) { /* what is left, and zeros */
            if (n > 0) memcpy(rest, p, n);
            p = rest;
            last = true;
        }
        a = lane(a, p);
        b = lane(b, p + 8);
        c = lane(c, p + 16);
        d = lane(d, p + 24);
        e = lane(e, p + 32);
        f = lane(f, p + 40);
        g = lane(g, p + 48);
        i = lane(i, p + 56);
        if (last) break;
    }
    h[0] = a, h[1] = b, h[2] = c, h[3] = d, h[4] = e, h[5] = f, h[6] = g, h[7] = i;
}

uint64_t vocab_checksum(const void *file, size_t size) {
    struct vocab_header head;
    memcpy(&head, file, sizeof(head));
    head.checksum = 0;
    uint64_t h[LANES] = { size, 2, 3, 4, 5, 6, 7, 8 };
    sum_range(h, (const unsigned char *)&head, sizeof(head));
    sum_range(h, (const unsigned char *)file + sizeof(head), size - sizeof(head));
    uint64_t sum = 0;
    for (unsigned i = 0; i < LANES; i++) sum = (sum ^ h[i]) * VOCAB_MIX ^ h[i] >> 29;
    return sum;
}

/* -- Structure ----------------------------------------------------------------------------- */

/* ORDER enum vocab_section: bytes per element; how many there are, 0: any number. */
static const struct {
    unsigned size, count;
} section_rule[VOCAB_SECTIONS] = {
    { 4, 0 }, { 1, 0 }, { 4, 256 }, { 4, 65536 }, { 8 * VOCAB_BUCKET, 0 }, { 4, 0 }, { 4, 0 },
    { 1, 1u << (VOCAB_CUT_BITS - 3) }, { 1, VOCAB_STICKY_SIZE },
    { 4, VOCAB_CHARS_COUNT }, { sizeof(struct vocab_added), 0 }, { 1, 0 },
};

static size_t section_count(const struct vocab_header *h, enum vocab_section s) {
    return h->section[s].size / section_rule[s].size;
}

static const char *check_header(const struct vocab_header *h, size_t size) {
    static const union { uint16_t number; unsigned char low; } order = { 1 };
    if (order.low != 1) return "vocabulary files are little-endian, this machine is not";
    if (memcmp(h->magic, VOCAB_MAGIC, sizeof(h->magic)) != 0) return "it is not a vocabulary that perilune made";
    if (h->version != VOCAB_VERSION || h->header_size != sizeof(*h))
        return "it was made for another version of perilune";
    if (h->file_size != size) return "it is not complete";
    if (h->split >= PRETOKENIZE_KINDS || (h->flags & ~7u) != 0)
        return "it asks for rules that this version does not have";
    if (h->n_ids == 0 || h->n_ids > VOCAB_MAX_IDS || h->n_ranks > VOCAB_MAX_RANKS) return "it is damaged (counts)";
    if (memchr(h->name, '\0', sizeof(h->name)) == NULL) return "it is damaged (name)";
    for (unsigned s = 0; s < VOCAB_SECTIONS; s++) {
        uint64_t at = h->section[s].offset, len = h->section[s].size;
        if (at % 64 != 0 || at > size || len > size - at || len % section_rule[s].size != 0)
            return "it is damaged (sections)";
        if (section_rule[s].count != 0 && len != (uint64_t)section_rule[s].size * section_rule[s].count)
            return "it is damaged (sections)";
    }
    if (section_count(h, VOCAB_OFFSETS) != (size_t)h->n_ids + 1) return "it is damaged (offsets)";
    size_t ranks = section_count(h, VOCAB_RANK_ID);
    if (ranks != 0 && ranks != h->n_ranks) return "it is damaged (ranks)";
    if (ranks == 0 && h->n_ranks > h->n_ids) return "it is damaged (ranks)";
    size_t buckets = section_count(h, VOCAB_PAIRS), slots = section_count(h, VOCAB_INDEX);
    if (buckets == 0 || buckets > UINT32_MAX / 2) return "it is damaged (pairs)";
    if (slots == 0 || slots > UINT32_MAX / 2) return "it is damaged (index)";
    if (section_count(h, VOCAB_ADDED) > VOCAB_MAX_IDS) return "it is damaged (added tokens)";
    return NULL;
}

typedef int32_t quad __attribute__((vector_size(16)));

/* What a table of numbers holds, of each the bits in mask. */
struct scan {
    uint32_t max;   /* the largest */
    uint32_t bits;  /* all bits that are set anywhere, also outside of mask */
    size_t   used;  /* numbers that are not 0 */
    size_t   holes; /* of them, those that are 0 within mask */
};

static void scan_one(struct scan *s, uint32_t x, uint32_t mask) {
    s->max = (x & mask) > s->max ? x & mask : s->max;
    s->bits |= x;
    s->used += x != 0;
    s->holes += x != 0 && (x & mask) == 0;
}

/* Four at a time; mask is below 2^31. */
static struct scan scan_table(const uint32_t *x, size_t n, uint32_t mask) {
    int32_t m = (int32_t)mask;
    quad max = { 0 }, bits = { 0 }, zeros = { 0 }, masked_zeros = { 0 }, masks = { m, m, m, m };
    struct scan s = { 0 };
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        quad raw, v, more;
        memcpy(&raw, x + i, sizeof(raw));
        v = raw & masks;
        more = v > max;
        max = (v & more) | (max & ~more);
        bits |= raw;
        zeros += raw == 0; /* true is -1 */
        masked_zeros += v == 0;
    }
    s.used = i;
    for (unsigned k = 0; k < 4; k++) {
        s.max = (uint32_t)max[k] > s.max ? (uint32_t)max[k] : s.max;
        s.bits |= (uint32_t)bits[k];
        s.used -= (size_t)-zeros[k];
        s.holes += (size_t)(zeros[k] - masked_zeros[k]);
    }
    for (; i < n; i++) scan_one(&s, x[i], mask);
    return s;
}

static bool offsets_rise(const struct vocab *v, size_t bytes) {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < v->n_ids; i++) {
        uint32_t len = v->offsets[i + 1] - v->offsets[i]; /* falling: huge */
        wrong |= len > VOCAB_MAX_TOKEN;
    }
    return wrong == 0 && v->offsets[0] == 0 && v->offsets[v->n_ids] == bytes;
}

/* Every rank exists, and a sixteenth of the entries is free.  A rank is in the lower half
 * of an entry; what else is there is only compared. */
static bool pairs_hold(const struct vocab *v) {
    typedef uint64_t two __attribute__((vector_size(16)));
    size_t n = (size_t)v->buckets * VOCAB_BUCKET;
    two zeros = { 0 };
    quad max = { 0 };
    const quad ranks = { 0xFFFFFF, 0, 0xFFFFFF, 0 };
    for (size_t i = 0; i < n; i += 2) { /* n is a multiple of VOCAB_BUCKET */
        two e;
        memcpy(&e, v->pairs + i, sizeof(e));
        quad r = (quad)e & ranks, more = r > max;
        max = (r & more) | (max & ~more);
        zeros += (two)(e == 0);
    }
    size_t used = n - (size_t)(0 - zeros[0] - zeros[1]);
    uint32_t top = (uint32_t)(max[0] > max[2] ? max[0] : max[2]);
    return top <= v->n_ranks && used <= n - n / 16;
}

static bool index_holds(const struct vocab *v) {
    struct scan s = scan_table(v->index, v->slots, 0x1FFFFF);
    return s.max <= v->n_ids && s.holes == 0 && s.used <= v->slots - v->slots / 16;
}

static bool ranks_hold(const struct vocab *v) {
    struct scan s = scan_table(v->rank_id, v->n_ranks, VOCAB_MAX_IDS - 1);
    return s.max < v->n_ids && s.bits < VOCAB_MAX_IDS;
}

static bool byte_tokens_hold(const struct vocab *v) {
    for (unsigned i = 0; i < 256; i++) {
        uint32_t id = v->byte_id[i];
        if (id >= v->n_ids || v->offsets[id + 1] - v->offsets[id] != 1 || v->bytes[v->offsets[id]] != i) return false;
    }
    uint32_t wrong = 0;
    for (unsigned i = 0; i < VOCAB_CHARS_COUNT; i++) wrong |= (uint32_t)(v->chars[i] + 1 > v->n_ids);
    for (unsigned i = 0; i < 65536; i++) wrong |= (uint32_t)(v->byte_rank[i] + 1 > v->n_ranks); /* NONE + 1 is 0 */
    return wrong == 0;
}

static bool special_tokens_hold(const struct vocab *v, size_t texts) {
    for (uint32_t i = 0; i < v->n_added; i++) {
        const struct vocab_added *a = &v->special_tokens_list[i];
        if (a->id >= VOCAB_MAX_IDS || (i > 0 && a->id <= v->special_tokens_list[i - 1].id)) return false;
        if (a->size == 0 || a->size > VOCAB_MAX_TOKEN || a->offset > texts || a->size > texts - a->offset) return false;
    }
    return true;
}

static const char *check_tables(const struct vocab *v, const struct vocab_header *h) {
    if (!offsets_rise(v, h->section[VOCAB_BYTES].size)) return "it is damaged (offsets)";
    if (v->rank_id != NULL && !ranks_hold(v)) return "it is damaged (ranks)";
    if (!byte_tokens_hold(v)) return "it is damaged (bytes)";
    if (!pairs_hold(v)) return "it is damaged (pairs)";
    if (!index_holds(v)) return "it is damaged (index)";
    if (!special_tokens_hold(v, h->section[VOCAB_TEXTS].size)) return "it is damaged (added tokens)";
    return NULL;
}

const char *vocab_attach(struct vocab *v, const void *file, size_t size, bool trusted) {
    struct vocab_header head;
    const struct vocab_header *h = &head;
    if (size < sizeof(head)) return "it is not a vocabulary that perilune made";
    memcpy(&head, file, sizeof(head));
    const char *wrong = check_header(h, size);
    if (wrong != NULL) return wrong;
    const void *at[VOCAB_SECTIONS];
    for (unsigned s = 0; s < VOCAB_SECTIONS; s++) at[s] = (const char *)file + h->section[s].offset;

    v->offsets = at[VOCAB_OFFSETS];
    v->bytes = at[VOCAB_BYTES];
    v->byte_id = at[VOCAB_BYTE_ID];
    v->byte_rank = at[VOCAB_BYTE_RANK];
    v->pairs = at[VOCAB_PAIRS];
    v->rank_id = h->section[VOCAB_RANK_ID].size > 0 ? at[VOCAB_RANK_ID] : NULL;
    v->index = at[VOCAB_INDEX];
    v->cuts = at[VOCAB_CUTS];
    v->sticky = at[VOCAB_STICKY];
    v->chars = at[VOCAB_CHARS];
    v->special_tokens_list = at[VOCAB_ADDED];
    v->texts = at[VOCAB_TEXTS];
    v->n_ids = h->n_ids;
    v->n_ranks = h->n_ranks;
    v->n_added = (uint32_t)section_count(h, VOCAB_ADDED);
    v->buckets = (uint32_t)section_count(h, VOCAB_PAIRS);
    v->slots = (uint32_t)section_count(h, VOCAB_INDEX);
    v->split = (enum pretokenize_kind)h->split;
    v->flags = h->flags;
    memcpy(v->name, h->name, sizeof(v->name));
    slice_mute(v->name);
    if (trusted) return NULL;
    if (vocab_checksum(file, size) != h->checksum) return "it is damaged (checksum)";
    return check_tables(v, h);
}

/* -- Files ------------------------------------------------------------------------------------ */

static int map_file(const char *path, struct vocab *v, char *message, size_t size) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(message, size, "%s: %s", path, strerror(errno));
        return PERILUNE_ERR_IO;
    }
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(message, size, "%s: not a file", path);
        rc = PERILUNE_ERR_IO;
    } else if (st.st_size == 0) {
        snprintf(message, size, "%s: it is empty; make it with: perilune vocab import tokenizer.json -o FILE", path);
        rc = PERILUNE_ERR_INVAL;
    } else {
        v->map_size = (size_t)st.st_size;
        v->map = mmap(NULL, v->map_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (v->map == MAP_FAILED) {
            v->map = NULL;
            snprintf(message, size, "%s: %s", path, strerror(errno));
            rc = PERILUNE_ERR_IO;
        }
    }
    close(fd);
    return rc;
}

int vocab_open(const char *path, struct vocab **out, char *message, size_t size) {
    *out = NULL;
    struct vocab *v = mem_zalloc(sizeof(*v));
    if (v == NULL) {
        snprintf(message, size, "%s: out of memory", path);
        return PERILUNE_ERR_NOMEM;
    }
    v->refs = 1;
    int rc = map_file(path, v, message, size);
    if (rc != 0) goto fail;
    const char *wrong = vocab_attach(v, v->map, v->map_size, false);
    if (wrong != NULL) {
        snprintf(message, size, "%s: %s; make it again with: perilune vocab import tokenizer.json -o FILE", path,
                 wrong);
        rc = PERILUNE_ERR_INVAL;
        goto fail;
    }
    rc = special_tokens_new(v, &v->added);
    if (rc != 0) {
        snprintf(message, size, "%s: %s", path, perilune_strerror(rc));
        goto fail;
    }
    *out = v;
    return 0;
fail:
    vocab_put(v);
    return rc;
}

/* -- Shares ------------------------------------------------------------------------------------- */

struct vocab *vocab_ref(struct vocab *v) {
    if (v != NULL) __atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
    return v;
}

void vocab_put(struct vocab *v) {
    if (v == NULL || __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    special_tokens_free(v->added);
    if (v->map != NULL) munmap(v->map, v->map_size);
    mem_free(v->own_texts);
    mem_free(v->own_added);
    mem_free(v);
}

const char *vocab_name(const struct vocab *v) { return v->name; }

const char *vocab_split_name(const struct vocab *v) { return pretokenize_name(v->split); }
bool vocab_is_normalized(const struct vocab *v) { return (v->flags & VOCAB_NFC) != 0; }
uint32_t vocab_added_count(const struct vocab *v) { return v->n_added; }

uint32_t vocab_size(const struct vocab *v) {
    uint32_t last = v->n_added > 0 ? v->special_tokens_list[v->n_added - 1].id + 1 : 0;
    return last > v->n_ids ? last : v->n_ids;
}

uint32_t vocab_special(const struct vocab *v, struct slice text) {
    for (uint32_t i = 0; i < v->n_added; i++) {
        const struct vocab_added *a = &v->special_tokens_list[i];
        if (slice_eq(slice_of(v->texts + a->offset, a->size), text)) return a->id;
    }
    return UINT32_MAX;
}

bool vocab_token(const struct vocab *v, uint32_t id, struct slice *bytes) {
    uint32_t low = 0, high = v->n_added;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (v->special_tokens_list[mid].id < id) low = mid + 1;
        else high = mid;
    }
    if (low < v->n_added && v->special_tokens_list[low].id == id) {
        *bytes = slice_of(v->texts + v->special_tokens_list[low].offset, v->special_tokens_list[low].size);
        return true;
    }
    if (id >= v->n_ids || v->offsets[id + 1] == v->offsets[id]) return false;
    *bytes = slice_of((const char *)v->bytes + v->offsets[id], v->offsets[id + 1] - v->offsets[id]);
    return true;
}
