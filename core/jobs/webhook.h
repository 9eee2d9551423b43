/* webhook.h -- what is told to whom when a job has ended, and when it is told again. See webhook.c. */
#ifndef PERILUNE_JOBS_WEBHOOK_H
#define PERILUNE_JOBS_WEBHOOK_H

#include "base/buf.h"
#include "base/reach.h"
#include "jobs/job.h"

#define WEBHOOK_SECRETS     4  /* at once: two while one takes the place of the other, and some more */
#define WEBHOOK_SECRET_MIN  24 /* bytes, as the standard has it */
#define WEBHOOK_SECRET_MAX  64
#define WEBHOOK_PAUSES      16 /* between tries, at most */

struct webhook_secret {
    unsigned char bytes[WEBHOOK_SECRET_MAX];
    size_t        len;
};

/* All of them sign. */
struct webhook_secrets {
    struct webhook_secret items[WEBHOOK_SECRETS];
    unsigned              count;
};

/* What a configuration says (jobs.webhooks); borrows its texts. */
struct webhook_settings {
    struct webhook_secrets secrets;    /* one at least */
    bool                   http;       /* plain HTTP will do */
    uint64_t               timeout_ms; /* of a try */
    size_t                 result_max; /* bytes of an answer that is sent along */
    uint64_t               pauses_ms[WEBHOOK_PAUSES]; /* behind the first try, the second ... */
    unsigned               pause_count;
    struct reach           reach;      /* which addresses may be called */
};

/* "whsec_" and base64 of 24 to 64 bytes.  False: it is none. */
bool webhook_secret_read(struct slice text, struct webhook_secret *out);
void webhook_secret_write(const struct webhook_secret *s, struct buf *out);
/* The secret of one tenant, made of the operator's; that of nobody ("") is the operator's own.  False: no memory. */
bool webhook_secret_derive(const struct webhook_secret *of, struct slice tenant, struct webhook_secret *out);

/* NULL, or what is wrong with a URL that shall be told: a sentence.  s NULL: nobody is told anything here. */
const char *webhook_refused(const struct webhook_settings *s, struct slice url);

/* The message: {"type":"job.completed","timestamp":...,"data":{...}}, the data as job_write() has it, the time that
 * of its end, whenever it is sent.  result_max: the answer is in it when it is no longer than that, in bytes. */
void webhook_write(const struct job *j, size_t result_max, struct buf *out);
/* The name of the message, the same whenever it is sent: webhook-id. */
void webhook_write_id(const struct job_hook *h, struct buf *out);
/* webhook-signature: "v1,... v1,...". False: no memory. */
bool webhook_sign(const struct webhook_secrets *s, struct slice tenant, struct slice id, uint64_t seconds,
                  struct slice body, struct buf *out);

/* What became of the messages of a job: {"object":"list","data":[{"url","status","tries","attempts":[...]}]}. */
void webhook_write_log(const struct job_hook *hooks, unsigned count, struct buf *out);
/* What a tenant checks signatures with: {"object":"webhook_secrets","secrets":["whsec_..."]}.  False: no memory. */
bool webhook_write_secrets(const struct webhook_secrets *s, struct slice tenant, struct buf *out);

/* Milliseconds until it is told again, when so many tries were made; 0: it was tried often enough.
 * retry_after_ms: what the answer asked for; 0: nothing.  random: 0 to 1. */
uint64_t webhook_delay_ms(const struct webhook_settings *s, unsigned tries, uint64_t retry_after_ms, double random);

#endif
