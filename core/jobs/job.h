/* job.h -- a question that nobody waits for, as it is kept. */
#ifndef PERILUNE_JOBS_JOB_H
#define PERILUNE_JOBS_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define JOB_ID_SIZE    40  /* with its NUL: "job_" and 32 hexadecimal digits */
#define JOB_TENANT_MAX 127 /* bytes, as of requests */
#define JOB_NAME_MAX   63  /* bytes of the name of a queue, and of a function */
#define JOB_KEY_MAX    255 /* bytes of an Idempotency-Key */
#define JOB_URL_MAX    2047 /* bytes of a webhook */
#define JOB_PRIORITY_MAX 100

/* ORDER: job_status_name(). The words are what clients see.
 *
 *     queued --take--> running --finish--> completed | failed (the dead-letter list: failed, and asked for as such)
 *       ^  |              |
 *       |  +---cancel-----+---cancel--> canceled
 *       +--retry, lease ran out--+ */
enum job_status { JOB_QUEUED, JOB_RUNNING, JOB_COMPLETED, JOB_FAILED, JOB_CANCELED, JOB_STATUSES };

static inline bool job_is_over(enum job_status s) { return s >= JOB_COMPLETED; }

/* Times are milliseconds since 1970: they are kept in files and seen by other machines.  Whoever reads a job
 * borrows its slices; who submits one lends them. */
struct job {
    char            id[JOB_ID_SIZE]; /* given by the queue; later ones are greater.  With one: see JOBS_SUBMIT */
    enum job_status status;
    struct slice    tenant, queue; /* "": nobody's; "": "default" */
    /* The question: path and body of a request; or a function of the configuration and its arguments as JSON. */
    struct slice    function;      /* of perilune.job(name, fn); "": it is a request */
    struct slice    path;          /* with its query */
    struct slice    headers;       /* lines "name: value\r\n" that were kept; a key never is */
    struct slice    body;
    struct slice    key;           /* Idempotency-Key; "": none.  One job for one (tenant, key) while it is kept */
    int             priority;      /* -100 to 100; the greater goes first */
    uint64_t        created_ms, not_before_ms, expires_ms; /* expires: not begun by then, it fails; 0: never */
    uint64_t        started_ms, ended_ms; /* of the last try; 0: not yet */
    uint64_t        keep_ms;       /* how long it is kept after its end; 0: as the queue was configured */
    bool            held;          /* in memory: time does not forget it, who submitted it does */
    unsigned        tries, max_tries; /* that began; max 0: 1 */
    bool            stopping;      /* runs, and is to end as canceled */
    uint64_t        lease;         /* of the try that runs: who works on it shows it; later ones are greater */
    struct slice    progress;      /* JSON; "": none */
    /* The end. */
    int             result_status; /* as HTTP has it; 0: none */
    struct slice    result_type;   /* content type */
    struct slice    result;        /* the whole answer */
    struct slice    error;         /* {"message","type","code",...}: the inner object; "": none */
    uint64_t        last_event;    /* number of the newest event; 0: none */
    /* Who is told of the end: a URL, see webhook.h; "": nobody. */
    struct slice    webhook;
};

/* How a try ended. */
struct job_end {
    enum job_status status;        /* QUEUED: there is to be another one */
    unsigned        tries;         /* that count as used; of who works elsewhere: that there were */
    int             result_status;
    struct slice    result_type, result, error; /* as of a job */
    uint64_t        keep_ms;       /* how long the job is kept now, where that is shorter; 0: as it says */
};

/* That of a job which is over. */
static inline struct job_end job_end_of(const struct job *j) {
    return (struct job_end){ j->status, j->tries, j->result_status, j->result_type, j->result, j->error, j->keep_ms };
}

/* A piece of an answer, or of progress. */
struct job_event {
    uint64_t     number; /* from 1, without gaps */
    struct slice name;   /* "": of the stream of the answer, as it came; else "progress", "status" */
    struct slice data;   /* whole frames of text/event-stream for "", else JSON */
};

/* Somebody who is to be told that a job has ended.
 *
 *     waiting --take--> sending --done--> delivered | dead
 *        ^                 |
 *        +---again, lease ran out */
enum job_hook_state { JOB_HOOK_WAITING, JOB_HOOK_SENDING, JOB_HOOK_DELIVERED, JOB_HOOK_DEAD };

struct job_hook {
    uint64_t            number;      /* within the queue, never used again: of the message's id */
    enum job_hook_state state;
    struct slice        url;
    uint64_t            lease;
    unsigned            tries;       /* that began */
    uint64_t            created_ms;
    int                 last_status; /* as HTTP has it; 0: none came */
    struct slice        log;         /* a JSON object a line for each of the last attempts: {"at","status","note"} */
    const struct job   *job;         /* whole, with its result */
};

const char *job_status_name(enum job_status s);
bool        job_status_find(struct slice name, enum job_status *out);

#endif
