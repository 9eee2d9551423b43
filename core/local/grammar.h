/* grammar.h -- a grammar, and where an answer stands in it.  See grammar.c, matcher.c. */
#ifndef PERILUNE_LOCAL_GRAMMAR_H
#define PERILUNE_LOCAL_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "local/pieces.h"

#define GRAMMAR_CODE (1u << 19) /* instructions of a grammar at most: 4 MiB */
#define GRAMMAR_WAYS 16384      /* ways to go on that are open at once */
#define GRAMMAR_WORK (1u << 20) /* looks at an instruction for one token */

/* For clients. */
#define GRAMMAR_TOO_DEAR                                                                                         \
    "the form of the answer (response_format, tools) leaves too many ways open at once: more than 16384, or more "  \
    "than can be followed in the time of a token; alternatives that begin alike (anyOf, or | and counts of counts " \
    "in pattern) multiply"

struct grammar;

/* Reads a grammar in the notation of llama.cpp (GBNF), as gbnf.c and answer_grammar.c write it, whose rule "root" is
 * the whole.  0; PERILUNE_ERR_INVAL or PERILUNE_ERR_LIMITED with a sentence that has none of its text; _NOMEM. */
int  grammar_new(struct grammar **out, const char *text, char *why, size_t why_size);
void grammar_ref(struct grammar *g);
void grammar_put(struct grammar *g); /* NULL is fine.  All on one thread */

/* Where one answer stands. */
struct matcher {
    struct grammar *grammar; /* a share; NULL: none, anything may be said */
    struct states  *states;  /* a share */
    uint32_t        set;
    uint32_t        partial; /* of a character whose last `rest` bytes of `total` have not come */
    uint8_t         rest, total;
};

/* A share of g is the matcher's then.  0; PERILUNE_ERR_LIMITED; _NOMEM. */
int  matcher_init(struct matcher *m, struct grammar *g);
void matcher_deinit(struct matcher *m);

/* All three: PERILUNE_ERR_LIMITED (more than GRAMMAR_WAYS or GRAMMAR_WORK) and _NOMEM leave m where it was. */

/* 1: the text may come next, 0: it may not. */
int  matcher_allows(struct matcher *m, struct slice text);
/* It came.  0. */
int  matcher_accept(struct matcher *m, struct slice text);
/* Tokens that may not come next get -INFINITY.  0. */
int  matcher_mask(struct matcher *m, struct pieces *p, float *logits);
/* May the answer end here? */
bool matcher_may_end(const struct matcher *m);

#endif
