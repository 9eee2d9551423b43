/* jobs_redis.c -- jobs in Redis or Valkey, which machines share.
 *
 *     worker: end --verb--> redis.c --EVALSHA--> jobs_redis.lua, whole or not at all --> answer
 *              ^ ^                                      |
 *              | +----- TIME, every poll_ms or when something is due
 *              +------- PREFIXnews: which jobs changed, what is due <--+   all workers of all machines
 *
 * Redis does one script at a time, so a script is a transaction; job_rules.c in its language is jobs_redis.lua.  An
 * end has two connections on its worker's loop: one asks, one listens.  Nothing is kept here but the limits and what
 * was counted last; a process that dies leaves nothing behind but leases, which run out.
 *
 * Jobs that are ready stand in sorted sets and not in a stream with a group of consumers: a tenant's turn needs a
 * queue for each of them and each priority, a job that comes back stands where its age says and not behind all
 * others, and the time that a group counts (XAUTOCLAIM) is the wall clock's, which may be set.  A job's events are a
 * stream.
 *
 * Away: what is asked is answered with PERILUNE_ERR_IO at once, so clients get a 503, and who works repeats his FINISH.
 * What was under way may have been done or not.  The script knows a FINISH or APPEND that comes again, by its lease
 * and by its number, and answers it as it did; who takes again after a lost answer is given what he was given.  A job
 * that was submitted in that moment may be there without its client knowing, which an Idempotency-Key mends.
 *
 * News are hints.  While the listener is down, each TIME is taken for news of anything.  What is heard is collected
 * and told behind the turn, because who is told may close.
 *
 * Threads: all the loop's but limit, counts [any]; LOCK: what the ends of a process share. */
#include "jobs/jobs_redis.h"

#include <stdatomic.h>
#include <stdio.h>

#include "include/perilune.h"
#include "jobs/job_clock.h"
#include "jobs/job_id.h"
#include "jobs/jobs_redis_words.h"
#include "store/redis.h"
#include "store/redis_check.h"

#define MAX_ANSWER (96u << 20) /* a job's question and its result, and what TAKE gathers */
#define PER_TIME   100         /* jobs that time changes in one call */
#define COUNTS_MS  1000
#define PAUSE_MS   2000        /* between tries to connect: leases go on meanwhile */
#define OWN_MS     2000        /* for questions of our own */
#define FAULT_MS   1000        /* from one that time met to the next try */

struct redis_counted {
    char              name[JOB_NAME_MAX + 1];
    struct jobs_count c;
};

struct redis_store {
    struct jobs_store    store;
    struct jobs_settings settings;
    struct redis_options place;      /* texts: `text` */
    struct redis_said    said;
    struct buf           text;
    char                 channel[160], hello[160];
    atomic_bool          advised;    /* what is wrong with how the server keeps things was said */
    pthread_mutex_t      lock;
    struct job_limits   *limits;     /* LOCK */
    unsigned             generation; /* LOCK: of limits */
    uint64_t             counted_ms; /* LOCK */
    struct redis_counted *counts;    /* LOCK */
    unsigned             count_len, count_cap; /* LOCK */
    struct jobs_totals   totals;     /* LOCK */
};

struct redis_end {
    struct jobs         jobs;
    struct redis_store *store;
    struct redis       *asks, *hears;
    struct rng          rng;
    struct timer        tick;
    struct deferred     later;
    struct job_changes  news;
    struct store_op     time_op, counts_op, load_op, info_op;
    struct words        words;       /* of these */
    unsigned            generation;  /* of the limits that it knows */
    unsigned            shares;      /* of its memory: who opened it, and tell() */
    bool                heard;
    char                sha[41];     /* "": the server may not have the script */
    char                name[33];    /* of who takes */
    uint64_t            serial;      /* of what he takes: the next one when it has come */
    struct redis_call  *taking;      /* with this serial; NULL: nothing */
};

struct redis_call {
    struct store_op    op;
    struct jobs_op    *asked;
    struct redis_end  *end;
    enum jobs_verb     verb;
    bool               again;        /* with the script, because the server has forgotten it */
    uint64_t           until_ms;
    struct job_limits *limits;
    struct words       words;
    struct arena       arena;
};

