/* job_keeper.c -- where the jobs of a process are, and who of its workers does them.
 *
 *     owner:   job_keeper_open --> struct jobs_store (stores->jobs), once; limits at every load
 *     worker:  job_keeper_install --> its end of it (w->jobs) --> runner --> job_exchange | job_task
 *
 * A store is opened while a configuration is loaded, so that what is wrong with its file is an error of that load; it
 * stays open until the process ends, whatever later configurations say.  One that names another file needs a restart:
 * jobs under way would be in one file and their clients look for them in another.  One without `jobs` takes nothing
 * more; what runs goes on.
 *
 * With a broker (jobs.broker) that store is the home of this node's jobs and nothing there is run: the courier hands
 * them on, and brings those of all nodes into a second store, in memory, whose jobs the runners take.  Limits follow:
 * how many may be kept is asked at home, how many may run here is asked of the guests.
 *
 *     clients --> jobs (home) --> courier --> broker --> courier --> guests --> runners
 *
 * A reload may name another broker or another way to it.  Whether there is one is as fixed as the file.  One that could
 * not be opened is opened by the next reload, whatever that changes; until then jobs are taken on at home, and wait.
 *
 * Draining: what runs may finish in the time that there is, because its upstream call is paid for; what has not when
 * that is nearly over is given back to the queue, where another process finds it at once. */
#include "gateway/job_keeper.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "bridge/job_task.h"
#include "gateway/batch_work.h"
#include "gateway/gateway.h"
#include "gateway/job_exchange.h"
#include "jobs/jobs_file.h"
#include "jobs/jobs_memory.h"
#include "jobs/courier_thread.h"

#define CHECK_MS 5000 /* that a broker has to answer `perilune check` */
#define CLOSE_MS 1500 /* for what is on its way to a broker when the process ends */

/* -- The owner's thread ------------------------------------------------------------------------- */

/* Over all nodes nobody counts what runs: each has its own. */
static struct jobs_limits limits_at_home(const struct job_settings *s) {
    struct jobs_limits l = s->limits;
    if (s->broker == NULL) return l;
    l.concurrency = l.tenant_concurrency = l.queue_count = 0;
    l.queues = NULL;
    return l;
}

static struct jobs_limits limits_of_guests(const struct job_settings *s) {
    struct jobs_limits l = s->limits;
    l.max_queued = l.max_kept = 0;
    return l;
}

/* Is there a driver, and what it needs? */
static int check_broker(const struct job_settings *s, bool connect, char *err, size_t errlen) {
    if (s == NULL || s->broker == NULL) return 0;
    const struct broker_ops *ops = broker_find(s->broker->broker.kind);
    struct broker_settings b = s->broker->broker;
    char why[BROKER_WHY_SIZE] = "";
    if (ops == NULL) {
        snprintf(err, errlen, "jobs.broker: this program has no driver for %s", b.kind);
        return PERILUNE_ERR_CONFIG;
    }
    if (connect && b.timeout_ms > CHECK_MS) b.timeout_ms = CHECK_MS;
    int rc = ops->check(&b, connect, why, sizeof(why));
    if (rc != 0) snprintf(err, errlen, "jobs.broker: %s", why);
    return rc;
}

/* The folder of files is made, or was; keep: it stays. */
static int make_folder(const char *folder, bool keep, char *err, size_t errlen) {
    struct stat st;
    if (folder == NULL) return 0;
    bool made = mkdir(folder, 0700) == 0;
    if (made && !keep) rmdir(folder);
    if (made) return 0;
    if (errno == EEXIST && stat(folder, &st) == 0 && !S_ISDIR(st.st_mode)) errno = ENOTDIR;
    else if (errno == EEXIST && access(folder, W_OK | X_OK) == 0) return 0;
    snprintf(err, errlen, "jobs.files: %s: no files can be kept there: %s", folder, strerror(errno));
    return PERILUNE_ERR_CONFIG;
}

static int open_home(const struct job_settings *s, const struct jobs_settings *store, struct jobs_store **out,
                     char *err, size_t errlen) {
    struct jobs_limits limits = limits_at_home(s);
    char why[512] = "";
    int rc = s->file != NULL    ? jobs_file_open(out, s->file, store, &limits, why, sizeof(why))
             : s->redis != NULL ? jobs_redis_open(out, s->redis, store, &limits)
                                : jobs_memory_open(out, store, &limits);
    if (rc != 0 && s->file != NULL) snprintf(err, errlen, "jobs.file: %s", why[0] ? why : perilune_strerror(rc));
    else if (rc != 0) snprintf(err, errlen, "out of memory");
    return rc;
}

