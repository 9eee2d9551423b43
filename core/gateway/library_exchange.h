/* library_exchange.h -- the program that the library is part of, as who asks. See library_exchange.c. */
#ifndef PERILUNE_GATEWAY_LIBRARY_EXCHANGE_H
#define PERILUNE_GATEWAY_LIBRARY_EXCHANGE_H

#include "gateway/exchange.h"
#include "include/perilune.h"
#include "llm/sayings.h"

struct library_exchange;

/* Of who hears the answer. */
struct library_hearer {
    /* Any event but ERROR; END is the last.  False: there was no memory for it. */
    bool (*event)(struct library_exchange *e, const perilune_event *ev);
    /* The last event, too. */
    void (*failed)(struct library_exchange *e, const perilune_event *ev);
    void (*over)(struct library_exchange *e); /* nothing comes any more; e may go, or begin again */
    /* Does enough wait? */
    bool (*is_full)(const struct library_exchange *e);
};

/* Embedded in the struct of who hears. */
struct library_exchange {
    struct exchange   x;
    struct sink       sink;
    const struct library_hearer *hearer;
    struct sayings    sayings;
    struct buf        reason;  /* why choice 0 ended */
    struct slice      raw;     /* of the event that is read now, until somebody was told of it */
    bool              lost;    /* something that was to be told found no memory */
    bool              stopped; /* the client was told to go on no further; see library_exchange_resume() */
};

/* What is asked; its strings are borrowed until over(). */
struct library_question {
    struct slice        method, path, query, tenant; /* tenant: ptr NULL: the configuration finds it out */
    struct http_header *headers;
    unsigned            header_count;
};

/* The worker's thread.  Takes body.  False, with nothing said: no memory; else events come, and over(), perhaps from
 * inside of it. */
bool library_exchange_begin(struct library_exchange *e, struct worker *w, const struct library_hearer *h,
                            const struct library_question *q, struct buf *body);
/* Who hears is no longer full. */
void library_exchange_resume(struct library_exchange *e);
/* Silence from here on, but for over(). */
void library_exchange_stop(struct library_exchange *e);

/* A failure in the words of perilune.h. */
int  library_error(const struct failure *f);

#endif
