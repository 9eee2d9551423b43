/* composed.h -- an answer made of pieces, and of other answers. See composed.c. */
#ifndef PERILUNE_REQUEST_COMPOSED_H
#define PERILUNE_REQUEST_COMPOSED_H

#include "flow/response.h"
#include "llm/dialect.h"
#include "llm/composing.h"

struct composed;

/* Who writes it.  Called outside of the writing functions, from the loop. */
struct composed_ops {
    void (*begin)(void *ud);   /* somebody may read it from now on: once */
    void (*drained)(void *ud); /* there is room again, after composed_is_full() */
    /* Nobody wants it any more, or it failed by itself; no other call follows.  Not after composed_end() and
     * composed_fail(); maybe from inside of Lua. */
    void (*gone)(void *ud);
};

struct composed_options {
    struct loop               *loop;
    const struct dialect      *dialect; /* has `composing` */
    struct slice               model;
    unsigned                   choices; /* that it may have, 1 to COMPOSING_CHOICES */
    bool                       stream, keep_usage; /* the form that the client waits for */
    size_t                     limit;      /* bytes of a whole answer, or of one event */
    size_t                     high_water; /* bytes that wait for the client before writers do */
    const struct composed_ops *ops;
    void                      *ud;
};

/* One share for the writer. NULL: no memory. */
struct composed *composed_new(const struct composed_options *opt);
struct composed *composed_ref(struct composed *c);
void             composed_put(struct composed *c); /* NULL is fine */
/* For response_start(), which is due once: it holds a share. */
struct source   *composed_source(struct composed *c);

/* Did it end, or is nobody there any more?  Nothing can be written then. */
bool composed_is_over(const struct composed *c);
/* Must a writer wait?  Then it is told, once. */
bool composed_is_full(struct composed *c);
unsigned composed_choices(const struct composed *c);

/* What does not fit, or finds no memory, makes the answer end as failed. */
void composed_text(struct composed *c, unsigned choice, enum piece_kind kind, struct slice text);
void composed_call(struct composed *c, unsigned choice, const struct composing_call *call);
/* What a part used, that does not come by composed_pipe(). */
void composed_usage(struct composed *c, const struct usage *u);
/* Why a choice ends, whatever its parts say. */
void composed_reason(struct composed *c, unsigned choice, struct slice reason);
/* A part of it is missing: no cache keeps it. */
void composed_partial(struct composed *c);
/* It is complete, or failed: what was written goes out before.  Once; pipes end without a word. */
void composed_end(struct composed *c);
void composed_fail(struct composed *c, const struct failure *f);

/* -- Parts ------------------------------------------------------------------------------ */

enum pipe_by {
    PIPE_WHOLE, /* as it comes; with a label: that, whenever another one spoke before */
    PIPE_LINES  /* whole lines, each behind the label */
};

struct pipe_options {
    enum pipe_by by;
    struct slice label;  /* text; copied */
    int          only;   /* of its choices, or -1: all that the answer has */
    unsigned     as;     /* the choice of the answer for `only`; LINES: for all text */
};

struct pipe_result {
    const struct failure *failure; /* NULL: all of it came */
    char                  reason[COMPOSING_REASON]; /* of the (first) choice; empty: not said */
    bool                  refused, called; /* a refusal, a call of a tool was in it */
    bool                  said;   /* anything went on at all */
    struct usage          usage;
};

struct pipe;
/* Takes a share of r, which has no consumer yet.  over() is called once, from the loop; not after pipe_cancel(), and
 * not when the answer is over.  NULL: no memory. */
struct pipe *pipe_new(struct composed *c, struct response *r, const struct pipe_options *opt,
                      void (*over)(void *ud, const struct pipe_result *result), void *ud);
void pipe_cancel(struct pipe *p); /* frees p */

#endif
