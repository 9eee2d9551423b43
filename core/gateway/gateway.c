/* gateway.c -- implements perilune.h: one owner thread, some workers.
 *
 *     owner: loads, reloads, admin listener, watching files
 *       | letters: install, listen, drain, describe
 *     worker, worker, ...      (threads == 0: one, on the owner's own loop)
 *
 * Loading is all or nothing.  On the owner's thread: read the files once, run the
 * configuration in a checker state, freeze what was read, build one generation
 * per worker from it, try the new addresses and certificates.  Only when all of
 * that worked is anything handed over, and handing over cannot fail.  Requests in
 * flight keep the generation they began with. */
#include "gateway/gateway.h"
#include "base/clock.h"
#include "bridge/host.h"
#include "gateway/job_keeper.h"
#include "gateway/library.h"
#include "request/cached.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/sim.h"
#include "sys/sigpipe.h"

#define WATCH_MS     500
#define GIVE_BACK_MS 1000        /* before draining is over: for jobs that are not */
#define DRAIN_MS     20          /* between two looks at who is still there */
#define LOG_CLOSE_MS 2000        /* for log lines that are still waiting at the end */

static atomic_bool opened; /* perilune_set_allocator() came too late */

/* -- Errors --------------------------------------------------------------------------------- */

int gateway_fail(struct perilune *g, int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(g->errmsg, sizeof(g->errmsg), fmt, ap);
    va_end(ap);
    return code;
}

PERILUNE_API uint32_t perilune_version(void) { return PERILUNE_VERSION; }

PERILUNE_API int perilune_set_allocator(const perilune_allocator *a) {
    if (atomic_load(&opened)) return PERILUNE_ERR_STATE;
    if (a != NULL && a->realloc == NULL) return PERILUNE_ERR_INVAL;
    mem_set_allocator(a ? a->realloc : NULL, a ? a->ud : NULL);
    return 0;
}

PERILUNE_API int perilune_set_clock(const perilune_clock *c) {
    if (atomic_load(&opened)) return PERILUNE_ERR_STATE;
    if (c != NULL && (c->monotonic_ns == NULL || c->wall_ns == NULL)) return PERILUNE_ERR_INVAL;
    clock_replace(c ? c->monotonic_ns : NULL, c ? c->wall_ns : NULL, c ? c->ud : NULL);
    return 0;
}

PERILUNE_API int perilune_set_random(int (*fill)(void *ud, void *bytes, size_t len), void *ud) {
    if (atomic_load(&opened)) return PERILUNE_ERR_STATE;
    chance_replace(fill, ud);
    return 0;
}

/* -- Callbacks that call back -------------------------------------------------------------------- */

int gateway_enter(struct perilune *g, const char *what) {
    if (g->closing) return gateway_fail(g, PERILUNE_ERR_STATE, "%s: the gateway closes", what);
    g->depth++;
    return 0;
}

bool gateway_leave(struct perilune *g) {
    if (--g->depth > 0 || !g->close_asked) return false;
    perilune_close(g);
    return true;
}

/* -- Asking workers --------------------------------------------------------------------------- */

struct question {
    struct letter    letter;
    void           (*fn)(struct worker *w, void *ud);
    void            *ud;
    pthread_mutex_t  lock;
    pthread_cond_t   answered;
    bool             done;
};

static void question_opened(struct letter *m, void *owner) {
    struct question *q = container_of(m, struct question, letter);
    q->fn(owner, q->ud);
    pthread_mutex_lock(&q->lock);
    q->done = true;
    pthread_cond_signal(&q->answered);
    pthread_mutex_unlock(&q->lock); /* q may be gone from here on */
}

/* Workers never wait for the owner, and a turn of their loop is short: waiting
 * for an answer is safe. */
bool gateway_ask(struct worker *w, void (*fn)(struct worker *, void *), void *ud) {
    if (!w->threaded) {
        fn(w, ud);
        return true;
    }
    struct question q = { .fn = fn, .ud = ud };
    list_init(&q.letter.link);
    pthread_mutex_init(&q.lock, NULL);
    pthread_cond_init(&q.answered, NULL);
    bool sent = mailbox_send(&w->mail, &q.letter, question_opened);
    pthread_mutex_lock(&q.lock);
    while (sent && !q.done) pthread_cond_wait(&q.answered, &q.lock);
    pthread_mutex_unlock(&q.lock);
    pthread_cond_destroy(&q.answered);
    pthread_mutex_destroy(&q.lock);
    return sent;
}

/* -- Loading ------------------------------------------------------------------------------------ */

static int sim_port_of(void *ud, char *err, size_t errlen) {
    struct perilune *g = ud;
    if (g->sim == NULL && sim_start(&g->sim, "127.0.0.1:0", NULL) != 0) {
        snprintf(err, errlen, "cannot start the simulated upstream");
        return -1;
    }
    return sim_port(g->sim);
}

