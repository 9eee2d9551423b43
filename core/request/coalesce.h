/* coalesce.h -- calls that ask the same at the same time share one answer. See coalesce.c. */
#ifndef PERILUNE_REQUEST_COALESCE_H
#define PERILUNE_REQUEST_COALESCE_H

#include "request/outgoing.h"

/* May this call share? */
bool coalesce_suits(const struct services *v, const struct outgoing *o);
/* What the call shares its answer by, and with it its errors; o->pool may be NULL: whoever is asked.  False: no
 * memory. */
bool coalesce_key(struct services *v, const struct outgoing *o, const struct outgoing_form *form, struct hash128 *key,
                  struct hash128 *rest);
/* The answer to this call, which is another's when one is under way (*joined); bill: of the response that gets it.
 * NULL: no memory. */
struct source *coalesce(struct services *v, const struct outgoing *o, const struct outgoing_form *form,
                        struct bill *bill, bool *joined);
/* What a flight says of who pays (flight_options.pays), for the response.  b may be NULL. */
void coalesce_bill(struct bill *b, bool pays, const struct usage *known);

#endif
