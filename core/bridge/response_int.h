/* response_int.h -- the inside of a response, for response.c, local.c, hooks.c
 * and l_response.c. */
#ifndef PERILUNE_BRIDGE_RESPONSE_INT_H
#define PERILUNE_BRIDGE_RESPONSE_INT_H

#include "bridge/response.h"
#include "tokens/calibration.h"

struct local;
struct hooks;

struct record { /* one held event; its bytes follow */
    enum event_type type;
    uint32_t        raw_len, data_off, data_len;
};

struct response {
    unsigned           refs;
    struct list        link;   /* among those of its request */
    struct state      *state;
    enum response_kind kind;
    struct sink        from;   /* the answer's, or the local source's, sink */
    struct sink        raw;    /* the call's, for pass-through */
    struct answer     *answer; /* RESPONSE_CHAT from an upstream */
    struct call       *call;   /* NULL: ended, or made here */
    struct local      *local;  /* made here */
    struct hooks      *hooks;  /* NULL: no policy looks at it */
    struct sink       *to;     /* the consumer */
    struct buf         held;   /* records */
    size_t             read_at; /* where res:events() stands in held */
    struct deferred         wake;
    void             (*ready)(void *ud);
    void              *ready_ud;
    struct buf         headers; /* "name: value\r\n" for the client */
    struct failure    *failure;
    struct usage       usage;
    size_t             limit;   /* bytes of a whole answer */
    uint64_t           first_us;
    uint64_t           length, counted;
    int                status, pin;
    unsigned           slot;   /* of the handle; 0: none */
    bool               counted_own, stream, keep_usage, headed, over, failed, reading, opened, finished, in_event,
                       has_length;
    char               content_type[80];
    char               upstream[64], model[CALIBRATION_NAME];
};

bool response_record(const struct response *r, size_t *at, struct event *ev);
/* From here on hooks see events, those held first. */
void response_open(struct response *r);
/* Behind the hooks: to the consumer, or held. */
enum flow response_out(struct response *r, const struct event *ev);
void response_break(struct response *r, const struct failure *f);
/* As if the source had sent it. */
void response_emit(struct response *r, const struct event *ev);

/* Takes r from its handle, if there is one; may free r. */
void response_empty_handle(struct response *r);

/* local.c */
void local_stop(struct response *r);
void local_deinit(struct response *r);

#endif