void loaded_free(struct perilune *g, struct loaded *ld) {
    for (unsigned i = 0; ld->gens && i <= g->worker_count; i++) generation_free(ld->gens[i]);
    mem_free(ld->gens);
    jobs_store_close(ld->guests);
    jobs_store_close(ld->jobs);
    tls_context_put(ld->tls);
    config_put(ld->config);
    bundle_free(ld->bundle);
}

/* What the file says at that key cannot be had. */
static int blame_key(struct perilune *g, struct loaded *ld, int rc, const char *path, struct slice key,
                     const char *why) {
    struct finding f = { .level = PERILUNE_LOG_ERROR, .file = slice_str(path), .key = key, .text = slice_str(why) };
    findings_add(&ld->bundle->findings, &f);
    return gateway_fail(g, rc, "%s: %.*s: %s", path, SLICE_ARG(key), why);
}

static void say_notice(void *ud, const char *text) {
    log_line(&((struct perilune *)ud)->log, PERILUNE_LOG_WARN, "%s", text);
}

/* The first state also finds out what the configuration reads and says; after
 * it the bundle is frozen, so that all others run the same bytes. */
static int load_config(struct perilune *g, const char *path, struct loaded *ld) {
    struct buf json;
    buf_init(&json, 0);
    struct config_env env = { .file = path, .registry = &g->registry, .engines = g->engines,
                              .sim_port = sim_port_of, .notice = say_notice, .ud = g };
    ld->gens = mem_zalloc((g->worker_count + 1) * sizeof(struct generation *));
    if (ld->gens == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    int rc = bundle_open_from(&ld->bundle, &g->host, path, false, g->errmsg, sizeof(g->errmsg));
    if (rc == 0) env.findings = &ld->bundle->findings;
    if (rc == 0 && g->bundle != NULL) ld->bundle->models_before = models_ref(g->bundle->models);
    if (rc == 0)
        rc = generation_new(&ld->gens[0], g->workers, ld->bundle, &g->loop, g->stores, &json, g->errmsg,
                            sizeof(g->errmsg));
    if (rc == 0) ld->bundle->frozen = true;
    char err[1024];
    if (rc == 0 && (rc = config_new(&ld->config, buf_get(&json), &env, err, sizeof(err))) != 0)
        gateway_fail(g, rc, "%s", err);
    if (rc == 0 && ld->config->tls_cert != NULL &&
        (rc = tls_context_open(&ld->tls, ld->config->tls_cert, ld->config->tls_key, err, sizeof(err))) != 0)
        blame_key(g, ld, rc, path, SLICE("tls"), err);
    buf_deinit(&json);
    return rc;
}

/* Two descriptors per connection (client and upstream), some for the rest. */
static void fit_connections(struct perilune *g, struct config *c) {
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur == RLIM_INFINITY) return;
    uint64_t most = lim.rlim_cur > 128 ? (lim.rlim_cur - 96) / 2 : lim.rlim_cur / 8;
    c->http.process = most > 1000000000 ? 0 : (unsigned)most;
    if (c->http.connections > most && stats_get(&g->generation) == 0 && c->log_level >= PERILUNE_LOG_INFO)
        log_line(&g->log, PERILUNE_LOG_INFO, "limits.connections is %u; %llu open files allow %llu",
                 c->http.connections, (unsigned long long)lim.rlim_cur, (unsigned long long)most);
}

int gateway_prepare_one(struct perilune *g, struct generation **gen, struct worker *w, struct bundle *b,
                        struct config *c, const unsigned char files[32]) {
    struct buf json; /* the same again */
    buf_init(&json, 0);
    int rc = 0;
    if (*gen == NULL) rc = generation_new(gen, w, b, &g->loop, g->stores, &json, g->errmsg, sizeof(g->errmsg));
    if (rc == 0 && (rc = generation_bind(*gen, w, c)) != 0) gateway_fail(g, rc, "out of memory");
    if (rc == 0) memcpy((*gen)->state->services.files, files, 32);
    buf_deinit(&json);
    return rc;
}

int gateway_prepare(struct perilune *g, const char *path, struct loaded *ld) {
    int rc = load_config(g, path, ld);
    if (rc != 0) return rc;
    ld->config->generation = stats_get(&g->generation) + 1;
    fit_connections(g, ld->config);
    unsigned char files[32] = { 0 };
    if (!bundle_digest(ld->bundle, files)) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    for (unsigned i = 0; i < g->worker_count && rc == 0; i++)
        rc = gateway_prepare_one(g, &ld->gens[i], &g->workers[i], ld->bundle, ld->config, files);
    return rc;
}

