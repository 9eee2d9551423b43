/* composing.h -- how a dialect tells an answer that is made of several; a part of its row (dialect.h). */
#ifndef PERILUNE_LLM_COMPOSING_H
#define PERILUNE_LLM_COMPOSING_H

#include "llm/pieces.h"

#define COMPOSING_CHOICES 128 /* OpenAI's most */
#define COMPOSING_REASON  32  /* bytes of a reason that are kept */

/* A choice of the answer that is made. */
struct composing_choice {
    bool     begun;   /* something of it was said, and with that who says it */
    unsigned calls;   /* of tools, so far */
    char     reason[COMPOSING_REASON]; /* why it ends; empty: not said */
    char     half[4]; /* of a character, written by a policy that goes on in the middle of it */
    unsigned char half_len;
    enum piece_kind half_kind;
};

struct composing_call { /* of a tool, as a policy makes it */
    struct slice id, name, arguments;
};

/* Which call of the answer is this one of a part?  One that was not seen before gets the next number of the choice.
 * UINT32_MAX: no memory, or too many. */
struct retelling_calls {
    unsigned (*number)(struct retelling_calls *c, unsigned choice, unsigned index);
};

/* How an event of a part is told again as one of the answer. */
struct retold {
    struct slice             common;  /* members that each event repeats, for `id` and the like of the part */
    struct composing_choice *choices; /* of the answer; each event may begin one, and tell why it ends */
    unsigned                 count;
    int                      only;    /* of the part's choices this one only, or -1: all that the answer has */
    unsigned                 as;      /* which that one is in the answer */
    bool                     without_text; /* what is said goes another way: all but that */
    struct retelling_calls  *calls;
    bool                     failed;  /* a call has no number */
};

struct composing {
    /* Members that each event repeats; no braces, a comma behind the last. */
    void (*write_common)(struct buf *out, struct slice id, struct slice model, uint64_t created);
    /* The data of an event with this text as a piece of `kind` (TEXT, REASONING, REFUSAL). */
    void (*write_text)(struct buf *out, struct slice common, unsigned choice, bool first, enum piece_kind kind,
                       struct slice text);
    void (*write_call)(struct buf *out, struct slice common, unsigned choice, bool first, unsigned number,
                       const struct composing_call *call);
    void (*write_end)(struct buf *out, struct slice common, unsigned choice, bool first, struct slice reason);
    /* Appends the data of an event that says what the part's says.  False: that is nothing, and nothing was written. */
    bool (*retell)(struct buf *out, const struct json_doc *doc, struct retold *how);
    /* The worse of two reasons to end, for an answer of which both are true of some part. */
    struct slice (*worse)(struct slice a, struct slice b);
};

#endif
