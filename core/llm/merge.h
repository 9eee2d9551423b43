/* merge.h -- a JSON value that comes in pieces. See merge.c. */
#ifndef PERILUNE_LLM_MERGE_H
#define PERILUNE_LLM_MERGE_H

#include "llm/base64_join.h"
#include "llm/pieces.h"

enum merged_type {
    MERGED_NONE,
    MERGED_JSON,   /* text: JSON as it came */
    MERGED_STRING, /* text: decoded; it may grow */
    MERGED_BASE64, /* the same, of bytes */
    MERGED_OBJECT, /* items: members */
    MERGED_ARRAY   /* items: elements */
};

struct merged {
    enum merged_type    type;
    struct buf          text;
    union {
        struct piece_half  half; /* STRING */
        struct base64_join join; /* BASE64 */
    };
    struct merged_item *items;
    unsigned            count, cap;
};

struct merged_item {
    struct buf    name;  /* of a member: JSON, with its quotation marks */
    uint64_t      index; /* of an element that said one, else MERGED_NO_INDEX */
    bool          run;   /* value is JSON: elements with commas between them */
    struct merged value;
};
#define MERGED_NO_INDEX UINT64_MAX

enum merge_how {
    MERGE_LAST, /* what comes last counts; objects are merged */
    MERGE_GROW, /* strings and arrays grow */
    MERGE_BASE64 /* a string of base64 grows */
};

/* What is merged from, and the bytes that all of it may take. */
struct merging {
    const struct json_doc *doc;
    size_t                *left;
};

void merged_deinit(struct merged *m);
/* Adds the value at node, a member called `name` (JSON; empty: not a member).  Returns 0, PERILUNE_ERR_NOMEM, or
 * PERILUNE_ERR_LIMITED. */
int  merge_value(struct merged *m, const struct merging *from, struct slice name, uint32_t node, enum merge_how how);
/* The same for a member of m, which is or becomes an object. */
int  merge_member(struct merged *m, const struct merging *from, uint32_t key, uint32_t value, enum merge_how how);
/* The same for element `index` of m, which is or becomes an array. */
int  merge_element(struct merged *m, const struct merging *from, uint64_t index, uint32_t node);

/* The member of an object, or NULL. */
const struct merged *merged_get(const struct merged *m, const char *name);
bool merged_is(const struct merged_item *member, const char *name);
void merged_write(struct buf *out, const struct merged *m);

#endif