static void install(struct worker *w, void *ud) { worker_install(w, ud); }

static int  add_listeners(struct perilune *g);
static void keep_listeners(struct perilune *g);
static void watch_as_said(struct perilune *g);

/* Workers with listeners: the first so many. */
static unsigned serving(const struct perilune *g) { return g->worker_count - (g->home != NULL); }

static unsigned worker_number(const struct config *c) {
    if (c && c->workers > 0) return c->workers;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

/* Settings that a running gateway cannot change, into errmsg: a warning. */
static void say_what_needs_restart(struct perilune *g) {
    unsigned want = worker_number(g->config), are = serving(g);
    bool workers = !g->workers_asked && want != are, jobs = job_keeper_differs(g);
    char text[96] = "";
    if (workers) snprintf(text, sizeof(text), "workers (%u are running, the file says %u)", are, want);
    if (workers || jobs)
        snprintf(g->errmsg, sizeof(g->errmsg), "needs a restart to take effect: %s%s%s", text,
                 workers && jobs ? ", " : "",
                 jobs ? "jobs.file or redis, max_bytes, max_result, a broker or none (as they were opened)" : "");
}

static uint64_t fingerprint(const struct perilune *g);

/* What the configuration opens besides listeners. */
static int open_files(struct perilune *g, const char *path, struct loaded *ld) {
    char err[900];
    int rc = job_keeper_open(g, ld->config, &ld->jobs, &ld->guests, err, sizeof(err));
    return rc == 0 ? 0 : gateway_fail(g, rc, "%s: %s", path, err);
}

static int load_all(struct perilune *g, const char *path) {
    struct loaded ld = { .bundle = NULL };
    char *copy = mem_strdup(path);
    int rc = copy ? gateway_prepare(g, path, &ld) : PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = open_files(g, path, &ld);
    loop_read_clock(&g->loop); /* a model may have been read meanwhile, and timers start */
    struct config *old = g->config;
    struct tls_context *old_tls = g->tls;
    if (rc == 0) {
        g->config = ld.config;
        g->tls = ld.tls;
        if (g->listening && (rc = add_listeners(g)) != 0) { /* an address cannot be had */
            g->config = old;
            g->tls = old_tls;
            keep_listeners(g);
        }
    }
    if (rc != 0) {
        if (copy == NULL) gateway_fail(g, rc, "out of memory");
        stats_add(&g->reload_failures, 1);
        loaded_free(g, &ld);
        mem_free(copy);
        if (stats_get(&g->generation) > 0)
            log_line(&g->log, PERILUNE_LOG_ERROR, "reload failed, the old configuration serves on: %s", g->errmsg);
        return rc;
    }
    struct slice doubts = buf_get(&ld.bundle->doubts);
    log_lines(&g->log, PERILUNE_LOG_WARN, doubts.ptr, doubts.len);
    atomic_store(&g->log.level, g->config->log_level);
    for (unsigned i = 0; i < g->config->target_count; i++)
        if (g->config->targets[i].pool == NULL) registry_meet(&g->config->targets[i], loop_now(&g->loop));
    cache_keeper_apply(g);
    job_keeper_apply(g, ld.jobs, ld.guests);
    for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], install, ld.gens[i]);
    if (g->listening) keep_listeners(g);
    mem_free(ld.gens);
    config_put(old);
    tls_context_put(old_tls);
    bundle_free(g->bundle);
    g->bundle = ld.bundle;
    mem_free(g->path);
    g->path = copy;
    const struct far_settings *far = g->config->far;
    atomic_store_explicit(&g->has_far, far != NULL, memory_order_relaxed);
    atomic_store_explicit(&g->has_index, far != NULL && far->index != FAR_INDEX_NONE, memory_order_relaxed);
    stats_add(&g->generation, 1);
    g->watched = fingerprint(g);
    watch_as_said(g);
    g->errmsg[0] = '\0';
    if (g->config->generation > 1) {
        stats_add(&g->reloads, 1);
        say_what_needs_restart(g);
        log_line(&g->log, PERILUNE_LOG_INFO, "reloaded %s: generation %llu%s%s", path,
                 (unsigned long long)g->config->generation, g->errmsg[0] ? "; " : "", g->errmsg);
    }
    return 0;
}

/* Models of the old configuration that the new one has, too, stay loaded. */
static int load(struct perilune *g, const char *path) {
    engines_hold(g->engines);
    g->loading = true;
    int rc = load_all(g, path);
    g->loading = false;
    engines_release(g->engines);
    return rc;
}

