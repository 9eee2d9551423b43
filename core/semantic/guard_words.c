/* guard_words.c -- looks words up in the lists of guard_words.lua.
 *
 * The lists are rows of text; the program that makes two headers of them hashes each word, or row of words,
 * and sorts by hash.  A row of words is hashed word by word, and each beginning of a longer one is in the table
 * too (WORD_PREFIX), so that whoever reads a text knows after one look whether to go on.
 *
 * No strings are kept: of four thousand words in 2^32 hashes, one word in a million of those that are not listed
 * is taken for one that is, and costs a cache a hit.
 *
 * Constants; any thread. */
#include "semantic/guard_int.h"
#include "semantic/guard_words_hash.h"
#include "semantic/guard_words_kind.h"

#define SHIFT (32 - GUARD_WORDS_BITS)

static struct guard_word unpack(uint32_t kind) {
    return (struct guard_word){ .class = kind & 15, .flags = (uint8_t)(kind >> 4 & 127), .id = (uint16_t)(kind >> 11) };
}

/* The first with this hash; *end: behind the last one. */
static unsigned find(uint32_t row, unsigned *end) {
    unsigned i = guard_word_index[row >> SHIFT], last = guard_word_index[(row >> SHIFT) + 1];
    uint32_t rest = row & ((UINT32_C(1) << SHIFT) - 1);
    while (i < last && guard_word_hashes[i] < rest) i++;
    unsigned first = i;
    while (i < last && guard_word_hashes[i] == rest) i++;
    *end = i;
    return first;
}

void guard_word_find(uint32_t row, struct guard_entry *e) {
    unsigned end, i = find(row, &end);
    e->count = 0;
    e->prefix = false;
    for (; i < end && e->count < WORD_MANY; i++) {
        struct guard_word w = unpack(guard_word_kinds[i]);
        if (w.class == WORD_PREFIX) e->prefix = true;
        else e->list[e->count++] = w;
    }
}

int guard_word_id(uint32_t row, unsigned class) {
    unsigned end;
    for (unsigned i = find(row, &end); i < end; i++)
        if ((guard_word_kinds[i] & 15) == class) return unpack(guard_word_kinds[i]).id;
    return -1;
}
