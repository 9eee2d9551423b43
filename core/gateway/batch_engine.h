/* batch_engine.h -- the lines of a batch, asked. See batch_engine.c. */
#ifndef PERILUNE_GATEWAY_BATCH_ENGINE_H
#define PERILUNE_GATEWAY_BATCH_ENGINE_H

#include "base/list.h"
#include "http/parse.h"
#include "jobs/batch_ids.h"
#include "jobs/batch_input.h"
#include "jobs/batch_line.h"
#include "jobs/batch_output.h"

struct batch_slot;
struct worker;

struct batch_settings {
    struct worker      *worker;             /* on whose thread all of it is */
    unsigned            concurrency, tries; /* tries of a line, with the first */
    bool                ordered;            /* answers in the order of the lines */
    bool                keep_going;         /* however many lines in a row fail */
    const struct http_header *headers;      /* of each request */
    unsigned            header_count;
    const char         *job, *admitted;     /* as of struct inside_ask: */
    struct slice        tenant;
    uint64_t            timeout_ms;
    uint64_t            sync_ms;            /* outputs reach the disk that often; 0: the caller's care */
    /* An answer is here, or may be: batch_engine_step() has something to do.  From within a turn of the loop; NULL:
     * nobody need be told. */
    void              (*ready)(void *ud);
    /* A line failed for good, and why.  May be NULL. */
    void              (*failed)(void *ud, uint32_t line, const char *why);
    void               *ud;
};

/* What is counted. */
struct batch_tally {
    uint64_t lines;             /* of the file that can be asked */
    uint64_t before;            /* of these, done before this run */
    uint64_t good, failed;      /* of these, in all runs */
    uint64_t retries;           /* of this run, as the rest */
    uint64_t tokens_in, tokens_out, tokens_cached, tokens_reasoning;
    double   usd;
};

/* Why a run ends before its lines do.  ORDER: the later, the sooner it ends. */
enum batch_end {
    BATCH_RUNS,
    BATCH_ENDING, /* no new lines; what is under way is waited for */
    BATCH_ENDED   /* at once */
};

struct batch_engine {
    const struct batch_settings *set;
    struct batch_input    *in;
    struct batch_output   *out, *errors; /* may be the same */
    struct batch_ids      *ids;
    struct batch_tally     tally;
    struct batch_reader    reader;
    struct batch_slot     *slots;
    unsigned               slot_count;
    struct list            free, waiting, done; /* slots by state; the order of `waiting` is that of lines */
    struct list            order;               /* all that are not free, the earliest line first */
    unsigned               asked;               /* slots that are neither */
    size_t                 held;                /* bytes of lines and records */
    double                 width;               /* how many may be asked at once, as things go */
    uint64_t               narrowed_ms, paused_until_ms;
    unsigned               in_a_row;            /* failures, the last answers */
    uint64_t               changed;             /* lines that were not there when the file was looked through */
    bool                   read_all, unwritable; /* unwritable: an output fails */
    bool                   may_pass;            /* what ended it early: a disk or memory, and nobody's key */
    enum batch_end         end;
    char                   why[400];            /* it ended early: a sentence; "": batch_engine_end(), or it did not */
};

/* in, out, errors, ids and tally (lines, before, good, failed) are the caller's to set, after a survey of in; the rest
 * is zero. Returns 0 or PERILUNE_ERR_NOMEM. */
int  batch_engine_open(struct batch_engine *e, const struct batch_settings *set);
/* Keeps what is answered and asks for more.  Not from within ready() or failed().  False: it is over, and e->end,
 * e->why say how. */
bool batch_engine_step(struct batch_engine *e);
/* Milliseconds until there is something to do without an answer, at most `most`. */
int  batch_engine_wait(const struct batch_engine *e, int most);
/* Ends early, as the caller wants. */
void batch_engine_end(struct batch_engine *e, enum batch_end end);
/* What is under way is stopped, what is answered is kept, and, unless that fails, is on the disk.  Not the files. */
void batch_engine_close(struct batch_engine *e);

#endif