/* What ends opens nothing any more. */
static int refuse_when_draining(struct perilune *g, const char *what) {
    if (g->closing) return gateway_fail(g, PERILUNE_ERR_STATE, "the gateway is being closed");
    if (!g->draining) return 0;
    log_line(&g->log, PERILUNE_LOG_WARN, "%s refused: the gateway is draining", what);
    return gateway_fail(g, PERILUNE_ERR_STATE, "draining: requests in flight finish on the configuration that they "
                                               "have, and nothing is opened any more; start again instead");
}

/* Connections that are closed meanwhile may write. */
PERILUNE_API int perilune_load(perilune *g, const char *path) {
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
    if (path == NULL) return gateway_fail(g, PERILUNE_ERR_INVAL, "no path given");
    if (refuse_when_draining(g, "reload") != 0) return PERILUNE_ERR_STATE;
    if (gateway_enter(g, "load") != 0) return PERILUNE_ERR_STATE;
    struct sigpipe held;
    sigpipe_hold(&held);
    int rc = load(g, path);
    sigpipe_release(&held);
    return gateway_leave(g) ? PERILUNE_ERR_CANCELED : rc;
}

PERILUNE_API int perilune_reload(perilune *g) {
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
    if (g->path == NULL) return gateway_fail(g, PERILUNE_ERR_STATE, "nothing was loaded yet");
    char *path = mem_strdup(g->path);
    if (path == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    int rc = perilune_load(g, path);
    mem_free(path);
    return rc;
}

/* -- Watching files -------------------------------------------------------------------------------- */

static uint64_t stamp(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000003 + (uint64_t)st.st_mtim.tv_nsec + (uint64_t)st.st_size * 31 +
           (uint64_t)st.st_ino;
}

/* Of files: what the host has instead, it knows itself. */
static uint64_t fingerprint(const struct perilune *g) {
    bool files = g->host.read == NULL;
    uint64_t sum = g->path && files ? stamp(g->path) : 0;
    for (struct list *e = g->bundle->files.next; files && e != &g->bundle->files; e = e->next)
        sum = sum * 31 + stamp(container_of(e, struct bundle_file, link)->path);
    const char *file;
    for (unsigned i = 0; g->bundle->models != NULL && (file = models_file(g->bundle->models, i)) != NULL; i++)
        sum = sum * 31 + stamp(file);
    return sum;
}

static void watch_due(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, watch);
    if (g->bundle != NULL && fingerprint(g) != g->watched) {
        g->watched = fingerprint(g); /* a broken file is tried once, not twice a second */
        perilune_reload(g);
    }
    if (g->config != NULL && !g->draining) watch_as_said(g); /* again, unless that reload has switched it off */
}

static void watch_as_said(struct perilune *g) {
    if (!g->watch_asked && !g->config->watch) timer_stop(&g->loop, &g->watch);
    else if (!timer_is_running(&g->watch)) timer_start(&g->loop, &g->watch, WATCH_MS, watch_due);
}

/* -- Listening --------------------------------------------------------------------------------------- */

/* "host:0" became a port when it was first bound; all workers share that, and a reload
 * keeps it. */
static const char *bound_address(const struct perilune *g, const char *configured) {
    for (unsigned i = 0; i < g->bound_count; i++)
        if (strcmp(g->bound[i].configured, configured) == 0) return g->bound[i].real;
    return configured;
}

static void remember(struct bound *b, const char *configured, int port) {
    size_t n = strlen(configured);
    snprintf(b->configured, sizeof(b->configured), "%s", configured);
    snprintf(b->real, sizeof(b->real), "%.*s:%d", (int)(n - 2), configured, port);
}

static bool picks_port(const char *address) {
    size_t n = strlen(address);
    return n >= 2 && n < 100 && strcmp(address + n - 2, ":0") == 0;
}

static const char *admin_address(const struct perilune *g) {
    const char *address = g->config ? g->config->admin : NULL;
    return address && strcmp(address, g->admin_bound.configured) == 0 ? g->admin_bound.real : address;
}

static int add_admin(struct perilune *g) {
    int port = 0, rc = admin_listen(g, admin_address(g), &port);
    if (rc == 0 && port != 0 && picks_port(g->config->admin)) remember(&g->admin_bound, g->config->admin, port);
    return rc;
}

/* The configured address number i, or NULL. */
static const char *listen_address(const struct perilune *g, unsigned i) {
    if (g->override != NULL) return i == 0 ? g->override : NULL;
    return g->config && i < g->config->listen_count ? g->config->listen[i] : NULL;
}

/* The first `upto` addresses. */
static void make_plan(const struct perilune *g, struct listen_plan *p, unsigned upto) {
    *p = (struct listen_plan){ .tls = g->tls };
    const char *address;
    for (unsigned i = 0; i < LISTEN_MAX; i++) p->shared[i] = -1;
    while (p->count < upto && (address = listen_address(g, p->count)) != NULL)
        snprintf(p->addresses[p->count++], sizeof(p->addresses[0]), "%s", bound_address(g, address));
}

