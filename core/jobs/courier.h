/* courier.h -- jobs that go from node to node by a message broker. See courier.c. */
#ifndef PERILUNE_JOBS_COURIER_H
#define PERILUNE_JOBS_COURIER_H

#include "base/stats.h"
#include "jobs/broker.h"
#include "jobs/jobs.h"

/* What a configuration says.  Borrowed; the courier copies. */
struct courier_settings {
    struct broker_settings broker; /* results: never NULL */
    uint64_t lease_ms;             /* who works on a job says so three times as often */
    uint64_t lost_ms;              /* nothing was heard of a job for so long: it is handed on again */
    unsigned max_tries;            /* of jobs that do not say */
};

/* Written by the courier's thread, read by any. */
struct courier_stats {
    stats_counter handed_on;       /* jobs that the broker has confirmed */
    stats_counter came, refused;   /* messages of the work, and those that were no jobs */
    stats_counter done;            /* jobs of others that ended here, and whose end was confirmed */
    stats_counter results, unknown; /* of jobs of ours that came back; and of jobs that nobody here knows */
    stats_counter failed;          /* messages that the broker did not confirm, and were or will be sent again */
    stats_counter handing_on, guests; /* now: jobs that the broker has not confirmed, jobs of others */
};

struct courier_options {
    struct loop   *loop;
    struct log    *log;
    struct jobs   *home, *guests;  /* ends of its own, on this loop; their due() is the courier's */
    bool         (*stays)(const struct job *j); /* one that only this node can do */
};

struct courier;

/* On the loop's thread, as all of the following but courier_stats() and courier_state().  NULL: why has a sentence. */
struct courier *courier_new(const struct courier_options *opt, const struct broker_ops *ops,
                            const struct courier_settings *s, char *why, size_t size);
/* Another broker, or another way to it, from now on: what the old one has not confirmed goes to the new one.  0, or
 * an error with a sentence: nothing has changed, or there is no broker any more, see courier_has_broker(). */
int  courier_set(struct courier *p, const struct broker_ops *ops, const struct courier_settings *s, char *why,
                size_t size);
/* No more work is taken, what was not begun here goes back. */
void courier_drain(struct courier *p);
/* Is nothing under way any more that would be lost time: results to be told, jobs to be confirmed? */
bool courier_is_idle(const struct courier *p);
/* Waits for the driver's thread, as long as that may take.  NULL is fine. */
void courier_free(struct courier *p);

/* [any] until courier_free(). */
const struct courier_stats *courier_stats_of(const struct courier *p);
/* False: the one that courier_set() named could not be had, and the one before is closed. */
bool courier_has_broker(struct courier *p);
void courier_state(struct courier *p, struct broker_state *out);

#endif