/* The queue of those that a broker brings. */
static int open_guests(const struct job_settings *s, struct jobs_store **out, char *err, size_t errlen) {
    struct jobs_settings memory = s->store;
    struct jobs_limits limits = limits_of_guests(s);
    int rc = jobs_memory_open(out, &memory, &limits);
    if (rc != 0) snprintf(err, errlen, "out of memory");
    return rc;
}

int job_keeper_open(struct perilune *g, const struct config *c, struct jobs_store **out, struct jobs_store **guests,
                    char *err, size_t errlen) {
    const struct job_settings *s = c->jobs;
    *out = *guests = NULL;
    int rc = check_broker(s, false, err, errlen);
    if (rc == 0 && s != NULL) rc = make_folder(s->files.folder, true, err, errlen);
    if (rc != 0 || s == NULL || g->stores->jobs != NULL) return rc;
    struct jobs_settings store = s->store;
    store.log = &g->log;
    rc = open_home(s, &store, out, err, errlen);
    if (rc == 0 && s->broker != NULL) rc = open_guests(s, guests, err, errlen);
    if (rc == 0) return 0;
    jobs_store_close(*out);
    *out = NULL;
    return rc;
}

/* A file that is there: may it be ours? */
static int check_file(const char *file, char *err, size_t errlen) {
    char why[700];
    if (access(file, R_OK | W_OK) != 0) snprintf(err, errlen, "jobs.file: %s: %s", file, strerror(errno));
    else if (jobs_file_check(file, why, sizeof(why)) != 0) snprintf(err, errlen, "jobs.file: %s", why);
    else return 0;
    return PERILUNE_ERR_CONFIG;
}

static int check_place(const char *file, char *err, size_t errlen) {
    char folder[4096];
    if (file == NULL) return 0;
    if (access(file, F_OK) == 0) return check_file(file, err, errlen);
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    if (access(folder, W_OK | X_OK) == 0) return 0;
    snprintf(err, errlen, "jobs.file: %s cannot be made: %s: %s", file, folder, strerror(errno));
    return PERILUNE_ERR_CONFIG;
}

/* A server starts without it, as without a broker, and answers 503 until it is there: who checks wants to hear of that
 * before. */
static int check_redis(const struct job_settings *s, bool connect, char *err, size_t errlen) {
    char why[700];
    int rc = s->redis != NULL && connect ? jobs_redis_check(s->redis, why, sizeof(why)) : 0;
    if (rc != 0) snprintf(err, errlen, "jobs.redis: %s", why);
    return rc;
}

int job_keeper_check(const struct config *c, bool connect, char *err, size_t errlen) {
    if (c->jobs == NULL) return 0;
    int rc = check_place(c->jobs->file, err, errlen);
    if (rc == 0) rc = make_folder(c->jobs->files.folder, false, err, errlen);
    if (rc == 0) rc = check_redis(c->jobs, connect, err, errlen);
    return rc != 0 ? rc : check_broker(c->jobs, connect, err, errlen);
}

/* What only a restart changes, for comparing.  A password is not in it: a new one for the same place. */
static char *place_of(const struct job_settings *s) {
    const struct jobs_redis_place *r = s->redis;
    struct buf text;
    buf_init(&text, 0);
    if (s->file != NULL) buf_printf(&text, "file %s", s->file);
    else if (r == NULL) buf_puts(&text, "memory");
    else buf_printf(&text, "redis %s %u %u %s", r->host ? r->host : r->path, r->port, r->db, r->prefix);
    buf_putc(&text, '\0');
    char *own = buf_failed(&text) ? NULL : mem_strdup(buf_get(&text).ptr);
    buf_deinit(&text);
    return own;
}

/* -- The courier ------------------------------------------------------------------------------- */

/* All that is said of a broker, for comparing. */
static char *broker_text(const struct courier_settings *p) {
    const struct broker_settings *b = &p->broker;
    const char *const texts[] = { b->kind, b->library, b->host, b->servers, b->vhost, b->ca, b->user, b->password,
                                  b->mechanism, b->work, b->results, b->dead, b->group };
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        buf_printf(&text, "%s\n", texts[i] != NULL ? texts[i] : "-");
    buf_printf(&text, "%u %d %u %u %zu %llu %u %llu %llu %u", b->port, b->tls, b->work_most, b->results_most,
               b->max_message, (unsigned long long)b->timeout_ms, b->delivery_limit, (unsigned long long)p->lease_ms,
               (unsigned long long)p->lost_ms, p->max_tries);
    buf_putc(&text, '\0');
    char *own = buf_failed(&text) ? NULL : mem_strdup(buf_get(&text).ptr);
    buf_deinit(&text);
    return own;
}

