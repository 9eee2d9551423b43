/* job_limits.c -- how much at once: a counted copy of what the configuration says.
 *
 *     [ struct | queues[0] queues[1] ... | name NUL name NUL ... ]      one block
 *
 * A reload makes a new one while a thread may be reading the old: both are immutable and counted.  Queues are as many
 * as a person wrote down, so they are looked for one by one. */
#include "jobs/job_limits.h"

#include "base/mem.h"

struct job_limits *job_limits_new(const struct jobs_limits *l) {
    static const struct jobs_limits none;
    size_t names = 0;
    if (l == NULL) l = &none;
    for (unsigned i = 0; i < l->queue_count; i++) names += strlen(l->queues[i].name) + 1;
    struct job_limits *own = mem_alloc(sizeof(*own) + l->queue_count * sizeof(*own->queues) + names);
    if (own == NULL) return NULL;
    atomic_init(&own->refs, 1);
    own->l = *l;
    own->l.queues = own->queues;
    char *at = (char *)(own->queues + l->queue_count);
    for (unsigned i = 0; i < l->queue_count; i++) {
        size_t size = strlen(l->queues[i].name) + 1;
        memcpy(at, l->queues[i].name, size);
        own->queues[i] = (struct jobs_queue_limit){ at, l->queues[i].concurrency };
        at += size;
    }
    return own;
}

struct job_limits *job_limits_ref(struct job_limits *l) {
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void job_limits_put(struct job_limits *l) {
    if (l != NULL && atomic_fetch_sub(&l->refs, 1) == 1) mem_free(l);
}

unsigned job_limits_of(const struct job_limits *l, struct slice queue) {
    for (unsigned i = 0; i < l->l.queue_count; i++)
        if (slice_eq(queue, slice_str(l->queues[i].name))) return l->queues[i].concurrency;
    return l->l.concurrency;
}

bool job_limits_any(const struct job_limits *l) {
    return l->l.concurrency > 0 || l->l.tenant_concurrency > 0 || l->l.queue_count > 0;
}
