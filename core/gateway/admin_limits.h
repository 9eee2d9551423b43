/* admin_limits.h -- what operators see of limits. See admin_limits.c. */
#ifndef PERILUNE_GATEWAY_ADMIN_LIMITS_H
#define PERILUNE_GATEWAY_ADMIN_LIMITS_H

#include "base/buf.h"

struct perilune;

/* {"keys":N,"bytes":N,"list":[{"name":,"key":,"in_flight":,"meters":[...]}]}: those in use and the latest, 1000
 * at most. */
void admin_limits(struct perilune *g, struct buf *out);

#endif