static struct courier_settings settings_of_courier(struct perilune *g) {
    struct courier_settings p = *g->config->jobs->broker;
    p.broker.log = &g->log;
    return p;
}

static void open_courier(struct perilune *g) {
    struct courier_settings p = settings_of_courier(g);
    char why[BROKER_WHY_SIZE] = "out of memory";
    if (courier_thread_open(&g->courier,
                            &(struct courier_thread_options){ .home = g->stores->jobs, .guests = g->stores->guests,
                                                              .log = &g->log, .stays = batch_work_is },
                            broker_find(p.broker.kind), &p, why, sizeof(why)) != 0)
        log_line(&g->log, PERILUNE_LOG_ERROR, "jobs.broker: %s; jobs wait until the configuration is loaded again",
                 why);
}

/* What is open already, and as it is to be, stays. */
static void set_courier(struct perilune *g) {
    struct courier_settings p = settings_of_courier(g);
    char *text = broker_text(&p);
    bool same = text != NULL && g->courier_as != NULL && strcmp(text, g->courier_as) == 0;
    if (g->courier == NULL) open_courier(g);
    else if (!same || !courier_thread_has_broker(g->courier))
        courier_thread_set(g->courier, broker_find(p.broker.kind), &p);
    mem_free(g->courier_as);
    g->courier_as = text;
}

void job_keeper_drain_courier(struct perilune *g) {
    if (g->courier != NULL) courier_thread_drain(g->courier);
}

bool job_keeper_is_idle(const struct perilune *g) { return g->courier == NULL || courier_thread_is_idle(g->courier); }

static void apply_limits(struct perilune *g, const struct job_settings *s) {
    struct jobs_limits home = limits_at_home(s), guests = limits_of_guests(s);
    int rc = jobs_store_limit(g->stores->jobs, g->stores->guests != NULL ? &home : &s->limits);
    if (rc == 0 && g->stores->guests != NULL) rc = jobs_store_limit(g->stores->guests, &guests);
    if (rc != 0) log_line(&g->log, PERILUNE_LOG_ERROR, "jobs: out of memory, so limits stay as they were");
}

void job_keeper_apply(struct perilune *g, struct jobs_store *opened, struct jobs_store *guests) {
    const struct job_settings *s = g->config->jobs;
    if (opened != NULL) {
        g->stores->jobs = opened;
        g->stores->guests = guests;
        g->jobs_place = place_of(s);
        g->jobs_as = s->store;
        g->has_broker = s->broker != NULL;
    }
    if (s == NULL) return;
    if (g->has_broker && s->broker != NULL) set_courier(g);
    apply_limits(g, s);
}

bool job_keeper_differs(const struct perilune *g) {
    const struct job_settings *s = g->config->jobs;
    if (s == NULL || g->stores->jobs == NULL) return false;
    if (g->has_broker != (s->broker != NULL)) return true;
    if (s->store.max_bytes != g->jobs_as.max_bytes || s->store.max_result != g->jobs_as.max_result) return true;
    char *now = place_of(s);
    bool differs = now != NULL && g->jobs_place != NULL && strcmp(now, g->jobs_place) != 0;
    mem_free(now);
    return differs;
}

void job_keeper_close(struct perilune *g) {
    if (g->stores == NULL) return;
    jobs_close(g->admin_jobs);
    courier_thread_close(g->courier, CLOSE_MS);
    g->courier = NULL;
    struct jobs_store *guests = g->stores->guests;
    if (guests != NULL) jobs_store_close(guests);
    g->stores->guests = NULL;
    jobs_store_close(g->stores->jobs);
    g->stores->jobs = NULL;
    mem_free(g->jobs_place);
    mem_free(g->courier_as);
}

/* -- The worker's thread ---------------------------------------------------------------------------- */

/* Whoever does it gets it, and hears of it again until its end. */
static void begin(void *ud, struct job_work *work) {
    struct worker *w = ud;
    if (work->job.function.len > 0) job_task_begin(w->gen->state, w->gen->config->jobs, work);
    else if (batch_work_is(&work->job)) batch_work_begin(w, work);
    else job_exchange_begin(w, work);
}

static void resume(struct job_work *work) {
    if (work->job.function.len == 0 && !batch_work_is(&work->job)) job_exchange_resume(work);
}

