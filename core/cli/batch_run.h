/* batch_run.h -- the lines of a batch, asked. See batch_run.c. */
#ifndef PERILUNE_CLI_BATCH_RUN_H
#define PERILUNE_CLI_BATCH_RUN_H

#include "base/list.h"
#include "cli/batch_input.h"
#include "cli/batch_output.h"
#include "cli/batch_progress.h"
#include "http/parse.h"
#include "include/perilune.h"
#include "jobs/batch_ids.h"
#include "jobs/batch_line.h"

struct batch_slot;

struct batch_settings {
    unsigned            concurrency, tries; /* tries of a line, with the first */
    bool                ordered;            /* answers in the order of the lines */
    bool                keep_going;         /* however many lines in a row fail */
    const struct http_header *headers;      /* of each request */
    unsigned            header_count;
};

/* Why a run ends before its lines do.  ORDER: the later, the sooner it ends. */
enum batch_end {
    BATCH_RUNS,
    BATCH_ENDING, /* no new lines; what is under way is waited for */
    BATCH_ENDED   /* at once */
};

struct batch_run {
    const struct batch_settings *set;
    perilune              *gateway;
    struct batch_input    *in;
    struct batch_output   *out, *errors; /* may be the same */
    struct batch_ids      *ids;
    struct batch_reader    reader;
    struct batch_tally     tally;
    struct batch_progress  progress;
    struct batch_slot     *slots;
    unsigned               slot_count;
    struct list            free, waiting, done; /* slots by state; the order of `waiting` is that of lines */
    struct list            order;               /* all that are not free, the earliest line first */
    unsigned               asked;               /* slots that are neither */
    size_t                 held;                /* bytes of lines and records */
    double                 width;               /* how many may be asked at once, as things go */
    uint64_t               narrowed_ms, paused_until_ms;
    unsigned               in_a_row;            /* failures, the last answers */
    unsigned               told;                /* failures that were said on stderr */
    uint64_t               changed;             /* lines that were not there when the file was looked through */
    bool                   read_all, unwritable; /* unwritable: an output fails */
    int                    signals;             /* a signalfd, or -1 */
    unsigned               interrupts;
    enum batch_end         end;
    char                   why[400];            /* it ended early: a sentence; "": an interrupt, or it did not */
};

/* Asks for all lines of b->in whose ids are not done.  What it needs of b is set, the rest zero.  Did it end early,
 * b->end says so, and b->why or b->interrupts why. */
void batch_run(struct batch_run *b);

#endif
