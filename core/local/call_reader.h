/* call_reader.h -- calls of tools in the text that a model writes.  See call_reader.c. */
#ifndef PERILUNE_LOCAL_CALL_READER_H
#define PERILUNE_LOCAL_CALL_READER_H

#include "base/buf.h"

#define CALL_READER_MAX (1u << 20) /* bytes of calls of one answer; more is text */

/* HARMONY is read by harmony_reader.c: its marks say more than where calls are. */
enum call_form { CALLS_NONE, CALLS_HERMES, CALLS_LLAMA3, CALLS_MISTRAL, CALLS_DEEPSEEK, CALLS_GLM, CALLS_HARMONY };

/* newer: MISTRAL names the function in front of its arguments; DEEPSEEK writes them without a fence. */
struct call_shape {
    enum call_form form;
    bool           newer;
};

/* The form that the answers of a model with this chat template have; NONE: the template speaks of none. */
enum call_form call_form_of(struct slice chat_template);
struct call_shape call_shape_of(struct slice chat_template);
/* What opens and closes calls of this form, for who asks whether they are tokens of their own; at most `room`. */
unsigned call_form_marks(enum call_form form, const char **out, unsigned room);

struct call_said {
    unsigned     index;     /* of the call in the answer, from 0 */
    struct slice name;      /* decoded */
    struct slice arguments; /* JSON, an object */
    struct slice id;        /* what the model called it; empty: nothing */
};

/* What was read, in order.  Slices are borrowed for the call.  Not 0: reading ends with that value. */
struct call_sink {
    int (*on_text)(void *ud, struct slice text);
    int (*on_call)(void *ud, const struct call_said *call);
    /* GLM: is this argument of this function a string, whatever it looks like?  NULL: nothing is known. */
    bool (*is_string)(void *ud, struct slice function, struct slice argument);
    void *ud;
};

struct call_reader {
    enum call_form   form;
    int              state;
    struct buf       held; /* text that may begin a call, or a call that is not complete */
    size_t           seen; /* bytes of it in which no closing mark ends a call */
    unsigned         calls;
    struct call_sink sink;
};

void call_reader_init(struct call_reader *r, enum call_form form, const struct call_sink *sink);
void call_reader_deinit(struct call_reader *r);
/* Text of whole characters.  Returns 0, what the sink returned, or PERILUNE_ERR_NOMEM. */
int  call_reader_push(struct call_reader *r, struct slice piece);
/* The answer is over; cut: not by the model's will.  What began as a call and is none is given as the text that it is;
 * what a call began with that was cut off is dropped. */
int  call_reader_finish(struct call_reader *r, bool cut);
/* Is s JSON of which the end is missing? */
bool call_json_is_cut(struct slice s);

#endif