struct listening {
    struct listen_plan plan;
    int                port, rc;
    char               err[512];
};

static void listen_on(struct worker *w, void *ud) {
    struct listening *l = ud;
    l->rc = worker_listen(w, &l->plan, &l->port, l->err, sizeof(l->err));
}

/* Adds what is not there yet.  Address by address, so that the port behind ":0" is
 * known before the other workers bind it. */
static int add_listeners(struct perilune *g) {
    for (unsigned i = 0; i < LISTEN_MAX && listen_address(g, i) != NULL; i++) {
        int shared, rc = gateway_socket(g, listen_address(g, i), &shared);
        if (rc != 0) return rc;
        for (unsigned w = 0; w < serving(g); w++) {
            struct listening l = { .port = 0 };
            make_plan(g, &l.plan, i + 1);
            l.plan.shared[i] = shared;
            l.plan.alone = w == 0 && !(g->config && g->config->reuse_port);
            gateway_ask(&g->workers[w], listen_on, &l);
            if (l.rc != 0) return gateway_fail(g, l.rc, "%s", l.err);
            const char *address = listen_address(g, i);
            if (w == 0 && l.port != 0 && picks_port(address) && g->bound_count < LISTEN_MAX)
                remember(&g->bound[g->bound_count++], address, l.port);
        }
    }
    return add_admin(g);
}

static void keep_on(struct worker *w, void *ud) {
    struct listening *l = ud;
    worker_keep(w, &l->plan);
    if (l->plan.count > 0) l->port = http_server_port(&w->server, l->plan.addresses[0]);
}

/* Closes all that is not configured: what a reload left behind, or what was added in
 * vain.  Cannot fail. */
static void keep_listeners(struct perilune *g) {
    struct listening l = { .port = 0 };
    if (g->listening) make_plan(g, &l.plan, LISTEN_MAX);
    for (unsigned w = 0; w < serving(g); w++) gateway_ask(&g->workers[w], keep_on, &l);
    g->port = l.port;
    const char *admin = g->listening ? admin_address(g) : NULL;
    admin_keep(g, admin);
    gateway_keep_sockets(g, &l.plan, admin);
}

static int listen_at(struct perilune *g, const char *address) {
    char *old = g->override, *copy = address ? mem_strdup(address) : NULL;
    if (address != NULL && copy == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    if (copy != NULL) g->override = copy;
    int rc = add_listeners(g);
    if (rc != 0) g->override = old;
    if (rc == 0) g->listening = true;
    keep_listeners(g);
    if (copy != NULL) mem_free(rc == 0 ? old : copy);
    if (rc == 0 && g->depth == 1) uv_run(&g->loop.uv, UV_RUN_NOWAIT); /* the kernel hears of the listeners */
    return rc;
}

PERILUNE_API int perilune_listen(perilune *g, const char *address) {
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
    if (g->config == NULL && address == NULL) return gateway_fail(g, PERILUNE_ERR_STATE, "no configuration is loaded");
    if (refuse_when_draining(g, "listening") != 0) return PERILUNE_ERR_STATE;
    if (gateway_enter(g, "listening") != 0) return PERILUNE_ERR_STATE;
    struct sigpipe held;
    sigpipe_hold(&held); /* that turn of the loop may serve */
    int rc = listen_at(g, address);
    sigpipe_release(&held);
    return gateway_leave(g) ? PERILUNE_ERR_CANCELED : rc;
}

PERILUNE_API int perilune_port(const perilune *g) {
    int refused = gateway_admits(g);
    return refused != 0 ? refused : g->port;
}

PERILUNE_API int perilune_admin_port(const perilune *g) {
    int refused = gateway_admits(g);
    return refused != 0 ? refused : g->admin_port;
}

/* -- Running ----------------------------------------------------------------------------------------- */

static void count_busy(struct worker *w, void *ud) {
    *(unsigned *)ud += w->server.open;
}

static void count_jobs(struct worker *w, void *ud) { *(unsigned *)ud += job_keeper_running(w); }

/* Jobs have all of the drain time but the last of it, in which they are given back. */
static void give_back(struct worker *w, void *ud) {
    (void)ud;
    job_keeper_give_back(w);
}

static void drain_worker(struct worker *w, void *ud) {
    (void)ud;
    worker_drain(w);
}

/* libuv before 1.45 fires timers first and then blocks for what comes next: a timer that
 * decides what perilune_poll() returns has to end the turn. */
void gateway_end_turn(struct perilune *g) { uv_stop(&g->loop.uv); }

static void drain_check(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, drain);
    unsigned open = 0, asked = requests_busy(g->library);
    for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], count_busy, &open);
    unsigned jobs = 0;
    for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], count_jobs, &jobs);
    uint64_t behind = afterwork_open(&g->stores->afterwork);
    g->drain_left_ms -= DRAIN_MS;
    if (jobs > 0 && g->drain_left_ms <= GIVE_BACK_MS)
        for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], give_back, NULL);
    if ((open == 0 && asked == 0 && jobs == 0 && behind == 0 && job_keeper_is_idle(g)) || g->drain_left_ms <= 0) {
        if (open > 0) log_line(&g->log, PERILUNE_LOG_WARN, "drain_timeout is over, %u connections are cut", open);
        if (asked > 0)
            log_line(&g->log, PERILUNE_LOG_WARN, "drain_timeout is over, %u requests of the program are not", asked);
        g->drained = true;
        gateway_end_turn(g);
    } else {
        timer_start(&g->loop, t, DRAIN_MS, drain_check);
    }
}

