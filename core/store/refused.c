/* refused.c -- what a server refuses is one line of the log.
 *
 * A server that works, but refuses some questions (it is out of memory, or a copy that must not be written to), does
 * so for each question of each thread.  Told is the first of them:
 *
 *     nothing --refused--> [ the error's word, kind of question ] --a question of this kind is answered--> nothing
 *                              |      ^
 *                              +------+ another word
 *
 * Whatever changes: no two lines within REFUSED_MS, for one that refuses every other question would fill the log. */
#include "store/refused.h"

#define REFUSED_MS 60000

/* Never 0. */
static uint64_t code_of(unsigned what, struct slice error) {
    uint64_t word = 0;
    for (size_t i = 0; i < 7 && i < error.len && error.ptr[i] != ' '; i++)
        word = word << 8 | (unsigned char)error.ptr[i];
    return word << 8 | (what + 1);
}

bool refused_begins(struct refused *r, unsigned what, struct slice error, uint64_t now_ms) {
    uint64_t is = code_of(what, error), was = atomic_load(&r->now);
    if ((was != 0 && was >> 8 == is >> 8) || !log_limit_pass(&r->limit, now_ms, REFUSED_MS)) return false;
    atomic_store(&r->now, is);
    return true;
}

void refused_ends(struct refused *r, unsigned what) {
    uint64_t was = atomic_load_explicit(&r->now, memory_order_relaxed);
    if (was != 0 && (was & 255) == what + 1) atomic_compare_exchange_strong(&r->now, &was, 0);
}

void refused_forget(struct refused *r) {
    atomic_store(&r->now, 0);
    atomic_store(&r->limit.next_ms, 0);
}
