/* member_names.c -- the names of an object's members, each once and in the order in which they came.
 *
 *     text   a g e n a m e        ends   3 7        slots   . 2 . . 1 .        open addressing, half of it free
 *
 * A schema may list a name 300,000 times, and a name is looked for once for each.  So looking costs the same however
 * many there are; the hash is keyed, so nobody can write names that meet.
 *
 * Invariants: a name's number never changes.  Thread: its owner's. */
#include "local/member_names.h"

#include <string.h>

#define SLOTS (MEMBER_NAMES_MAX * 2)

void member_names_init(struct member_names *n) {
    n->len = 0;
    memset(n->slots, 0, sizeof(n->slots));
    hash_key_random(&n->key);
    buf_init(&n->text, 0);
}

void member_names_deinit(struct member_names *n) { buf_deinit(&n->text); }

struct slice member_names_get(const struct member_names *n, unsigned i) {
    size_t from = i > 0 ? n->ends[i - 1] : 0;
    return slice_of(buf_get(&n->text).ptr + from, n->ends[i] - from);
}

/* The slot that has this name, or the free one where it would be. */
static unsigned slot_of(const struct member_names *n, struct slice name) {
    unsigned at = (unsigned)(hash64(&n->key, name) % SLOTS);
    while (n->slots[at] != 0 && !slice_eq(member_names_get(n, n->slots[at] - 1u), name)) at = (at + 1) % SLOTS;
    return at;
}

int member_names_find(const struct member_names *n, struct slice name) { return (int)n->slots[slot_of(n, name)] - 1; }

int member_names_add(struct member_names *n, struct slice name) {
    unsigned at = slot_of(n, name);
    if (n->slots[at] != 0) return (int)n->slots[at] - 1;
    if (n->len == MEMBER_NAMES_MAX) return -1;
    buf_slice(&n->text, name);
    if (buf_failed(&n->text)) return -1;
    n->ends[n->len++] = buf_len(&n->text);
    n->slots[at] = (uint16_t)n->len;
    return (int)n->len - 1;
}
