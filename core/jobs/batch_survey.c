/* batch_survey.c -- the lines of a batch, looked at before any is asked.
 *
 *     file --line--> is it one? --> is its id new? --> ids: id, number of the line
 *                       |  no           |  no
 *                       +---------------+--> tell(line, what is wrong and what to do)
 *
 * So that no money is spent on half of a file whose other half is wrong, that two answers are never of one id, and
 * that it is known how many there are.  The same for `perilune batch` and for batches that a server takes on: some
 * lines at a time, because a server has others to serve. */
#include "jobs/batch_survey.h"

#include <stdio.h>

#include "include/perilune.h"

void batch_survey_init(struct batch_survey *s) {
    batch_reader_init(&s->reader);
    s->good = s->bad = 0;
}

void batch_survey_deinit(struct batch_survey *s) { batch_reader_deinit(&s->reader); }

static void tell(struct batch_survey *s, uint32_t line, const struct batch_fault *f) {
    s->bad += line != 0;
    s->tell(s->ud, line, f);
}

static void tell_duplicate(struct batch_survey *s, struct slice id, uint32_t first) {
    char name[80];
    slice_copy(name, sizeof(name), id);
    slice_mute(name);
    struct batch_fault f = { .code = "duplicate_custom_id", .param = "custom_id", .column = 1 };
    snprintf(f.message, sizeof(f.message), "the custom_id \"%s\" is that of line %u, too; answers could not be told "
                                           "apart, so give this line another one", name, first);
    tell(s, s->in->line, &f);
}

static void tell_endpoint(struct batch_survey *s) {
    struct batch_fault f = { .code = "mismatched_endpoint", .param = "url", .column = 1 };
    snprintf(f.message, sizeof(f.message), "\"url\" must be the endpoint of the batch, \"%.*s\"",
             (int)(s->endpoint.len < 100 ? s->endpoint.len : 100), s->endpoint.ptr);
    tell(s, s->in->line, &f);
}

static int add(struct batch_survey *s, const struct batch_line *line) {
    if (s->endpoint.ptr != NULL && (line->query.len > 0 || !slice_eq(line->path, s->endpoint))) {
        tell_endpoint(s);
        return 0;
    }
    struct batch_id *id = batch_ids_add(s->ids, line->custom_id);
    if (id == NULL) return PERILUNE_ERR_NOMEM;
    if (id->line != 0) {
        tell_duplicate(s, line->custom_id, id->line);
        return 0;
    }
    id->line = s->in->line;
    s->good++;
    return 0;
}

static int look_at(struct batch_survey *s, struct slice text, bool is_long) {
    struct batch_line line;
    struct batch_fault fault;
    int rc = PERILUNE_ERR_INVAL;
    if (is_long) batch_line_too_long(&fault);
    else rc = batch_line_read(&s->reader, text, &line, &fault);
    if (rc == 0) return add(s, &line);
    if (rc != PERILUNE_ERR_INVAL) return rc;
    tell(s, s->in->line, &fault);
    return 0;
}

/* Behind the last line. */
static int finish(struct batch_survey *s) {
    struct batch_fault f = { .code = "empty_file", .param = "", .column = 1 };
    snprintf(f.message, sizeof(f.message), "has no request%s",
             s->bad ? " that can be asked" : "; each is a line of JSON");
    if (s->good == 0) tell(s, 0, &f);
    batch_input_rewind(s->in);
    return 1;
}

static int too_many(struct batch_survey *s) {
    struct batch_fault f = { .code = "too_many_tasks", .param = "", .column = 1 };
    snprintf(f.message, sizeof(f.message), "has more than %llu requests; make several files of it",
             (unsigned long long)s->most);
    tell(s, 0, &f);
    batch_input_rewind(s->in);
    return 1;
}

int batch_survey_step(struct batch_survey *s, unsigned lines) {
    struct slice text;
    for (; lines > 0; lines--) {
        enum batch_input_result got = batch_input_next(s->in, &text);
        if (got == BATCH_INPUT_END) return finish(s);
        if (got == BATCH_INPUT_FAILED) return PERILUNE_ERR_IO;
        if (got == BATCH_INPUT_LINE && batch_line_is_blank(text)) continue;
        if (s->most != 0 && s->good + s->bad == s->most) return too_many(s);
        int rc = look_at(s, text, got == BATCH_INPUT_LONG);
        if (rc != 0) return rc;
    }
    return 0;
}
