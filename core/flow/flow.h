/* flow.h -- the one interface of this program: answers move from a source to a
 * sink as events.
 *
 *     source --HEAD, FRAME/BYTES..., then exactly one END or ERROR--> sink
 *            <------------- resume, cancel, mark ---------------------
 *
 * Whatever answers is a source (source.h): an upstream call, the reader of its
 * answer, an answer made here.  Whatever takes an answer is a sink: a client's
 * connection, a response that holds it, a collector.  What stands between two of
 * them is a sink to its left and a source to its right.
 *
 * Everything an event points to is borrowed: it dies when event() returns.
 * FLOW_FULL means "I took this one; please stop until resume()".  It is advice:
 * a source may still deliver what it already holds, and the sink must take it.
 * END and ERROR are last: the source may be freed when the sink returns from them.
 * One thread: the loop's. */
#ifndef PERILUNE_FLOW_FLOW_H
#define PERILUNE_FLOW_FLOW_H

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

enum event_type {
    EVENT_HEAD,  /* status, content_type, headers */
    EVENT_FRAME, /* one event of a text/event-stream: raw bytes and its data */
    EVENT_BYTES, /* a piece of any other body */
    EVENT_END,
    EVENT_ERROR
};

struct headers_list;

/* What tokens were, of those of the prompt and of the answer, where somebody says it.  ORDER: openai_usage_details, and
 * detail_names of bridge/l_response.c. */
enum usage_detail {
    USAGE_PROMPT_AUDIO, USAGE_REASONING, USAGE_AUDIO,
    USAGE_ACCEPTED, USAGE_REJECTED, /* of a prediction */
    USAGE_DETAIL_COUNT
};

/* What an answer cost, as the upstream counted it. */
struct usage {
    bool     known;
    uint64_t prompt, completion, cached; /* tokens */
    uint64_t details[USAGE_DETAIL_COUNT]; /* tokens of these */
    unsigned detailed;                    /* which of them are told: bits */
    bool     senseless; /* it said numbers that cannot be: then they are not known */
    uint64_t said;      /* tokens of the answer so far as its reader estimates them; 0: it did not */
    /* Of these, what was counted with other requests, which policies made for this one (request/spent.h). */
    struct { uint64_t prompt, completion, cached; } elsewhere;
};

/* Adds the details of another answer's. */
static inline void usage_add_details(struct usage *to, const struct usage *from) {
    to->detailed |= from->detailed;
    for (unsigned i = 0; i < USAGE_DETAIL_COUNT; i++) to->details[i] += from->details[i];
}

/* What is to be counted here. */
static inline struct usage usage_here(const struct usage *u) {
    struct usage here = *u;
    here.prompt -= u->elsewhere.prompt;
    here.completion -= u->elsewhere.completion;
    here.cached -= u->elsewhere.cached;
    memset(&here.elsewhere, 0, sizeof(here.elsewhere));
    return here;
}

/* Is there anything in it? */
static inline bool usage_is_told(const struct usage *u) { return u->known || u->senseless || u->said > 0; }

struct event {
    enum event_type       type;
    int                   status;       /* HEAD */
    struct slice          content_type; /* HEAD */
    struct slice          headers;      /* HEAD: lines "name: value\r\n" that the source kept (headers.h) */
    bool                  has_length;   /* HEAD: the body's length is known: */
    uint64_t              length;       /* HEAD: bytes */
    struct slice          upstream;     /* HEAD, ERROR: who gave it, when that is not who was asked first; or empty */
    const struct headers_list *pass;    /* HEAD, with `upstream`: of `headers`, those for the client; NULL: as said */
    struct slice          raw;          /* FRAME: as it came, blank line included; BYTES */
    struct slice          data;         /* FRAME: the data lines, joined */
    const struct usage   *usage;        /* any but HEAD: learned since the last event; else NULL */
    struct slice          usage_said;   /* END: the upstream's own object (JSON), when it was cut out; or empty */
    bool                  partial;      /* END: something that belongs to it is missing, so that nobody keeps it */
    const struct failure *failure;      /* ERROR */
};

enum flow { FLOW_MORE, FLOW_FULL };

struct sink {
    enum flow (*event)(struct sink *k, const struct event *ev);
};

#endif
