/* continuation.h -- an answer that breaks off, and goes on elsewhere. See continuation.c. */
#ifndef PERILUNE_REQUEST_CONTINUATION_H
#define PERILUNE_REQUEST_CONTINUATION_H

#include "request/outgoing.h"

/* Wraps the source of the answer to o, where its upstream can go on with an answer (target.prefill) and the request
 * is of a kind for that; else from itself.  from NULL, or no memory: NULL, and from is gone. */
struct source *continuation_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form,
                                struct source *from);

#endif
