/* source.h -- whoever gives an answer. See flow.h for what it gives.
 *
 * A source is embedded in the struct of whoever implements it, and belongs to
 * whoever made it until start(); from then on it frees itself: after END, after
 * ERROR, or in cancel() and release().  A source may wrap another one, of which it is the sink:
 * the reader of a chat does, and so will retries, hedges and breakers. */
#ifndef PERILUNE_FLOW_SOURCE_H
#define PERILUNE_FLOW_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "flow/flow.h"

struct source {
    const struct source_ops *ops;
};

struct source_ops {
    /* Once.  Events may come from inside of it. */
    void (*start)(struct source *s, struct sink *to);
    /* After FLOW_FULL: go on.  Events may come from inside of it. */
    void (*resume)(struct source *s);
    /* Silence from here on; frees s, also when it was never started.  May be called from
     * inside of one of its events. */
    void (*cancel)(struct source *s);
    /* What came held a real event, not only a comment: the wait for the first token is over,
     * the wait for the next begins anew.  NULL: nobody waits. */
    void (*mark)(struct source *s);
    /* What it is and waits for, for people: "upstream big: first token".  Borrowed: static
     * text, or in buf. */
    const char *(*describe)(const struct source *s, char *buf, size_t size);
    /* All that was wanted has come: silence from here on, as after cancel(), but the source may end in
     * order.  From inside of one of its events.  NULL: cancel() does. */
    void (*release)(struct source *s);
    /* There is no connection to whom it asks, so nobody can want to be paid for it.  NULL: that is not known. */
    bool (*is_unsent)(const struct source *s);
};

static inline void source_start(struct source *s, struct sink *to) { s->ops->start(s, to); }
static inline void source_resume(struct source *s) { s->ops->resume(s); }
static inline void source_cancel(struct source *s) { s->ops->cancel(s); }
static inline void source_release(struct source *s) {
    if (s->ops->release != NULL) s->ops->release(s);
    else s->ops->cancel(s);
}
static inline void source_mark(struct source *s) {
    if (s->ops->mark != NULL) s->ops->mark(s);
}
static inline bool source_is_unsent(const struct source *s) {
    return s->ops->is_unsent != NULL && s->ops->is_unsent(s);
}
static inline const char *source_describe(const struct source *s, char *buf, size_t size) {
    return s->ops->describe(s, buf, size);
}

#endif
