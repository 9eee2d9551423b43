/* event_reader.h -- an event of an answer as Lua sees it. See event_reader.c. */
#ifndef PERILUNE_BRIDGE_EVENT_READER_H
#define PERILUNE_BRIDGE_EVENT_READER_H

#include <lua.h>

#include "flow/flow.h"
#include "llm/dialect.h"

/* Scratch for events that are read one after the other. Zeroed; then event_reader_deinit(). */
struct event_reader {
    struct json_doc   doc;
    struct piece_list pieces;
    struct piece_half half; /* of the text */
};

void event_reader_deinit(struct event_reader *e);
/* Appends the text that the event carries for this choice; the same one each time. d NULL: the bytes. */
void event_reader_text(struct event_reader *e, const struct dialect *d, const struct event *ev, unsigned choice,
                       struct buf *out);
/* Appends the text of choice 0 to out, and calls of tools to the list on top, which has *count of them.  True: it was
 * cut, for want of room. */
bool event_reader_answer(lua_State *L, struct event_reader *e, const struct dialect *d, const struct event *ev,
                         struct buf *out, int *count);
/* { type=, data=, text=, choice=, pieces= } [0, +1, e] */
void event_reader_push(lua_State *L, struct event_reader *e, const struct dialect *d, const struct event *ev);

#endif
