/* sim_prefix.c -- a provider's cache of prompts' beginnings (option prefix_cache).
 *
 *     prompt   |-- 128 tokens --|-- 128 tokens --|-- ... --|- rest -|
 *     hashes   of [0,128)       of [0,256)       ...
 *
 * What providers say of theirs: a beginning is found when it is the same from the first byte on, in blocks of 128
 * tokens and from 1024 on; it can be read as soon as the answer to a request that had it has begun, and not before, so
 * requests that leave at the same time find nothing of each other; and the usage says how many tokens were found.
 *
 * A table without chains: a new beginning takes the place of another one with the same number, as if that were old. */
#include "sim/sim_prefix.h"

#include "base/hash.h"
#include "base/mem.h"

#define BLOCK_BYTES (SIM_PREFIX_BLOCK * 4)

void sim_prefixes_deinit(struct sim_prefixes *p) {
    mem_free(p->slots);
    p->slots = NULL;
}

void sim_prefix_hashes(struct slice model, struct slice text, struct buf *out) {
    uint64_t h = hash_fnv_field(HASH_FNV_START, model);
    for (size_t at = 0; at + BLOCK_BYTES <= text.len; at += BLOCK_BYTES) {
        for (size_t i = 0; i < BLOCK_BYTES; i++) h = hash_fnv_add(h, text.ptr[at + i]);
        uint64_t kept = h != 0 ? h : 1;
        buf_put(out, &kept, sizeof(kept));
    }
}

static size_t count_of(const struct buf *hashes) { return buf_failed(hashes) ? 0 : buf_len(hashes) / sizeof(uint64_t); }

static uint64_t hash_at(const struct buf *hashes, size_t i) {
    uint64_t h;
    memcpy(&h, buf_get(hashes).ptr + i * sizeof(h), sizeof(h));
    return h;
}

static size_t slot_of(uint64_t h) { return (h ^ (h >> 32)) % SIM_PREFIX_SLOTS; }

uint64_t sim_prefix_cached(const struct sim_prefixes *p, const struct buf *hashes) {
    if (p->slots == NULL) return 0;
    for (size_t n = count_of(hashes); n * SIM_PREFIX_BLOCK >= SIM_PREFIX_LEAST; n--) {
        uint64_t h = hash_at(hashes, n - 1);
        if (p->slots[slot_of(h)] == h) return n * SIM_PREFIX_BLOCK;
    }
    return 0;
}

void sim_prefix_keep(struct sim_prefixes *p, const struct buf *hashes) {
    size_t n = count_of(hashes);
    if (n > 0 && p->slots == NULL) p->slots = mem_zalloc(SIM_PREFIX_SLOTS * sizeof(*p->slots));
    for (size_t i = 0; p->slots != NULL && i < n; i++) {
        uint64_t h = hash_at(hashes, i);
        p->slots[slot_of(h)] = h;
    }
}