/* Asked again, with another time: that counts from now on. */
static void drain_for(struct perilune *g, int asked) {
    g->drain_left_ms = asked != DRAIN_CONFIGURED ? asked : g->config ? (int)g->config->drain_ms : 30000;
    if (g->draining) return;
    g->draining = true;
    log_line(&g->log, PERILUNE_LOG_INFO, "draining: no new connections, requests in flight finish");
    for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], drain_worker, NULL);
    gateway_keep_sockets(g, NULL, g->listening ? admin_address(g) : NULL);
    job_keeper_drain_courier(g);
    g->port = 0;
    timer_stop(&g->loop, &g->watch);
    timer_start(&g->loop, &g->drain, 1, drain_check);
}

static void poll_over(struct timer *t) { gateway_end_turn(container_of(t, struct perilune, poll)); }

static void settle(struct perilune *g) {
    for (int turns = 0; g->loop.active && turns < 64 && !g->close_asked; turns++) {
        g->loop.active = false;
        uv_run(&g->loop.uv, UV_RUN_NOWAIT);
    }
}

/* What a callback began to watch reaches the kernel at the next turn: until a turn in which nothing happened,
 * perilune_fd() would not tell the host. */
static void hand_back(struct perilune *g, const struct sigpipe *held) {
    settle(g);
    sigpipe_release(held);
}