static void stop(struct job_work *work) {
    if (work->job.function.len > 0) job_task_stop(work);
    else if (batch_work_is(&work->job)) batch_work_stop(work);
    else job_exchange_stop(work);
}

static bool attach(struct worker *w, const struct job_settings *s) {
    struct jobs_store *store = w->gen->state->stores->jobs, *guests = w->gen->state->stores->guests;
    if (w->jobs == NULL) w->jobs = jobs_open(store, w->loop);
    if (w->is_home) return w->jobs != NULL; /* its loop turns when the program likes */
    if (w->guests == NULL && guests != NULL) w->guests = jobs_open(guests, w->loop);
    if (w->jobs == NULL || (guests != NULL && w->guests == NULL)) return false;
    w->runner = job_runner_new(&(struct job_runner_options){
        .jobs = guests != NULL ? w->guests : w->jobs, .loop = w->loop, .log = w->log, .room = s->room,
        .lease_ms = s->lease_ms, .backoff_ms = s->backoff_ms, .backoff_max_ms = s->backoff_max_ms,
        .doer = { .ud = w, .begin = begin, .resume = resume, .stop = stop }, .stats = &w->metrics.jobs });
    return w->runner != NULL;
}

/* One worker sends for all. */
static void set_webhooks(struct worker *w, const struct webhook_settings *s) {
    if (w->webhooks == NULL && s != NULL && w->jobs != NULL && w->listens) {
        w->webhooks = webhooks_new(&(struct webhooks_options){ .jobs = w->jobs, .client = &w->client, .log = w->log,
                                                               .stats = &w->metrics.webhooks });
        if (w->webhooks == NULL) log_line(w->log, PERILUNE_LOG_ERROR, "jobs.webhooks: out of memory, none are sent");
    }
    if (w->webhooks != NULL) webhooks_set(w->webhooks, s);
}

void job_keeper_install(struct worker *w) {
    const struct job_settings *s = w->gen->config->jobs;
    struct services *v = &w->gen->state->services;
    if (s == NULL) {
        if (w->runner != NULL) job_runner_drain(w->runner);
        set_webhooks(w, NULL);
        return;
    }
    if (w->runner != NULL) job_runner_set(w->runner, s->room, s->lease_ms, s->backoff_ms, s->backoff_max_ms);
    else if (!attach(w, s))
        log_line(w->log, PERILUNE_LOG_ERROR, "jobs: out of memory, so this worker neither takes nor does any");
    set_webhooks(w, s->webhooks);
    v->jobs = w->jobs;
    v->job_settings = s;
}

void job_keeper_drain(struct worker *w) {
    job_streams_drain(&w->job_streams);
    if (w->runner != NULL) job_runner_drain(w->runner);
    if (w->webhooks != NULL) webhooks_drain(w->webhooks);
}

void job_keeper_give_back(struct worker *w) {
    if (w->runner != NULL) job_runner_give_back(w->runner);
}

unsigned job_keeper_running(const struct worker *w) {
    return (w->runner != NULL ? job_runner_running(w->runner) : 0) +
           (w->webhooks != NULL ? webhooks_sending(w->webhooks) : 0) + batch_work_writing(w);
}

void job_keeper_describe(const struct worker *w, uint64_t now_us, struct buf *out) {
    const struct list *works = w->runner != NULL ? job_runner_works(w->runner) : NULL;
    for (const struct list *l = works ? works->next : NULL; l != works; l = l->next) {
        const struct job_work *k = container_of((struct list *)(uintptr_t)l, struct job_work, link);
        if (k->job.function.len == 0 && k->state == JOB_WORKS) continue;
        if (buf_len(out) > 0) buf_putc(out, ',');
        buf_printf(out, "{\"id\":\"%s\",\"job\":\"%s\",\"function\":", k->job.id, k->job.id);
        json_write_string(out, k->job.function);
        buf_printf(out, ",\"age_ms\":%llu,\"waits_for\":\"%s\"}", (unsigned long long)((now_us - k->began_us) / 1000),
                   k->state == JOB_WORKS ? job_task_waits_for(k) : "the queue");
    }
}

void job_keeper_leave(struct worker *w) {
    webhooks_free(w->webhooks);
    w->webhooks = NULL;
    job_runner_free(w->runner);
    w->runner = NULL;
    batch_work_leave(w);
    jobs_close(w->guests);
    w->guests = NULL;
    jobs_close(w->jobs);
    w->jobs = NULL;
}
