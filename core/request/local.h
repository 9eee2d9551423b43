/* local.h -- an answer of a model in this process, as a source. See local.c. */
#ifndef PERILUNE_REQUEST_LOCAL_H
#define PERILUNE_REQUEST_LOCAL_H

#include "request/outgoing.h"

/* What a model of this process says to o: the events of a stream of chunks, or the body of an answer with vectors. The
 * target of o->pool has an engine.  NULL: no memory. */
struct source *local_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form);

#endif
