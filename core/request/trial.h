/* trial.h -- a question that another upstream answers, too, for nobody. Who asks is gateway/trial.c. */
#ifndef PERILUNE_REQUEST_TRIAL_H
#define PERILUNE_REQUEST_TRIAL_H

#include <stdbool.h>

#include "flow/flow.h"

struct body;
struct request;

/* How it ended. */
struct trial_result {
    bool         ok;
    const char  *code;       /* of the failure; "canceled": the worker closed; "" */
    uint64_t     total_us;
    struct usage usage;
    struct slice text;       /* of the first choice, up to TRIAL_TEXT bytes; borrowed */
};

#define TRIAL_TEXT 65536 /* bytes */

struct trial_ask {
    struct request *request;   /* its answer is under way or was given */
    struct body    *body;      /* as policies left it; borrowed */
    const char     *upstream;
    /* Called once, in whatever way it ends; not when try_out() says false. */
    void          (*over)(void *ud, const struct trial_result *result);
    void           *ud;
};

#endif
