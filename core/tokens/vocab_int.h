/* vocab_int.h -- the tables of a vocabulary as they lie in memory and in a file.
 *
 * A file is a header and sections, little-endian, each section at a multiple of 64:
 *
 *     header | offsets | bytes | byte_id | byte_rank | pairs | rank_id | index | cuts | sticky | chars |
 *     added | texts
 *
 * Nothing in it is a pointer, so that it is used as it was mapped.  The same form,
 * made by the build, lies in the program for the built-ins.
 *
 * Private to vocab*.c, bpe*.c, special_tokens.c. */
#ifndef PERILUNE_TOKENS_VOCAB_INT_H
#define PERILUNE_TOKENS_VOCAB_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tokens/pretokenize.h"
#include "tokens/vocab.h"

#define VOCAB_MAGIC   "PERIVOC\n"
#define VOCAB_VERSION 2
#define VOCAB_MAX_IDS (1u << 20) /* a pair of ids and a rank fit into 64 bits */
#define VOCAB_MAX_RANKS ((1u << 24) - 2)
#define VOCAB_MAX_TOKEN 65535 /* bytes of one token; nobody's comes near */
#define VOCAB_NAME_SIZE 64

#define VOCAB_NONE UINT32_MAX /* no id, no rank */

/* ORDER vocab.c section_rule: the sections of a file. */
enum vocab_section {
    VOCAB_OFFSETS,   /* u32[n_ids + 1]: where in BYTES a token begins; empty: no token */
    VOCAB_BYTES,
    VOCAB_BYTE_ID,   /* u32[256]: the token of a single byte */
    VOCAB_BYTE_RANK, /* u32[65536]: rank of first << 8 | second, or VOCAB_NONE */
    VOCAB_PAIRS,     /* u64[buckets * VOCAB_BUCKET]: see vocab_pair() */
    VOCAB_RANK_ID,   /* u32[n_ranks]: the token that a merge makes; empty: the rank is the id */
    VOCAB_INDEX,     /* u32[slots]: see vocab_find() */
    VOCAB_CUTS,      /* bits: see vocab_joins() */
    VOCAB_STICKY,    /* u8[VOCAB_STICKY_SIZE]: likewise, see vocab_sticky() */
    VOCAB_CHARS,     /* u32[VOCAB_CHARS_COUNT]: see vocab_char() */
    VOCAB_ADDED,     /* struct vocab_added[]: by id */
    VOCAB_TEXTS,     /* the texts of added tokens */
    VOCAB_SECTIONS
};

enum vocab_flag {
    VOCAB_NFC = 1,   /* text is brought to Unicode's form C first */
    VOCAB_WHOLE = 2, /* a piece that is a token is that token, whatever merging would make */
    VOCAB_ODD = 4    /* with WHOLE: there are tokens that merging does not make */
};

struct vocab_header {
    char     magic[8];
    uint32_t version, header_size;
    uint64_t file_size;
    uint64_t checksum; /* of the whole file with this field zero */
    uint32_t split;    /* enum pretokenize_kind */
    uint32_t flags;
    uint32_t n_ids, n_ranks;
    struct { uint64_t offset, size; } section[VOCAB_SECTIONS];
    char     name[VOCAB_NAME_SIZE]; /* NUL-terminated */
};

enum { TOKEN_SPECIAL = 1, TOKEN_LSTRIP = 2, TOKEN_RSTRIP = 4, TOKEN_WORD = 8, TOKEN_NORMALIZED = 16 };

struct vocab_added {
    uint32_t id, flags;
    uint32_t offset, size; /* in TEXTS */
};

struct special_tokens; /* special_tokens.h: finds added tokens in a text */

struct vocab {
    const uint32_t *offsets;
    const unsigned char *bytes;
    const uint32_t *byte_id, *byte_rank;
    const uint64_t *pairs;
    const uint32_t *rank_id; /* NULL: the rank is the id */
    const uint32_t *index;
    const unsigned char *cuts, *sticky;
    const uint32_t *chars;
    const struct vocab_added *special_tokens_list;
    const char     *texts;
    uint32_t        n_ids, n_ranks, n_added;
    uint32_t        buckets, slots;
    enum pretokenize_kind split;
    unsigned        flags;
    struct special_tokens   *added;
    char            name[VOCAB_NAME_SIZE];
    int             refs; /* atomic */
    void           *map;  /* what to unmap, or NULL */
    size_t          map_size;
    char           *own_texts; /* a built-in's added tokens are spelled out when it is taken */
    struct vocab_added *own_added;
};

/* -- Pairs: which merge joins two neighbours ---------------------------------------- */

#define VOCAB_BUCKET 4u /* entries; half a cache line */
#define VOCAB_MIX 0x9E3779B97F4A7C15ull

/* Where to look for joining left and right: an address that can be prefetched. */
struct vocab_place {
    uint64_t key;
    const uint64_t *bucket;
};
static inline struct vocab_place vocab_place(const struct vocab *v, uint32_t left, uint32_t right) {
    uint64_t key = (uint64_t)left << 20 | right;
    return (struct vocab_place){
        key, v->pairs + (size_t)(((key * VOCAB_MIX >> 32) * v->buckets) >> 32) * VOCAB_BUCKET };
}

/* The rank of joining the two, or VOCAB_NONE.  An entry is left:20 right:20 rank + 1:24, 0
 * is free.  Buckets are filled from their first entry; a full one goes on in the next.
 * Which entry it is nobody can predict, so all four are looked at. */
