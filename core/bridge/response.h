/* response.h -- an answer on its way from an upstream (or from a policy) to
 * whoever wants it. See response.c. */
#ifndef PERILUNE_BRIDGE_RESPONSE_H
#define PERILUNE_BRIDGE_RESPONSE_H

#include "bridge/state.h"
#include "bridge/task.h"
#include "llm/answer.h"

struct response;

/* What became of an answer; for finally(), the log and the metrics. */
struct outcome {
    bool         ok;
    char         code[48];
    struct usage usage;
    uint64_t     ttft_us, total_us;
};

enum response_kind {
    RESPONSE_CHAT,  /* read on its way: usage, errors in the stream, [DONE] */
    RESPONSE_BYTES  /* passed through as it comes */
};

struct response_options {
    const char        *upstream;
    enum response_kind kind;
    bool               stream;     /* the request asked for one */
    bool               keep_usage;
    struct list       *among;      /* the request's responses; NULL: none */
    size_t             limit;      /* bytes of an answer; 0: the state's */
    struct slice       model;      /* that the upstream is asked for */
    uint64_t           counted;    /* prompt tokens as we count them; 0: not counted */
    bool               counted_own; /* with the model's own vocabulary */
};

/* One share for the caller. NULL when there is no memory. */
struct response *response_new(struct state *s, const struct response_options *opt);
/* The request is over: stops the calls of all responses in the list, empties their
 * handles, and the list. */
void response_abandon_all(struct list *responses);

/* Starts the call; what comes is held until somebody takes it. The call's own
 * sink is the response. */
void response_start(struct response *r, struct call *c);
struct response *response_ref(struct response *r);
void response_put(struct response *r); /* the last share cancels the call */

/* Tells `ready` once, before the loop blocks: the first event, the end, or the
 * failure is here. */
void response_on_ready(struct response *r, void (*ready)(void *ud), void *ud);
/* Failed with nothing to show: the failure, else NULL. */
const struct failure *response_failure(const struct response *r);

/* Everything held, then everything that comes, goes to `to`; one consumer, once. */
void response_deliver(struct response *r, struct sink *to);
void response_resume(struct response *r);
/* The consumer is done with it, or gone: stops the call, runs finally(). */
void response_finish(struct response *r, const struct outcome *o);

const char    *response_upstream(const struct response *r);
struct slice   response_headers(const struct response *r); /* lines for the client */
/* Prompt tokens as we counted them; 0: we did not. */
uint64_t       response_counted(const struct response *r);
const struct usage *response_usage(const struct response *r);
uint64_t       response_hooks_us(const struct response *r); /* time that tap and map took so far */
uint64_t       response_first_us(const struct response *r); /* hrtime of the first event; 0: none */

/* A new one with its handle, which has the only share. [0, +1, e] */
struct response *response_make(lua_State *L, const struct response_options *opt);
/* Pushes the handle, the same each time. [0, +1, e]; the response at index, or NULL / raises */
void             response_push(lua_State *L, struct response *r);
struct response *response_test(lua_State *L, int index);
/* Keeps the handle alive while its functions are needed; the consumer calls it. */
void             response_pin(struct response *r);

/* An answer made here. */
struct local_answer {
    struct slice        text;   /* or pieces: `count` slices */
    const struct slice *pieces;
    unsigned            count;
    int                 status;
    struct slice        model;
    struct usage        usage;
    uint64_t            ttft_ms, itl_ms; /* delays; for tests */
    struct failure     *failure; /* comes after the pieces; taken; may be NULL */
    bool                stream, keep_usage;
};
int response_local(struct response *r, const struct local_answer *a);

#endif