static struct redis_end *end_of(const struct jobs *j) {
    return container_of((struct jobs *)(uintptr_t)j, struct redis_end, jobs);
}

static struct job_limits *limits_ref(struct redis_store *s) {
    pthread_mutex_lock(&s->lock);
    struct job_limits *l = job_limits_ref(s->limits);
    pthread_mutex_unlock(&s->lock);
    return l;
}

/* -- News ------------------------------------------ */

static void end_put(struct redis_end *e) {
    if (--e->shares == 0) mem_free(e);
}

static void tell(struct deferred *d) {
    struct redis_end *e = container_of(d, struct redis_end, later);
    struct jobs *j = &e->jobs;
    struct job_changes news = e->news;
    e->news = (struct job_changes){ .count = 0 };
    e->shares++; /* each who is told may close: then nobody is told any more */
    if (news.due && j->due) j->due(j->ud);
    if (news.hook_due && j->hook_due) j->hook_due(j->hook_ud);
    if (news.all) jobs_tell(j, SLICE(""));
    for (unsigned i = 0; i < news.count && !news.all; i++) {
        char id[JOB_ID_SIZE];
        job_id_write(news.of[i].key, news.of[i].token, id);
        jobs_tell(j, slice_str(id));
    }
    end_put(e);
}

static void tell_anything(struct redis_end *e) {
    e->news.due = e->news.hook_due = e->news.all = true;
    loop_soon(e->jobs.loop, &e->later, tell);
}

static void note(struct job_changes *c, struct slice id) {
    uint64_t key, token;
    if (c->all) return;
    if (!job_id_read(id, &key, &token) || c->count == JOB_CHANGES) {
        c->all = true;
        return;
    }
    c->of[c->count].key = key;
    c->of[c->count++].token = token;
}

/* "dh ID ID ...": d, h or "-"; "*": more than fit. */
static void hear(void *ud, struct slice text) {
    struct redis_end *e = ud;
    if (text.len < 3) return;
    e->news.due |= text.ptr[0] == 'd';
    e->news.hook_due |= text.ptr[1] == 'h';
    const char *at = text.ptr + 3, *end = text.ptr + text.len;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space ? space : end;
        note(&e->news, slice_of(at, (size_t)(stop - at)));
        at = stop + 1;
    }
    loop_soon(e->jobs.loop, &e->later, tell);
}

static void on_listener(void *ud, bool up) {
    struct redis_end *e = ud;
    e->heard = up;
    if (up) tell_anything(e); /* what was said meanwhile */
}

/* -- Ops ------------------------------------------ */

static void call_free(struct redis_call *c) {
    job_limits_put(c->limits);
    words_deinit(&c->words);
    arena_deinit(&c->arena);
    mem_free(c);
}

static void on_answer(struct store_op *op, struct store_answer *a);

/* with: NULL, or the script itself in place of its name. */
static int send_call(struct redis_call *c, const struct slice *with) {
    struct redis_end *e = c->end;
    const struct slice *words = words_get(&c->words);
    uint64_t now = loop_now(e->jobs.loop);
    if (words == NULL) return PERILUNE_ERR_NOMEM;
    if (with != NULL) {
        c->words.list[0] = SLICE("EVAL");
        c->words.list[1] = *with;
    }
    return store_begin(redis_store(e->asks), &c->op,
                       &(struct store_ask){ .verb = STORE_WORDS, .words = words, .word_count = c->words.count,
                                            .within_ms = c->until_ms > now ? c->until_ms - now : 1 }, on_answer);
}

static void answer(struct redis_call *c, const struct jobs_answer *a) {
    struct jobs_op *op = c->asked;
    if (c->end->taking == c) c->end->taking = NULL;
    jobs_answer(op, a); /* may close the end; c is nobody's, but its texts are the answer's */
    call_free(c);
}

static void fail(struct redis_call *c, int rc, const char *what) {
    char why[300];
    snprintf(why, sizeof(why), "jobs: Redis %s", what);
    answer(c, &(struct jobs_answer){ .rc = rc, .why = why });
}

