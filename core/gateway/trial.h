/* trial.h -- a question that another upstream answers, too, for nobody. See trial.c. */
#ifndef PERILUNE_GATEWAY_TRIAL_H
#define PERILUNE_GATEWAY_TRIAL_H

#include "gateway/exchange.h"
#include "request/trial.h"

/* Of services (try_out).  False: not now. */
bool trial_begin(struct services *v, const struct trial_ask *ask);
/* Ends all that are under way: the worker is closing. */
void trial_end_all(struct worker *w);

#endif
