/* post_thread.h -- a thread for the post. See post_thread.c. */
#ifndef PERILUNE_JOBS_POST_THREAD_H
#define PERILUNE_JOBS_POST_THREAD_H

#include "jobs/post.h"

struct post_thread;

struct post_thread_options {
    struct jobs_store *home, *guests; /* outlive the thread */
    struct log        *log;
    bool             (*stays)(const struct job *j);
};

/* The owner's thread, as all of the following.  0, or an error with a sentence. */
int  post_thread_open(struct post_thread **out, const struct post_thread_options *opt, const struct broker_ops *ops,
                      const struct post_settings *s, char *why, size_t size);
/* Another broker, or another way to it, soon; what is wrong with it then is in the log. */
void post_thread_set(struct post_thread *t, const struct broker_ops *ops, const struct post_settings *s);
void post_thread_drain(struct post_thread *t);
/* Is nothing under way that would be lost time? */
bool post_thread_is_idle(const struct post_thread *t);
/* What is under way has within_ms; what has not ended then comes again to somebody.  NULL is fine. */
void post_thread_close(struct post_thread *t, uint64_t within_ms);

const struct post_stats *post_thread_stats(const struct post_thread *t);
void post_thread_state(const struct post_thread *t, struct broker_state *out);

#endif
