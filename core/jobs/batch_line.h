/* batch_line.h -- a line of a batch: what OpenAI's format asks for. See batch_line.c. */
#ifndef PERILUNE_JOBS_BATCH_LINE_H
#define PERILUNE_JOBS_BATCH_LINE_H

#include "base/json.h"

#define BATCH_LINE_MAX (32u << 20) /* bytes */
#define BATCH_ID_MAX   512         /* bytes of a custom_id */
#define BATCH_URL_MAX  2048        /* bytes of a path with its query */

/* What is wrong with a line.  code: as OpenAI's batches call it, and param the member at fault; column: from 1. */
struct batch_fault {
    const char *code, *param; /* static */
    size_t      column;
    char        message[240];
};

/* Borrowed from the text and from the reader, until its next line. */
struct batch_line {
    struct slice custom_id, path, query, body;
};

/* Memory that all lines of a file share. */
struct batch_reader {
    struct json_doc doc;
    struct buf      id, url;
};

void batch_reader_init(struct batch_reader *r);
void batch_reader_deinit(struct batch_reader *r);

/* Nothing but white space: no line. */
bool batch_line_is_blank(struct slice text);
/* Returns 0; PERILUNE_ERR_INVAL, and fault says why; PERILUNE_ERR_NOMEM. */
int  batch_line_read(struct batch_reader *r, struct slice text, struct batch_line *out, struct batch_fault *fault);
/* What there is to say of one that is longer than BATCH_LINE_MAX. */
void batch_line_too_long(struct batch_fault *fault);

#endif