static bool is_forgotten(const struct store_answer *a) {
    return a->rc == PERILUNE_ERR_UPSTREAM && a->value != NULL && slice_starts(blob_get(a->value), SLICE("NOSCRIPT"));
}

static void refused(struct redis_call *c, const struct store_answer *a) {
    char what[260];
    struct slice text = a->value != NULL ? blob_get(a->value) : SLICE("nothing that can be read");
    snprintf(what, sizeof(what), "answers: %.*s", (int)(text.len < 200 ? text.len : 200), text.ptr);
    fail(c, PERILUNE_ERR_IO, what);
}

static void read_answer(struct redis_call *c, const struct store_answer *a) {
    struct jobs_answer out;
    struct slice text = blob_get(a->value), whole;
    uint64_t more;
    int rc = words_next(&text, &whole) ? 0 : PERILUNE_ERR_IO;
    if (rc == 0)
        rc = jobs_redis_read(whole, c->verb, &c->arena, &c->end->store->settings, c->limits, &out, &more);
    if (rc == PERILUNE_ERR_IO) fail(c, rc, "answers what is no answer of its script");
    else if (rc != 0) fail(c, rc, "has answered, but there is no memory to read it");
    else {
        if (c->end->taking == c) c->end->serial++; /* it has come */
        answer(c, &out);
    }
}

static void on_answer(struct store_op *op, struct store_answer *a) {
    struct redis_call *c = container_of(op, struct redis_call, op);
    struct slice script = jobs_redis_script();
    if (is_forgotten(a) && !c->again) {
        c->again = true;
        c->end->sha[0] = '\0';
        if (send_call(c, &script) == 0) {
            blob_put(a->value);
            return;
        }
    }
    struct blob *value = a->value; /* borrowed by the answer */
    if (a->rc == 0 && value != NULL) read_answer(c, a);
    else if (a->rc == 0) fail(c, PERILUNE_ERR_NOMEM, "has answered, but there is no memory to read it");
    else if (a->rc == PERILUNE_ERR_UPSTREAM) refused(c, a);
    else if (a->rc == PERILUNE_ERR_TIMEOUT) fail(c, PERILUNE_ERR_TIMEOUT, "does not answer in time");
    else fail(c, PERILUNE_ERR_IO, "is not there; try again when it is");
    blob_put(value);
}

static void build(struct redis_end *e, struct words *w, const struct job_limits *l, int verb,
                  const struct jobs_ask *ask) {
    struct redis_store *s = e->store;
    struct jobs_redis_way way = { .sha = slice_str(e->sha), .prefix = slice_str(s->place.hello), .rng = &e->rng,
                                  .settings = &s->settings, .limits = l, .serial = e->serial,
                                  .taker = e->taking == NULL ? slice_str(e->name) : SLICE("") };
    way.prefix.len -= strlen("hello");
    jobs_redis_ask(w, &way, verb, ask);
}

static void tick_in(struct redis_end *e, uint64_t ms);

static int begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask) {
    struct redis_end *e = end_of(j);
    struct redis_call *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return PERILUNE_ERR_NOMEM;
    c->asked = op;
    c->end = e;
    c->verb = ask->verb;
    c->until_ms = loop_now(j->loop) + (ask->within_ms > 0 ? ask->within_ms : JOBS_WITHIN_MS);
    c->limits = limits_ref(e->store);
    words_init(&c->words);
    arena_init(&c->arena);
    build(e, &c->words, c->limits, ask->verb, ask);
    if (ask->verb == JOBS_TAKE && e->taking == NULL) e->taking = c;
    int rc = send_call(c, NULL);
    if (rc != 0 && e->taking == c) e->taking = NULL;
    if (!timer_is_running(&e->tick) && e->time_op.store == NULL) tick_in(e, 0); /* there was no memory for a timer */
    if (rc != 0) call_free(c);
    else op->driver = c;
    return rc;
}

static void forget(struct jobs *j, struct jobs_op *op) {
    struct redis_call *c = op->driver;
    (void)j;
    store_cancel(&c->op);
    if (c->end->taking == c) c->end->taking = NULL;
    call_free(c);
}

/* -- Questions of our own ------------------------------------------ */

