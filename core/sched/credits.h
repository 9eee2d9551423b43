/* credits.h -- the credit of names. See credits.c. */
#ifndef PERILUNE_SCHED_CREDITS_H
#define PERILUNE_SCHED_CREDITS_H

#include "base/slice.h"
#include "sched/credit.h"

#define CREDITS_MAX 4096 /* names */

struct credits; /* of a process; they survive reloads */

struct credits *credits_new(void); /* NULL: no memory */
void            credits_free(struct credits *c); /* NULL is fine */
/* Any thread.  Made when there is none of this name; lives as long as they all.  NULL: there are CREDITS_MAX, or no
 * memory. */
struct credit  *credits_get(struct credits *c, struct slice name);

#endif
