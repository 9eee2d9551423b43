/* affinity.c -- who has seen which beginnings of prompts.
 *
 *     block hash --> set of WAYS slots --> { tag: 48 bits of the hash, 16 of the time | four members, the last first }
 *
 * An engine keeps the work on a prompt's beginning, and who sends it the same beginning again saves that work.  Here is
 * remembered where blocks were sent; nobody asks the engines.  A beginning that is sent to a fifth member is
 * forgotten of the one that got it longest ago: engines with the same prompt are alike, and four are a choice.
 *
 * The table has one size: a new block takes the place of the oldest of its set, so what is used stays.  What is older
 * than STALE is not believed in: the engine has let it go by then.
 *
 * Threads read and write without a lock, tag and members apart.  Who reads between the two believes something wrong of
 * one prompt for once, which costs some work at an engine and nothing else. */
#include "sched/affinity.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

#define SETS  (1u << 15)
#define WAYS  3
#define TICK  4096            /* ms: the time's unit; 16 bits of it are three days */
#define STALE (60 * 60 * 1000 / TICK)
#define EACH  4               /* members of a slot */

struct slot {
    atomic_uint_least64_t tag, members;
};

struct affinity {
    struct slot slots[SETS][WAYS];
};

struct affinity *affinity_new(void) { return mem_zalloc(sizeof(struct affinity)); }

void affinity_free(struct affinity *a) { mem_free(a); }

static uint64_t tag_of(uint64_t block) { return block & ~UINT64_C(0xffff); }

static unsigned age(uint64_t tag, uint64_t now_ms) { return (uint16_t)(now_ms / TICK - (tag & 0xffff)); }

static uint64_t load(const atomic_uint_least64_t *v) {
    return atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)v, memory_order_relaxed);
}

/* The set is told by the bits that the tag has not. */
static const struct slot *set_of(const struct affinity *a, uint64_t block) {
    return a->slots[(block ^ block >> 32) & (SETS - 1)];
}

static uint64_t members_of(const struct affinity *a, uint64_t block, uint64_t now_ms) {
    const struct slot *set = set_of(a, block);
    for (int i = 0; i < WAYS; i++) {
        uint64_t tag = load(&set[i].tag), members = load(&set[i].members);
        if (members != 0 && tag_of(tag) == tag_of(block) && age(tag, now_ms) < STALE) return members;
    }
    return 0;
}

static bool has(uint64_t members, uint16_t who) {
    for (int i = 0; i < EACH; i++)
        if ((uint16_t)(members >> 16 * i) == who) return true;
    return false;
}

void affinity_match(const struct affinity *a, const uint64_t *blocks, unsigned block_count, const uint16_t *who,
                    unsigned who_count, uint64_t now_ms, unsigned *matched) {
    for (unsigned k = 0; k < who_count; k++) matched[k] = 0;
    for (unsigned i = 0; i < block_count; i++) {
        uint64_t members = members_of(a, blocks[i], now_ms);
        bool more = false;
        for (unsigned k = 0; k < who_count; k++) {
            if (matched[k] != i || !has(members, who[k])) continue;
            matched[k]++;
            more = true;
        }
        if (!more) return;
    }
}

/* In front; it moves there if it was further behind. */
static uint64_t with(uint64_t members, uint16_t who) {
    uint64_t out = who;
    for (int i = 0, n = 1; i < EACH && n < EACH; i++) {
        uint64_t one = members >> 16 * i & 0xffff;
        if (one != who && one != 0) out |= one << 16 * n++;
    }
    return out;
}

static void note(struct affinity *a, uint64_t block, uint16_t who, uint64_t now_ms) {
    struct slot *set = (struct slot *)(uintptr_t)set_of(a, block), *at = &set[0];
    for (int i = 0; i < WAYS; i++) {
        uint64_t tag = load(&set[i].tag);
        bool same = tag_of(tag) == tag_of(block) && age(tag, now_ms) < STALE && load(&set[i].members) != 0;
        if (same || load(&set[i].members) == 0) {
            at = &set[i];
            break;
        }
        if (age(tag, now_ms) > age(load(&at->tag), now_ms)) at = &set[i];
    }
    uint64_t was = tag_of(load(&at->tag)) == tag_of(block) ? load(&at->members) : 0;
    atomic_store_explicit(&at->tag, tag_of(block) | (uint16_t)(now_ms / TICK), memory_order_relaxed);
    atomic_store_explicit(&at->members, with(was, who), memory_order_relaxed);
}

void affinity_note(struct affinity *a, const uint64_t *blocks, unsigned block_count, uint16_t who, uint64_t now_ms) {
    for (unsigned i = 0; i < block_count; i++) note(a, blocks[i], who, now_ms);
}
