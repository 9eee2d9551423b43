/* access_log.h -- a line for each request. See access_log.c. */
#ifndef PERILUNE_GATEWAY_ACCESS_LOG_H
#define PERILUNE_GATEWAY_ACCESS_LOG_H

#include "base/log.h"
#include "gateway/telemetry.h"
#include "request/savings.h"

/* saved: what policies reported, or NULL. */
void access_log(struct log *log, const struct request_facts *f, const struct savings_entry *saved);

#endif
