/* whole.h -- an answer on its way, kept as the whole that it is in the end. See whole.c. */
#ifndef PERILUNE_BRIDGE_WHOLE_H
#define PERILUNE_BRIDGE_WHOLE_H

#include "base/buf.h"
#include "flow/flow.h"

struct whole;

/* At most `limit` bytes; 0: any.  NULL: no memory. */
struct whole *whole_new(size_t limit);
void          whole_free(struct whole *w); /* NULL is fine */
void          whole_add(struct whole *w, const struct event *ev);
/* Appends the answer as JSON, of a stream too.  False, with nothing written: there is none, or it was too long. */
bool          whole_write(struct whole *w, struct buf *out);

#endif
