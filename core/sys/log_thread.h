/* log_thread.h -- log lines on their way to somebody who may be slow. See log_thread.c. */
#ifndef PERILUNE_SYS_LOG_THREAD_H
#define PERILUNE_SYS_LOG_THREAD_H

#include "base/log.h"
#include "base/stats.h"

struct log_thread;

/* Who gets the lines, on the log thread alone. */
struct log_reader {
    void (*write)(void *ud, int level, perilune_str line);
    void (*idle)(void *ud); /* no line is waiting; may be NULL */
    void  *ud;
};

/* Starts the thread.  Lines of `log` go to it from now on; its level stays. */
int log_thread_open(struct log_thread **out, struct log *log, const struct log_reader *reader);

/* Hands over what is waiting, for at most close_ms milliseconds; a line that is being written
 * then is waited for.  `log` must not be used any more.  NULL is a no-op. */
void log_thread_close(struct log_thread *t, uint64_t close_ms);
/* [any] Has it begun to close? */
bool log_thread_is_closing(const struct log_thread *t);

/* [any] Lines that found no room, or no memory. */
uint64_t log_thread_dropped(const struct log_thread *t); /* NULL: 0 */

#endif
