/* attempt.h -- a call, judged, and asked once more elsewhere. See attempt.c. */
#ifndef PERILUNE_REQUEST_ATTEMPT_H
#define PERILUNE_REQUEST_ATTEMPT_H

#include "request/outgoing.h"

/* The answer to o as a source; o->ticket is its own from here on, also on failure.  NULL: no memory. */
struct source *attempt_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form);
/* What a failure says of t, which was asked with the key of the client's or its own. */
enum breaker_outcome attempt_outcome(const struct failure *f, const struct target *t);

#endif
