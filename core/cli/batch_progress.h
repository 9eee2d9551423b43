/* batch_progress.h -- how far a batch is, for people. See batch_progress.c. */
#ifndef PERILUNE_CLI_BATCH_PROGRESS_H
#define PERILUNE_CLI_BATCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct batch_tally;

struct batch_progress {
    bool     terminal, shown;   /* shown: the bar stands on the terminal's line */
    unsigned columns;
    uint64_t start_ms, drawn_ms, rated_ms, rated_done;
    double   rate;              /* lines a second, lately */
};

void batch_progress_init(struct batch_progress *p, uint64_t now_ms, const struct batch_tally *t);
/* Draws, when it is time. */
void batch_progress_tick(struct batch_progress *p, const struct batch_tally *t, uint64_t now_ms);
/* Nothing of the bar is left on the line. */
void batch_progress_clear(struct batch_progress *p);

/* The bar, of at most `columns` characters. */
void batch_progress_write(const struct batch_progress *p, const struct batch_tally *t, unsigned columns,
                          struct buf *out);
/* "1,234,567". */
void batch_put_count(struct buf *out, uint64_t n);
/* "1.2M"; "2h 05m". */
void batch_put_short(struct buf *out, uint64_t n);
void batch_put_time(struct buf *out, double seconds);

#endif
