/* job_desk.h -- what clients ask of jobs, under /v1/async. See job_desk.c. */
#ifndef PERILUNE_GATEWAY_JOB_DESK_H
#define PERILUNE_GATEWAY_JOB_DESK_H

#include "gateway/exchange.h"

struct job_desk;

/* For x, whose ops call the functions below. NULL: no memory. */
struct job_desk *job_desk_new(struct exchange *x);
/* The request is complete. May end and free x. */
void job_desk_begin(struct job_desk *d, struct buf *body);
void job_desk_admitted(struct job_desk *d);
void job_desk_free(struct job_desk *d); /* NULL is fine */

#endif
