/* composed_int.h -- what composed.c and pipe.c share. */
#ifndef PERILUNE_REQUEST_COMPOSED_INT_H
#define PERILUNE_REQUEST_COMPOSED_INT_H

#include "llm/assemble.h"
#include "request/composed.h"

enum composed_state {
    COMPOSED_OPEN,   /* written to */
    COMPOSED_ENDING, /* all is written; what waits goes out, then the end */
    COMPOSED_OVER    /* it ended, or nobody wants it */
};

struct composed {
    struct source          source;
    struct sink           *to;        /* NULL: not started yet, or over */
    unsigned               refs;
    enum composed_state    state;
    struct composed_options opt;
    struct buf             model, common; /* text that opt.model is; members that each event repeats */
    struct buf             pending;   /* records of events that go out in this turn */
    struct buf             scratch;   /* one event */
    struct json_doc        doc;       /* of an event that becomes a part of a whole */
    struct assemble        assembly;  /* of a whole answer */
    struct composing_choice *choices;
    struct list            pipes;     /* struct pipe */
    struct pipe           *speaker;   /* whose label was said last */
    struct deferred        flush;
    struct failure         failure;
    struct usage           usage;
    char                   upstream[64]; /* of the first part */
    bool                   full;      /* the client has enough */
    bool                   waited;    /* somebody was told that it is full */
    bool                   writer;    /* is to be told when it is over */
    bool                   headed, news, partial;
};

struct pipe {
    struct list       link;      /* among those of c */
    struct sink       sink;      /* of part */
    struct retelling_calls calls;
    struct composed  *c;         /* a share */
    struct response  *part;      /* a share */
    struct deferred   turn;      /* to begin, and to say that it is over */
    struct pipe_options opt;
    struct buf        label, line, whole;
    struct json_doc   doc;
    struct piece_list pieces;
    struct piece_half half;
    struct pipe_result result;
    struct failure    failure;
    struct pipe_call { unsigned choice, index, number; } *numbers; /* of calls: in the part, and in the answer */
    unsigned          number_count, number_cap;
    bool              delivered, ended, speaks; /* speaks: this event says something */
    void            (*over)(void *ud, const struct pipe_result *result);
    void             *ud;
};

/* The data of an event is in c->scratch: it goes out. */
void composed_send(struct composed *c);
/* Half of a character that was written last becomes U+FFFD: something else follows. */
void composed_half(struct composed *c, unsigned choice);
void pipes_resume(struct composed *c);
void pipes_end(struct composed *c); /* without a word */

#endif
