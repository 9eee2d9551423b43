/* log.h -- one JSON object per line, to whoever opened the gateway. See log.c. */
#ifndef PERILUNE_BASE_LOG_H
#define PERILUNE_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "include/perilune.h"

struct log {
    void (*write)(void *ud, int level, perilune_str line);
    void *ud;
    atomic_int level; /* lines above it are dropped */
};

/* Is anybody listening at this level?  Ask before building something costly. */
static inline bool log_wants(const struct log *l, int level) {
    return l->write != NULL && level <= atomic_load_explicit(&l->level, memory_order_relaxed);
}

/* {"time":...,"level":"warn","msg":...} with a printf sentence. */
void log_line(struct log *l, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A line for each line of a text. */
void log_lines(struct log *l, int level, const char *text, size_t len);

/* The same of a request: its id is the member request_id, as in the access log. */
void log_of_request(struct log *l, int level, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with fields: log_begin() writes time, level and msg; add members with
 * the helpers; log_end() sends. */
void log_begin(struct buf *out, int level, const char *msg);
void log_str(struct buf *out, const char *key, struct slice value);
void log_u64(struct buf *out, const char *key, uint64_t value);
void log_ms(struct buf *out, const char *key, uint64_t microseconds); /* as ms, 3 decimals */
void log_end(struct log *l, int level, struct buf *out);              /* clears out */

const char *log_level_name(int level);
int         log_level_parse(const char *name); /* or -1 */

/* A call site that may fire very often: at most one line per interval. */
struct log_limit {
    atomic_uint_least64_t next_ms;
    atomic_uint_least64_t dropped;
};
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t interval_ms);

#endif
