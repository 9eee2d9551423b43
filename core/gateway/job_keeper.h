/* job_keeper.h -- where the jobs of a process are, and who of its workers does them. See job_keeper.c. */
#ifndef PERILUNE_GATEWAY_JOB_KEEPER_H
#define PERILUNE_GATEWAY_JOB_KEEPER_H

#include "gateway/config.h"
#include "store/stores.h"

struct perilune;
struct worker;

/* The owner's thread. */
/* Opens what c says, when nothing is open yet.  *out, and *guests with a message broker: what was opened, or NULL.
 * Returns 0, or err gets a sentence. */
int  job_keeper_open(struct perilune *g, const struct config *c, struct jobs_store **out, struct jobs_store **guests,
                     char *err, size_t errlen);
/* The same for who only wants to know whether it could be: makes no file.  connect: what is on another machine is
 * asked, too: a Redis, a message broker. */
int  job_keeper_check(const struct config *c, bool connect, char *err, size_t errlen);
/* It is the configuration now; opened: by job_keeper_open(). */
void job_keeper_apply(struct perilune *g, struct jobs_store *opened, struct jobs_store *guests);
/* Is it not what the configuration says, which only a restart can change? */
bool job_keeper_differs(const struct perilune *g);
void job_keeper_close(struct perilune *g);
/* The broker brings no more jobs; what came and was not begun goes back. */
void job_keeper_drain_courier(struct perilune *g);
/* Is nothing on its way to the broker that would be lost time? */
bool job_keeper_is_idle(const struct perilune *g);

/* The worker's thread. */
/* What the new generation says: begins, goes on with other limits, or takes nothing more. */
void job_keeper_install(struct worker *w);
void job_keeper_drain(struct worker *w);
/* Draining is nearly over: what runs is given back. */
void job_keeper_give_back(struct worker *w);
unsigned job_keeper_running(const struct worker *w);
/* Appends an object for each function that runs, comma separated: requests are told with all others. */
void job_keeper_describe(const struct worker *w, uint64_t now_us, struct buf *out);
void job_keeper_leave(struct worker *w); /* the worker is closing */

#endif