void gateway_turn(struct perilune *g, int timeout_ms) {
    loop_read_clock(&g->loop); /* for the timer: a rule may have computed since it began */
    if (timeout_ms > 0) timer_start(&g->loop, &g->poll, (uint64_t)timeout_ms, poll_over);
    struct sigpipe held;
    sigpipe_hold(&held); /* the thread is the host's */
    g->loop.active = false;
    uv_run(&g->loop.uv, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    hand_back(g, &held);
    timer_stop(&g->loop, &g->poll);
}

void gateway_turn_until(struct perilune *g, bool (*done)(void *ud), void *ud) {
    struct sigpipe held;
    sigpipe_hold(&held);
    uv_update_time(&g->loop.uv);
    while (!done(ud) && !g->close_asked) {
        g->loop.active = false;
        uv_run(&g->loop.uv, UV_RUN_ONCE);
    }
    hand_back(g, &held);
}

PERILUNE_API int perilune_poll(perilune *g, int timeout_ms) {
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
    if (g->depth > 0)
        return gateway_fail(g, PERILUNE_ERR_STATE, "a callback cannot turn the loop that it was called from; return "
                                                   "from it");
    int asked = atomic_exchange(&g->drain_asked, DRAIN_NOT_ASKED);
    if (asked != DRAIN_NOT_ASKED) drain_for(g, asked);
    if (atomic_load(&g->stop) || g->drained) return 1;
    g->depth++;
    gateway_turn(g, timeout_ms);
    bool over = atomic_load(&g->stop) || g->drained;
    return gateway_leave(g) || over;
}

PERILUNE_API int perilune_run(perilune *g) {
    int rc;
    while ((rc = perilune_poll(g, -1)) == 0) {}
    return rc < 0 ? rc : 0;
}

PERILUNE_API int perilune_fd(const perilune *g) {
    int refused = gateway_admits(g);
    return refused != 0 ? refused : uv_backend_fd(&g->loop.uv);
}

PERILUNE_API int perilune_timeout(const perilune *g) {
    int refused = gateway_admits(g);
    if (refused != 0) return refused;
    if (!list_is_empty(&g->loop.soon) || loop_is_due(&g->loop)) return 0;
    return uv_backend_timeout(&g->loop.uv);
}

/* In a child its bell would be the parent's. */
PERILUNE_API void perilune_wake(perilune *g) {
    if (!gateway_is_foreign(g)) mailbox_ring(&g->mail);
}

PERILUNE_API void perilune_stop(perilune *g) {
    if (gateway_is_foreign(g)) return;
    atomic_store(&g->stop, true);
    perilune_wake(g);
}

PERILUNE_API void perilune_drain(perilune *g, int timeout_ms) {
    if (gateway_is_foreign(g)) return;
    atomic_store(&g->drain_asked, timeout_ms < 0 ? DRAIN_CONFIGURED : timeout_ms);
    perilune_wake(g);
}

PERILUNE_API int perilune_stats(perilune *g, char *buf, size_t size) {
    int refused = gateway_looks(g);
    if (buf == NULL && size > 0) refused = PERILUNE_ERR_INVAL;
    if (refused != 0) return refused;
    struct buf out;
    buf_init(&out, 0);
    metrics_write(g, &out);
    int n = buf_failed(&out) ? PERILUNE_ERR_NOMEM : (int)buf_len(&out);
    if (n < 0) buf_clear(&out);
    if (size > 0) snprintf(buf, size, "%.*s", SLICE_ARG(buf_get(&out)));
    buf_deinit(&out);
    return n;
}

/* -- Life ------------------------------------------------------------------------------------------------ */

/* loop NULL: one of its own, and a thread. */
static int open_worker(struct perilune *g, struct loop *loop) {
    unsigned i = g->worker_count;
    struct worker *w = &g->workers[i];
    int rc = worker_open(w, i, loop, &g->log);
    if (rc != 0) return gateway_fail(g, rc, "cannot start a worker: %s", perilune_strerror(rc));
    w->server.total = &g->connections; /* before it listens */
    w->calibration = g->calibration;
    far_init(&w->far, w->loop, &g->log, &g->stores->far, g->stores->cache);
    w->far.forget = cached_forget_far;
    atomic_store(&g->worker_count, i + 1); /* ORDER: last; perilune_stats() of any thread looks at so many */
    return 0;
}

static int open_workers(struct perilune *g, int threads) {
    unsigned n = threads == 0 ? 1 : (unsigned)threads;
    int rc = 0;
    g->workers = mem_zalloc((n + 1) * sizeof(*g->workers)); /* and one for `home` */
    if (g->workers == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    while (g->worker_count < n && rc == 0) rc = open_worker(g, threads == 0 ? &g->loop : NULL);
    return rc;
}

int gateway_open_home(struct perilune *g) {
    if (g->home != NULL) return 0;
    int rc = open_worker(g, &g->loop);
    if (rc != 0) return rc;
    g->home = &g->workers[g->worker_count - 1];
    g->home->is_home = true;
    g->home->finished = g->hooks.finished;
    g->home->finished_ud = g->hooks.ud;
    return 0;
}

/* How many workers is in the configuration, and loading needs the workers: the
 * first load has none and only reads. */
static int first_load(struct perilune *g, const perilune_options *o) {
    struct loaded peek = { .bundle = NULL };
    int threads = o->threads;
    if (o->config != NULL && threads < 0) {
        int rc = load_config(g, o->config, &peek);
        if (rc != 0) {
            loaded_free(g, &peek);
            return rc;
        }
        threads = (int)worker_number(peek.config);
        loaded_free(g, &peek);
    }
    g->watch_asked = o->watch != 0;
    g->workers_asked = o->threads >= 0;
    int rc = open_workers(g, threads < 0 ? (int)worker_number(NULL) : threads);
    if (rc == 0 && o->config != NULL) rc = perilune_load(g, o->config);
    return rc;
}

/* What perilune_close() counts on.  All of it or nothing. */
static int open_parts(struct perilune *g) {
    int rc = registry_init(&g->registry);
    if (rc != 0) return rc;
    rc = loop_init(&g->loop);
    if (rc != 0) goto no_loop;
    rc = mailbox_open(&g->mail, &g->loop, g);
    if (rc == 0) return 0;
    loop_deinit(&g->loop);
no_loop:
    registry_deinit(&g->registry);
    return rc;
}

static int open_rest(struct perilune *g, const perilune_options *o) {
    struct log_reader reader = { .write = o->log, .idle = o->log_idle, .ud = o->log_ud };
    int rc = o->log != NULL ? log_thread_open(&g->log_thread, &g->log, &reader) : 0;
    if (rc != 0 || (rc = library_open(&g->library, g)) != 0) return rc;
    g->host = (struct bundle_host){ .read = o->read, .ud = o->read_ud, .reads = &g->reads };
    g->stores = stores_new();
    if (g->stores != NULL) g->stores->host = host_new();
    g->calibration = calibration_new();
    g->engines = engines_new(&llama_engine, &process_engine, &g->log);
    if (g->stores == NULL || g->stores->host == NULL) return PERILUNE_ERR_NOMEM;
    if (g->calibration == NULL || g->engines == NULL) return PERILUNE_ERR_NOMEM;
    engines_hold(g->engines); /* the configuration may be read twice, and its models are loaded once */
    rc = first_load(g, o);
    engines_release(g->engines);
    return rc;
}

PERILUNE_API int perilune_open(perilune **out, const perilune_options *options, char *errbuf, size_t errlen) {
    if (errbuf != NULL && errlen > 0) errbuf[0] = '\0';
    if (out != NULL) *out = NULL;
    perilune_options o;
    int rc = gateway_options(&o, options, errbuf, errlen);
    if (rc == 0 && out == NULL) {
        if (errbuf != NULL && errlen > 0) snprintf(errbuf, errlen, "perilune_open() needs a place for the gateway");
        rc = PERILUNE_ERR_INVAL;
    }
    if (rc != 0) return rc;
    atomic_store(&opened, true);
    multi_global_init();
    struct perilune *g = mem_zalloc(sizeof(*g));
    if (g == NULL) {
        if (errbuf != NULL && errlen > 0) snprintf(errbuf, errlen, "%s", perilune_strerror(PERILUNE_ERR_NOMEM));
        return PERILUNE_ERR_NOMEM;
    }
    g->pid = getpid();
    g->opener = pthread_self();
    atomic_init(&g->log.level, PERILUNE_LOG_INFO);
    atomic_init(&g->drain_asked, DRAIN_NOT_ASKED);
    rc = open_parts(g);
    if (rc != 0) {
        if (errbuf != NULL && errlen > 0) snprintf(errbuf, errlen, "%s", perilune_strerror(rc));
        mem_free(g);
        return rc;
    }
    rc = open_rest(g, &o);
    if (rc == 0) {
        *out = g;
        return 0;
    }
    if (errbuf != NULL && errlen > 0) snprintf(errbuf, errlen, "%s", g->errmsg[0] ? g->errmsg : perilune_strerror(rc));
    perilune_close(g);
    return rc;
}

/* Ends whatever runs; all of it may log until then. */
static void end_parts(struct perilune *g) {
    /* Before the workers, whom they ask: closing turns the loop, and what is due would fire. */
    timer_stop(&g->loop, &g->watch);
    timer_stop(&g->loop, &g->drain);
    timer_stop(&g->loop, &g->poll);
    timer_stop(&g->loop, &g->metrics);
    if (g->library != NULL) library_close(g->library);
    if (g->admin_open) admin_close(g);
    for (unsigned i = 0; i < g->worker_count; i++) worker_close(&g->workers[i]);
    gateway_keep_sockets(g, NULL, NULL);
    if (g->stores != NULL) cache_keeper_close(g);
    job_keeper_close(g);
    loop_deinit(&g->loop);
    library_put(g->library);
    if (g->sim) sim_stop(g->sim);
}

/* In a callback of a worker, or of the log: those threads cannot wait for their own end. */
static bool is_on_other_thread(struct perilune *g) {
    bool other = gateway_is_elsewhere(g);
    if (other) log_line(&g->log, PERILUNE_LOG_ERROR, "perilune_close() from a thread of the library's is refused: "
                                                     "it is the owner's to call");
    return other;
}

PERILUNE_API void perilune_close(perilune *g) {
    if (gateway_is_foreign(g) || g->closing || is_on_other_thread(g)) return;
    if (g->loading) { /* what loads would go on in freed memory */
        log_line(&g->log, PERILUNE_LOG_ERROR, "perilune_close() inside %s: nothing is closed", gateway_who_loads(g));
        return;
    }
    if (g->depth > 0) { /* a callback: what called it is not done with g */
        g->close_asked = true;
        gateway_end_turn(g);
        return;
    }
    struct sigpipe held;
    sigpipe_hold(&held);
    g->closing = true;
    g->depth++; /* callbacks come */
    loop_read_clock(&g->loop);
    mailbox_close(&g->mail); /* what was posted runs */
    end_parts(g);
    sigpipe_release(&held);
    /* ORDER: the host's log function may call what is marked [any] until it is called no more: what
     * those functions read goes after that. */
    engines_hush(g->engines);
    log_thread_close(g->log_thread, LOG_CLOSE_MS);
    mailbox_deinit(&g->mail);
    if (g->admin_open) http_server_deinit(&g->admin);
    mem_free(g->workers);
    buf_deinit(&g->eval_result);
    config_put(g->config);
    engines_free(g->engines);
    bundle_free(g->bundle);
    tls_context_put(g->tls);
    if (g->stores != NULL) host_free(g->stores->host);
    stores_free(g->stores);
    calibration_free(g->calibration);
    registry_deinit(&g->registry);
    mem_free(g->path);
    mem_free(g->override);
    mem_free(g);
}
