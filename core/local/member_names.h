/* member_names.h -- the names of an object's members, each once and in the order in which they came.
 * See member_names.c. */
#ifndef PERILUNE_LOCAL_MEMBER_NAMES_H
#define PERILUNE_LOCAL_MEMBER_NAMES_H

#include "base/buf.h"
#include "base/hash.h"

#define MEMBER_NAMES_MAX 1024

struct member_names {
    struct buf      text; /* one behind the other */
    size_t          ends[MEMBER_NAMES_MAX];
    uint16_t        slots[MEMBER_NAMES_MAX * 2]; /* of each: its number + 1; 0: free */
    unsigned        len;
    struct hash_key key;
};

void member_names_init(struct member_names *n);
void member_names_deinit(struct member_names *n);
struct slice member_names_get(const struct member_names *n, unsigned i);
/* The number of this name, or -1. */
int  member_names_find(const struct member_names *n, struct slice name);
/* The same, and a new one is added.  -1: there is no room for it, or with n->text.error no memory. */
int  member_names_add(struct member_names *n, struct slice name);

#endif
