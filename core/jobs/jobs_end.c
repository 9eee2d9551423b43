/* jobs_end.c -- a worker's end of a queue that all workers of the process share.
 *
 *     who changes jobs, any thread: jobs_end_tell() --merge--> news --letter--> loop: jobs_tell(), due(), hook_due()
 *
 * One letter is under way at most: what happens until it is opened is merged into it, and what does not fit becomes
 * "any job".  So a worker that is busy hears of a thousand changes once.
 *
 * The end outlives the worker's interest in it: the thread that writes the file may hold it while the worker closes,
 * and the bell is closed by the loop, later.  Each has a share; the last one frees.  A closed mailbox takes no letter,
 * which is how the thread learns that nobody waits. */
#include "jobs/jobs_end.h"

#include "include/perilune.h"
#include "jobs/job_id.h"

void jobs_end_ref(struct jobs_end *e) { atomic_fetch_add(&e->refs, 1); }

void jobs_end_put(struct jobs_end *e) {
    if (atomic_fetch_sub(&e->refs, 1) != 1) return;
    mailbox_deinit(&e->box);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

static void bell_gone(struct mailbox *m) { jobs_end_put(container_of(m, struct jobs_end, box)); }

int jobs_end_open(struct jobs_end *e, struct loop *loop) {
    if (pthread_mutex_init(&e->lock, NULL) != 0) return PERILUNE_ERR_NOMEM;
    int rc = mailbox_open(&e->box, loop, e);
    if (rc != 0) {
        pthread_mutex_destroy(&e->lock);
        return rc;
    }
    e->box.gone = bell_gone;
    e->jobs.loop = loop;
    list_init(&e->link);
    atomic_init(&e->refs, 2);
    return 0;
}

void jobs_end_close(struct jobs_end *e) {
    e->jobs.due = e->jobs.hook_due = NULL;
    e->heard = NULL;
    deferred_cancel(&e->later);
    mailbox_close(&e->box);
    jobs_end_put(e);
}

/* -- News ------------------------------------------ */

static void read_news(struct jobs_end *e) {
    struct jobs *j = &e->jobs;
    pthread_mutex_lock(&e->lock);
    struct job_changes news = e->news;
    e->news = (struct job_changes){ .count = 0 };
    e->posted = false;
    pthread_mutex_unlock(&e->lock);
    jobs_end_ref(e); /* who is told may close */
    if (e->heard) e->heard(e);
    if (news.all) jobs_tell(j, SLICE(""));
    for (unsigned i = 0; i < news.count && !news.all; i++) {
        char id[JOB_ID_SIZE];
        job_id_write(news.of[i].key, news.of[i].token, id);
        jobs_tell(j, slice_str(id));
    }
    if (news.due && j->due) j->due(j->ud);
    if (news.hook_due && j->hook_due) j->hook_due(j->hook_ud);
    jobs_end_put(e);
}

static void opened(struct letter *m, void *owner) {
    (void)owner;
    read_news(container_of(m, struct jobs_end, letter));
}

static void now(struct deferred *d) { read_news(container_of(d, struct jobs_end, later)); }

static void merge(struct job_changes *to, const struct job_changes *c) {
    to->due |= c->due;
    to->hook_due |= c->hook_due;
    to->all |= c->all || to->count + c->count > JOB_CHANGES;
    for (unsigned i = 0; i < c->count && !to->all; i++) to->of[to->count++] = c->of[i];
}

void jobs_end_tell(struct jobs_end *e, const struct job_changes *c) {
    if (!c->due && !c->hook_due && !c->all && c->count == 0) return;
    pthread_mutex_lock(&e->lock);
    merge(&e->news, c);
    bool post = !e->posted;
    e->posted = true;
    pthread_mutex_unlock(&e->lock);
    if (!post) return;
    if (e->jobs.loop->is_virtual) loop_soon(e->jobs.loop, &e->later, now);
    else mailbox_send(&e->box, &e->letter, opened);
}
