/* answer.h -- reads an upstream's answer to a chat on its way through: usage,
 * errors inside a 200, the end. See answer.c. */
#ifndef PERILUNE_LLM_ANSWER_H
#define PERILUNE_LLM_ANSWER_H

#include "base/json.h"
#include "flow/flow.h"
#include "llm/sse.h"

struct usage {
    bool     known;
    uint64_t prompt, completion, cached; /* tokens */
};

/* Stands between a call (left) and whoever wants the answer (right). Embedded by
 * its owner; one answer, then deinit. */
struct answer {
    struct sink     sink;   /* give this to the call */
    struct sink    *to;
    const char     *upstream; /* name, for messages; borrowed */
    struct sse   events;
    struct buf      scratch;  /* a frame without its usage */
    struct buf      whole;    /* an answer that is not a stream */
    struct json_doc doc;
    struct usage    usage;
    struct failure  failure;
    void          (*mark)(void *ud); /* a real event came */
    void           *mark_ud;
    int             status;
    enum flow       flow;     /* what `to` said last */
    unsigned        expect_stream : 1, keep_usage : 1, is_stream : 1, headed : 1, done : 1,
                    finished : 1, over : 1;
    char            content_type[80];
};

struct answer_options {
    const char *upstream;
    bool        stream;     /* the request asked for a stream */
    bool        keep_usage; /* the client asked for usage itself */
    size_t      limit;      /* bytes: a whole answer; 1 MiB at most per event */
    void      (*mark)(void *ud);
    void       *mark_ud;
};

/* `to` gets HEAD with the first real event (so that an error in it is still an
 * error before anything was sent), FRAMEs or one BYTES, END or ERROR.  A stream
 * that ends without [DONE] and without a finish_reason is an ERROR. */
void answer_init(struct answer *a, const struct answer_options *opt, struct sink *to);
void answer_deinit(struct answer *a);

#endif