static int ask_own(struct redis_end *e, struct store_op *op, void (*done)(struct store_op *, struct store_answer *)) {
    const struct slice *words = words_get(&e->words);
    if (words == NULL) return PERILUNE_ERR_NOMEM;
    return store_begin(redis_store(e->asks), op,
                       &(struct store_ask){ .verb = STORE_WORDS, .words = words, .word_count = e->words.count,
                                            .within_ms = OWN_MS }, done);
}

static int ask_script(struct redis_end *e, struct store_op *op, int verb,
                      void (*done)(struct store_op *, struct store_answer *)) {
    static const struct jobs_ask ask = { .count = PER_TIME };
    struct job_limits *l = limits_ref(e->store);
    words_clear(&e->words);
    build(e, &e->words, l, verb, &ask);
    job_limits_put(l);
    return ask_own(e, op, done);
}

static bool script_said(struct redis_end *e, const struct store_answer *a, struct slice *whole) {
    if (is_forgotten(a)) e->sha[0] = '\0';
    if (a->rc != 0 || a->value == NULL) return false;
    struct slice text = blob_get(a->value);
    return words_next(&text, whole);
}

/* -- Time ------------------------------------------ */

static void ticked(struct timer *t);

static void tick_in(struct redis_end *e, uint64_t ms) {
    uint64_t most = e->store->settings.poll_ms > 0 ? e->store->settings.poll_ms : 1;
    timer_start(e->jobs.loop, &e->tick, ms < most ? ms : most, ticked);
}

static void keep_count(void *ud, const struct jobs_count *c) {
    struct redis_store *s = ud;
    if (!mem_grow((void **)&s->counts, s->count_len, &s->count_cap, sizeof(*s->counts))) return;
    struct redis_counted *n = &s->counts[s->count_len++];
    n->c = *c;
    slice_copy(n->name, sizeof(n->name), c->queue);
}

static void on_counts(struct store_op *op, struct store_answer *a) {
    struct redis_end *e = container_of(op, struct redis_end, counts_op);
    struct redis_store *s = e->store;
    struct slice whole;
    if (script_said(e, a, &whole)) {
        pthread_mutex_lock(&s->lock);
        s->count_len = 0;
        jobs_redis_counts(whole, &s->totals, keep_count, s);
        pthread_mutex_unlock(&s->lock);
    }
    blob_put(a->value);
}

/* One end of the process does it for all. */
static void count_now(struct redis_end *e) {
    struct redis_store *s = e->store;
    uint64_t now = loop_now(e->jobs.loop);
    pthread_mutex_lock(&s->lock);
    bool turn = s->counted_ms == 0 || now >= s->counted_ms + COUNTS_MS || now + COUNTS_MS < s->counted_ms;
    if (turn) s->counted_ms = now;
    pthread_mutex_unlock(&s->lock);
    if (turn && e->counts_op.store == NULL) ask_script(e, &e->counts_op, JOBS_REDIS_COUNTS, on_counts);
}

static void on_time(struct store_op *op, struct store_answer *a) {
    struct redis_end *e = container_of(op, struct redis_end, time_op);
    struct job_limits *l = limits_ref(e->store);
    struct jobs_answer out = { .rc = PERILUNE_ERR_IO };
    struct arena arena;
    struct slice whole;
    uint64_t more = FAULT_MS;
    arena_init(&arena);
    bool ok = script_said(e, a, &whole) &&
              jobs_redis_read(whole, JOBS_REDIS_TIME, &arena, &e->store->settings, l, &out, &more) == 0;
    arena_deinit(&arena);
    job_limits_put(l);
    blob_put(a->value);
    tick_in(e, ok ? more : FAULT_MS);
    if (ok && !e->heard) tell_anything(e);
    if (ok) count_now(e);
}

static void ticked(struct timer *t) {
    struct redis_end *e = container_of(t, struct redis_end, tick);
    struct redis_store *s = e->store;
    pthread_mutex_lock(&s->lock);
    bool changed = e->generation != s->generation;
    e->generation = s->generation;
    pthread_mutex_unlock(&s->lock);
    if (changed) { /* there may be room now */
        e->news.due = true;
        loop_soon(e->jobs.loop, &e->later, tell);
    }
    if (e->time_op.store == NULL && redis_is_ready(e->asks) &&
        ask_script(e, &e->time_op, JOBS_REDIS_TIME, on_time) == 0)
        return;
    tick_in(e, FAULT_MS);
}

