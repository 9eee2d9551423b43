/* batch_rest.c -- the lines of a batch that were never answered.
 *
 *     input file --lines whose id is not done--> error file: {"custom_id":"c","response":null,"error":{"code":..}}
 *
 * Who fetches the files of a batch that ended early wants to find each of its lines in one of them, so that he can send
 * those again that nobody answered.  OpenAI's API has two codes for them, batch_expired and batch_cancelled.
 *
 * The input is read once more, some lines at a time, because it may be large and the loop has other things to do.  What
 * is written is done, in the ids and in the file: a worker that dies in between is followed by one that goes on. */
#include "jobs/batch_rest.h"

#include "include/perilune.h"
#include "jobs/batch_record.h"

void batch_rest_init(struct batch_rest *r) {
    batch_reader_init(&r->reader);
    buf_init(&r->lines, 0);
    batch_input_rewind(r->in);
}

void batch_rest_deinit(struct batch_rest *r) {
    batch_reader_deinit(&r->reader);
    buf_deinit(&r->lines);
}

/* One line of the input. */
static int look_at(struct batch_rest *r, struct slice text) {
    struct batch_line line;
    struct batch_fault fault;
    int rc = batch_line_read(&r->reader, text, &line, &fault);
    if (rc == PERILUNE_ERR_NOMEM) return rc;
    struct batch_id *id = rc == 0 ? batch_ids_find(r->ids, line.custom_id) : NULL;
    if (id == NULL || id->done || id->line != r->in->line) return 0;
    batch_record_write(&r->lines, &(struct batch_record){ .custom_id = line.custom_id, .code = r->code,
                                                          .message = r->message }, r->rng);
    id->done = true;
    r->written++;
    return r->lines.error;
}

int batch_rest_step(struct batch_rest *r, unsigned most) {
    enum batch_input_result got = BATCH_INPUT_LINE;
    struct slice text;
    int rc = 0;
    buf_clear(&r->lines);
    for (; rc == 0 && most > 0 && (got = batch_input_next(r->in, &text)) != BATCH_INPUT_END; most--) {
        if (got == BATCH_INPUT_FAILED) rc = PERILUNE_ERR_IO;
        else if (got == BATCH_INPUT_LINE && !batch_line_is_blank(text)) rc = look_at(r, text);
    }
    if (rc == 0 && buf_len(&r->lines) > 0) rc = batch_output_append(r->errors, buf_get(&r->lines));
    return rc != 0 ? rc : got == BATCH_INPUT_END;
}
