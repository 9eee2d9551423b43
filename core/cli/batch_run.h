/* batch_run.h -- a batch in a process of its own. See batch_run.c. */
#ifndef PERILUNE_CLI_BATCH_RUN_H
#define PERILUNE_CLI_BATCH_RUN_H

#include "cli/batch_progress.h"
#include "gateway/batch_engine.h"
#include "include/perilune.h"

struct batch_run {
    struct batch_engine   engine;
    struct batch_progress progress;
    perilune             *gateway;
    unsigned              told;       /* failures that were said on stderr */
    int                   signals;    /* a signalfd, or -1 */
    unsigned              interrupts;
};

/* Asks for all lines that are not done; set: worker, failed and ud are set here.  Did it end early, b->engine.end says
 * so, and b->engine.why or b->interrupts why. */
void batch_run(struct batch_run *b, struct batch_settings *set);

#endif
