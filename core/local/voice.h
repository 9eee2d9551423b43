/* voice.h -- one answer of a model, as thoughts, text and calls.  See voice.c. */
#ifndef PERILUNE_LOCAL_VOICE_H
#define PERILUNE_LOCAL_VOICE_H

#include "local/harmony_reader.h"
#include "local/stops.h"
#include "local/think_reader.h"

/* How the text of an answer is to be read. */
struct voice_reading {
    enum call_form     calls;    /* CALLS_NONE: there are none in it */
    bool               one_call; /* further ones are dropped */
    bool               only_calls; /* what is none is part of one that was cut off */
    struct think_marks marks;    /* both empty: it is not looked for thoughts */
    bool               inside;   /* it begins with one */
    bool               channels; /* it is made of messages (harmony_reader.c): marks are empty */
    bool               goes_on;  /* then: it begins in the text of one */
    struct slice       strings;  /* of CALLS_GLM: "function\0argument\0" ... whose values are strings.  Borrowed */
};

/* What was said, in order.  Slices are borrowed for the call.  Not 0: reading ends with that value. */
struct voice_sink {
    int (*on_thought)(void *ud, struct slice text);
    int (*on_text)(void *ud, struct slice text);
    int (*on_call)(void *ud, const struct call_said *call);
    void *ud;
};

/* Stays where it was made: its readers point to it. */
struct voice {
    const struct voice_reading *reading; /* borrowed */
    struct voice_sink     sink;
    struct think_reader   think;
    struct call_reader    caller;
    struct harmony_reader harmony;
    struct stops_reader   stops;
    struct buf            told;  /* text of which no stop is part */
    unsigned              calls;
};

/* stops: borrowed; NULL: nothing ends it. */
void voice_init(struct voice *v, const struct voice_reading *reading, const struct stops *stops,
                const struct voice_sink *sink);
void voice_deinit(struct voice *v);
/* Text of whole characters, marks included.  Returns 0, what the sink returned, or PERILUNE_ERR_NOMEM. */
int  voice_push(struct voice *v, struct slice piece);
/* The answer is over; cut: not by the model's will. */
int  voice_finish(struct voice *v, bool cut);
/* A stop has come: nothing is told of what follows. */
static inline bool voice_is_stopped(const struct voice *v) { return v->stops.which >= 0; }

#endif
