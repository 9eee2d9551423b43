/* local_rank.h -- /v1/rerank of a local model. See local_rank.c. */
#ifndef PERILUNE_REQUEST_LOCAL_RANK_H
#define PERILUNE_REQUEST_LOCAL_RANK_H

#include "local/turn.h"
#include "request/body.h"

/* What is asked, and what comes back until it is whole. */
struct local_rank {
    struct buf    text;       /* the question, and all texts, one behind the other */
    struct slice *texts;
    float        *scores;
    unsigned      count, top; /* top: so many are told */
    bool          with_texts;
};

/* Is the body of a request with this path for us? */
bool local_rank_is(struct slice path, const struct body *body);
/* Fills rank and ask, whose pointers lead into it.  0, or a negative code with *f filled. */
int  local_rank_read(struct local_rank *rank, const struct json_doc *doc, struct turn_ask *ask, struct failure *f);
void local_rank_deinit(struct local_rank *rank); /* zeroed, or after local_rank_read(), however it ended */
void local_rank_note(struct local_rank *rank, unsigned text, struct slice vector);
/* The whole answer.  False: no memory. */
bool local_rank_write(const struct local_rank *rank, struct buf *out, struct slice id, struct slice model,
                      uint64_t tokens);

#endif
