/* batch_record.h -- a line of a batch's output, as OpenAI writes it. See batch_record.c. */
#ifndef PERILUNE_JOBS_BATCH_RECORD_H
#define PERILUNE_JOBS_BATCH_RECORD_H

#include "base/err.h"
#include "base/hash.h"

#define BATCH_RECORD_HEAD 4096 /* bytes of a record in which its custom_id and status are */

/* What became of a line.  code NULL: somebody answered. */
struct batch_record {
    struct slice custom_id, request_id;
    int          status;
    struct slice body;          /* as it came */
    const char  *code;          /* nobody answered, and why not; else NULL */
    const char  *message;
};

/* Appends the line, with its end. */
void batch_record_write(struct buf *out, const struct batch_record *r, struct rng *rng);

/* Reads the beginning of a record that batch_record_write() wrote.  False: it is none.  *status: 0 when nobody
 * answered; id: the custom_id (appended). */
bool batch_record_read(struct slice head, struct buf *id, int *status);
/* Is this the beginning of a record that was cut, however short? */
bool batch_record_is_torn(struct slice rest);

/* Did it bring an answer, or will it never? */
static inline bool batch_status_is_good(int status) { return status >= 200 && status < 300; }

#endif