/* -- Connections ------------------------------------------ */

static void advise(struct redis_end *e, struct slice info) {
    struct log *log = e->store->settings.log;
    if (log == NULL) return;
    if (memmem(info.ptr, info.len, "aof_enabled:0", 13) != NULL)
        log_line(log, PERILUNE_LOG_WARN, "jobs: this Redis has no append-only file: jobs that were accepted are lost "
                                         "when it ends; set appendonly yes");
    if (memmem(info.ptr, info.len, "maxmemory_policy:", 17) != NULL &&
        memmem(info.ptr, info.len, "maxmemory_policy:noeviction", 27) == NULL)
        log_line(log, PERILUNE_LOG_WARN, "jobs: this Redis throws keys away when its memory is full, jobs too; set "
                                         "maxmemory-policy noeviction");
}

static void on_info(struct store_op *op, struct store_answer *a) {
    struct redis_end *e = container_of(op, struct redis_end, info_op);
    if (a->rc == 0 && a->value != NULL) advise(e, blob_get(a->value));
    blob_put(a->value);
}

static void on_loaded(struct store_op *op, struct store_answer *a) {
    struct redis_end *e = container_of(op, struct redis_end, load_op);
    struct slice text, sha;
    if (a->rc == 0 && a->value != NULL) {
        text = blob_get(a->value);
        if (words_next(&text, &sha) && sha.len == 40) slice_copy(e->sha, sizeof(e->sha), sha);
    }
    blob_put(a->value);
}

static void on_connection(void *ud, bool up) {
    struct redis_end *e = ud;
    e->sha[0] = '\0';
    if (!up) return;
    store_cancel(&e->load_op);
    words_clear(&e->words);
    words_add(&e->words, SLICE("SCRIPT"));
    words_add(&e->words, SLICE("LOAD"));
    words_add(&e->words, jobs_redis_script());
    ask_own(e, &e->load_op, on_loaded); /* without it, the script goes along with each question */
    if (!atomic_exchange(&e->store->advised, true)) {
        words_clear(&e->words);
        words_add(&e->words, SLICE("INFO"));
        ask_own(e, &e->info_op, on_info);
    }
    tick_in(e, 0);
    tell_anything(e);
}

/* -- Life ------------------------------------------ */

bool jobs_redis_is_up(const struct jobs *j) { return redis_is_ready(end_of(j)->asks); }

static void free_end(struct redis_end *e) {
    timer_stop(e->jobs.loop, &e->tick);
    deferred_cancel(&e->later);
    struct store_op *const ops[] = { &e->time_op, &e->counts_op, &e->load_op, &e->info_op };
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) store_cancel(ops[i]);
    redis_close(e->asks);
    redis_close(e->hears);
    words_deinit(&e->words);
    end_put(e);
}

static void close_end(struct jobs *j) {
    j->due = j->hook_due = NULL;
    free_end(end_of(j));
}

static int attach(struct jobs_store *store, struct loop *loop, struct jobs **out) {
    struct redis_store *s = container_of(store, struct redis_store, store);
    struct redis_end *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    e->store = s;
    e->shares = 1;
    e->jobs.loop = loop;
    words_init(&e->words);
    rng_seed(&e->rng, 0);
    rng_hex128(&e->rng, e->name);
    struct redis_options opt = s->place;
    opt.loop = loop;
    opt.ud = e;
    opt.changed = on_connection;
    e->asks = redis_new(&opt);
    opt.said = NULL; /* it is the same server */
    opt.changed = on_listener;
    opt.heard = hear;
    e->hears = e->asks != NULL ? redis_new(&opt) : NULL;
    if (e->hears == NULL) {
        free_end(e);
        return PERILUNE_ERR_NOMEM;
    }
    tick_in(e, 0);
    *out = &e->jobs;
    return 0;
}

