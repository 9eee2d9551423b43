/* job_call.c -- a question on its way, with memory of its own: who asked may be gone when it is answered.
 *
 *     struct jobs_ask, borrowed --copy--> [ arena: names, body ... | what is answered ]
 *
 * A body of megabytes is not copied: the loop of who asks would stand still meanwhile.  It lies in a blob, of which the
 * question has a share.
 *
 * One arena holds all the rest, so that a question that nobody waits for any more is one thing to free, by whichever
 * thread has it then. */
#include "base/blob.h"
#include "include/perilune.h"
#include "jobs/job_table.h"

static bool copy(struct arena *a, struct slice *s) {
    if (s->len == 0) {
        s->ptr = s->ptr == NULL ? NULL : ""; /* NULL says: any */
        return true;
    }
    char *own = arena_alloc(a, s->len);
    if (own == NULL) return false;
    memcpy(own, s->ptr, s->len);
    s->ptr = own;
    return true;
}

static bool copy_all(struct arena *a, struct slice *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!copy(a, list[i])) return false;
    return true;
}

bool job_copy(struct arena *a, struct job *j, unsigned parts) {
    struct slice *const row[] = { &j->tenant, &j->queue, &j->key, &j->progress, &j->result_type, &j->error, &j->webhook,
                                  &j->function, &j->path };
    struct slice *const question[] = { &j->headers, &j->body };
    if (!(parts & JOB_QUESTION)) j->headers = j->body = SLICE("");
    if (!(parts & JOB_RESULT)) j->result = SLICE("");
    return copy_all(a, row, sizeof(row) / sizeof(*row)) && copy_all(a, question, 2) && copy(a, &j->result);
}

static bool copy_job(struct job_call *c, const struct jobs_ask *ask) {
    c->job = *ask->job;
    c->ask.job = &c->job;
    if (ask->hold != NULL) c->job.body = SLICE("");
    bool ok = job_copy(&c->arena, &c->job, JOB_QUESTION | JOB_RESULT);
    if (ask->hold != NULL) c->job.body = ask->job->body;
    return ok;
}

static bool copy_end(struct job_call *c, const struct job_end *end) {
    c->end = *end;
    c->ask.end = &c->end;
    struct slice *const texts[] = { &c->end.result_type, &c->end.result, &c->end.error };
    return copy_all(&c->arena, texts, 3);
}

int job_call_init(struct job_call *c, const struct jobs_ask *ask) {
    struct slice *const texts[] = { &c->ask.id, &c->ask.tenant, &c->ask.queue, &c->ask.before, &c->ask.event.name,
                                    &c->ask.event.data, &c->ask.hook.note };
    arena_init(&c->arena);
    c->ask = *ask;
    bool ok = copy_all(&c->arena, texts, sizeof(texts) / sizeof(*texts));
    if (ok && ask->job != NULL) ok = copy_job(c, ask);
    if (ok && ask->end != NULL) ok = copy_end(c, ask->end);
    if (ok) {
        c->hold = blob_ref(ask->hold);
        return 0;
    }
    arena_deinit(&c->arena);
    return PERILUNE_ERR_NOMEM;
}

void job_call_deinit(struct job_call *c) {
    arena_deinit(&c->arena);
    blob_put(c->hold);
}
