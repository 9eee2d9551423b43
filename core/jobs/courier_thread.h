/* courier_thread.h -- a thread for the courier. See courier_thread.c. */
#ifndef PERILUNE_JOBS_COURIER_THREAD_H
#define PERILUNE_JOBS_COURIER_THREAD_H

#include "jobs/courier.h"

struct courier_thread;

struct courier_thread_options {
    struct jobs_store *home, *guests; /* outlive the thread */
    struct log        *log;
    bool             (*stays)(const struct job *j);
};

/* The owner's thread, as all of the following.  0, or an error with a sentence. */
int  courier_thread_open(struct courier_thread **out, const struct courier_thread_options *opt,
                         const struct broker_ops *ops, const struct courier_settings *s, char *why, size_t size);
/* Another broker, or another way to it, soon; what is wrong with it then is in the log. */
void courier_thread_set(struct courier_thread *t, const struct broker_ops *ops, const struct courier_settings *s);
/* False: what was named then could not be had, and there is none. */
bool courier_thread_has_broker(const struct courier_thread *t);
void courier_thread_drain(struct courier_thread *t);
/* Is nothing under way that would be lost time? */
bool courier_thread_is_idle(const struct courier_thread *t);
/* What is under way has within_ms; what has not ended then comes again to somebody.  NULL is fine. */
void courier_thread_close(struct courier_thread *t, uint64_t within_ms);

const struct courier_stats *courier_thread_stats(const struct courier_thread *t);
void courier_thread_state(const struct courier_thread *t, struct broker_state *out);

#endif