static int limit(struct jobs_store *store, const struct jobs_limits *l) {
    struct redis_store *s = container_of(store, struct redis_store, store);
    struct job_limits *own = job_limits_new(l);
    if (own == NULL) return PERILUNE_ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    struct job_limits *old = s->limits;
    s->limits = own;
    s->generation++;
    pthread_mutex_unlock(&s->lock);
    job_limits_put(old);
    return 0;
}

static void counts(struct jobs_store *store, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                   struct jobs_totals *totals) {
    struct redis_store *s = container_of(store, struct redis_store, store);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; each != NULL && i < s->count_len; i++) {
        struct jobs_count c = s->counts[i].c;
        c.queue = slice_str(s->counts[i].name);
        each(ud, &c);
    }
    if (totals) *totals = s->totals;
    pthread_mutex_unlock(&s->lock);
}

static void shut(struct jobs_store *store) {
    struct redis_store *s = container_of(store, struct redis_store, store);
    pthread_mutex_destroy(&s->lock);
    job_limits_put(s->limits);
    buf_deinit(&s->text);
    mem_free(s->counts);
    mem_free(s);
}

static const struct jobs_driver driver = { "redis", attach, limit, counts, shut, begin, forget, close_end };

/* Texts of our own, one behind the other: the buffer is whole before anything points into it. */
static bool copy_place(struct redis_store *s, const struct jobs_redis_place *at) {
    const char *const from[] = { at->host, at->path, at->ca, at->user, at->password };
    const char **const to[] = { &s->place.host, &s->place.path, &s->place.ca, &s->place.user, &s->place.password };
    size_t offset = 0;
    buf_init(&s->text, 0);
    for (size_t i = 0; i < 5; i++)
        if (from[i] != NULL) buf_put(&s->text, from[i], strlen(from[i]) + 1);
    if (buf_failed(&s->text)) return false;
    const char *text = buf_get(&s->text).ptr;
    for (size_t i = 0; i < 5; i++) {
        if (from[i] == NULL) continue;
        *to[i] = text + offset;
        offset += strlen(from[i]) + 1;
    }
    snprintf(s->channel, sizeof(s->channel), "%.128snews", at->prefix);
    snprintf(s->hello, sizeof(s->hello), "%.128shello", at->prefix);
    s->place.port = at->port;
    s->place.db = at->db;
    s->place.tls = at->tls;
    s->place.said = &s->said;
    s->place.log = s->settings.log;
    s->place.channel = s->channel;
    s->place.hello = s->hello;
    s->place.max_answer = MAX_ANSWER;
    s->place.pause_ms = PAUSE_MS;
    s->place.name = "jobs.redis";
    s->place.without = "jobs are neither taken nor begun without it";
    return true;
}

int jobs_redis_check(const struct jobs_redis_place *at, char *why, size_t size) {
    char hello[160], what[400];
    snprintf(hello, sizeof(hello), "%.128shello", at->prefix);
    int rc = redis_check(&(struct redis_options){ .host = at->host, .port = at->port, .path = at->path, .tls = at->tls,
                                                  .ca = at->ca, .user = at->user, .password = at->password,
                                                  .db = at->db, .hello = hello, .name = "jobs.redis" },
                         what, sizeof(what));
    if (rc == PERILUNE_ERR_NOMEM) snprintf(why, size, "out of memory");
    else if (rc != 0 && at->host != NULL) snprintf(why, size, "%s:%u cannot be asked: %s", at->host, at->port, what);
    else if (rc != 0) snprintf(why, size, "unix:%s cannot be asked: %s", at->path, what);
    return rc;
}

int jobs_redis_open(struct jobs_store **out, const struct jobs_redis_place *at, const struct jobs_settings *settings,
                    const struct jobs_limits *l) {
    *out = NULL;
    struct redis_store *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return PERILUNE_ERR_NOMEM;
    s->store.driver = &driver;
    s->settings = *settings;
    s->limits = job_limits_new(l);
    if (s->limits == NULL || !copy_place(s, at) || pthread_mutex_init(&s->lock, NULL) != 0) {
        job_limits_put(s->limits);
        buf_deinit(&s->text);
        mem_free(s);
        return PERILUNE_ERR_NOMEM;
    }
    *out = &s->store;
    return 0;
}