static inline uint32_t vocab_pair_at(const struct vocab *v, struct vocab_place at) {
    for (const uint64_t *e = at.bucket;;) {
        uint64_t found = e[0] >> 24 == at.key ? e[0] : 0;
        found |= e[1] >> 24 == at.key ? e[1] : 0;
        found |= e[2] >> 24 == at.key ? e[2] : 0;
        found |= e[3] >> 24 == at.key ? e[3] : 0;
        if (found != 0 || e[VOCAB_BUCKET - 1] == 0) return ((uint32_t)found & 0xFFFFFF) - 1;
        e += VOCAB_BUCKET;
        if (e == v->pairs + (size_t)v->buckets * VOCAB_BUCKET) e = v->pairs;
    }
}
static inline uint32_t vocab_pair(const struct vocab *v, uint32_t left, uint32_t right) {
    return vocab_pair_at(v, vocab_place(v, left, right));
}

static inline uint32_t vocab_rank_id(const struct vocab *v, uint32_t rank) {
    return v->rank_id == NULL ? rank : v->rank_id[rank];
}

/* -- Index: bytes to token ------------------------------------------------------------ */

static inline uint64_t vocab_hash(const unsigned char *p, size_t n) {
    uint64_t h = n * VOCAB_MIX, x;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        h = (h ^ x) * 0xFF51AFD7ED558CCDull;
        h ^= h >> 32;
    }
    x = 0;
    for (size_t i = 0; i < n; i++) x |= (uint64_t)p[i] << (8 * i);
    h = (h ^ x) * 0xC4CEB9FE1A85EC53ull;
    h ^= h >> 29;
    return h * VOCAB_MIX;
}

/* The token with these bytes, or VOCAB_NONE.  A slot is 11 bits of the hash and
 * id + 1; 0 is free; probing is linear. */
static inline uint32_t vocab_find(const struct vocab *v, const unsigned char *p, size_t n) {
    uint64_t h = vocab_hash(p, n);
    uint32_t slot = (uint32_t)(((h >> 32) * v->slots) >> 32), tag = (uint32_t)h & 0x7FF;
    for (;;) {
        uint32_t e = v->index[slot];
        if (e == 0) return VOCAB_NONE;
        if (e >> 21 == tag) {
            uint32_t id = (e & 0x1FFFFF) - 1, at = v->offsets[id];
            if (v->offsets[id + 1] - at == n && memcmp(v->bytes + at, p, n) == 0) return id;
        }
        if (++slot == v->slots) slot = 0;
    }
}

/* -- Cuts: where no token can reach across ---------------------------------------------- */

#define VOCAB_CUT_BITS    18 /* 32 KiB of bits: 21 000 pairs of o200k fill a twelfth */
#define VOCAB_STICKY_SIZE 16384u /* two bits for each of 65536 characters; higher ones share them */
enum { STICKY_BEFORE = 1, STICKY_AFTER = 2 };

static inline uint32_t vocab_cut_hash(uint32_t a, uint32_t b) {
    return (uint32_t)((((uint64_t)a << 21 | b) * VOCAB_MIX + (uint64_t)a * 0xC4CEB9FE1A85EC53ull) >>
                      (64 - VOCAB_CUT_BITS));
}
/* STICKY_BEFORE: a token holds c with a part of a character before it; AFTER: behind it. */
static inline unsigned vocab_sticky(const struct vocab *v, uint32_t c) {
    return v->sticky[c >> 2 & (VOCAB_STICKY_SIZE - 1)] >> (2 * (c & 3)) & 3u;
}
/* May a token hold the end of character a and the beginning of b, side by side?  When
 * not, merging never joins anything across the two, and both sides can be merged
 * apart.  Errs towards true.  Meant for pairs of which one is outside ASCII; sticky_a is
 * vocab_sticky(v, a). */
static inline bool vocab_joins(const struct vocab *v, uint32_t a, unsigned sticky_a, uint32_t b, unsigned sticky_b) {
    uint32_t h = vocab_cut_hash(a, b);
    return (v->cuts[h >> 3] >> (h & 7) & 1) || (sticky_a & STICKY_AFTER) || (sticky_b & STICKY_BEFORE);
}

/* -- Characters: where merging may begin with them ------------------------------------------ */

#define VOCAB_CHARS_FIRST 0x3000u /* kana, ideographs: all of three bytes */
#define VOCAB_CHARS_COUNT 0x7000u

/* The token that is this character, or VOCAB_NONE: it is none, or a merge with a
 * neighbour could come before the last of its own. */
static inline uint32_t vocab_char(const struct vocab *v, uint32_t c) {
    return c - VOCAB_CHARS_FIRST < VOCAB_CHARS_COUNT ? v->chars[c - VOCAB_CHARS_FIRST] : VOCAB_NONE;
}

/* -- Between vocab.c and the files that make vocabularies --------------------------------- */

/* Points v at the sections of a file in memory, which must be aligned to 8.  Checks
 * nothing when trusted.  NULL, or a sentence about what is wrong (static). */
const char *vocab_attach(struct vocab *v, const void *file, size_t size, bool trusted);
uint64_t    vocab_checksum(const void *file, size_t size);
/* The ids of a piece by merging alone; see bpe_merge.c. */

#endif
