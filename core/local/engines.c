/* engines.c -- the models that a process has loaded.
 *
 *     configurations, by generation          one resident per (file, settings)
 *       small -> share ---------------------> resident 1: model.gguf, 4 threads
 *       small -> share ---------------------^                                     a reload shares it
 *       other -> share ---------------------> resident 2: other.gguf
 *
 * A model is loaded once for all workers and generations.  It is the same one when the settings are and the file is
 * still the same file: a file that was replaced is another model, which is loaded beside the old one, and requests of
 * the old generation end on that.
 *
 * The last share may be given back on a worker's thread, which must not wait for a step.  So a resident without shares
 * is told to stop and freed by a thread of its own, which engines_free() waits for. */
#include "local/engines.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "include/perilune.h"

#define NO_MEMORY "out of memory"

struct loaded {
    struct list            link;
    struct engines        *of;
    struct engine_settings settings; /* its strings are `text` */
    struct stat            file, template;
    struct resident         *resident;
    unsigned               shares;   /* LOCK */
    pthread_t              reaper;
    char                   text[];
};

struct engines {
    const struct perilune_engine *engine, *process;
    pthread_mutex_t log_lock;
    struct log     *log;           /* LOG_LOCK; NULL: nobody reads */
    pthread_mutex_t lock;
    struct list     loaded, dying; /* LOCK */
    unsigned        holds;         /* LOCK */
    atomic_uint_least64_t loads;
};

struct engines *engines_new(const struct perilune_engine *engine, const struct perilune_engine *process,
                            struct log *log) {
    struct engines *e = mem_zalloc(sizeof(*e));
    if (e == NULL || pthread_mutex_init(&e->lock, NULL) != 0) {
        mem_free(e);
        return NULL;
    }
    pthread_mutex_init(&e->log_lock, NULL);
    e->engine = engine;
    e->process = process;
    e->log = log;
    list_init(&e->loaded);
    list_init(&e->dying);
    return e;
}

/* -- Going ------------------------------------------------------------------------------- */

static void *reap(void *arg) {
    struct loaded *l = arg;
    resident_free(l->resident);
    l->resident = NULL;
    return NULL;
}

/* LOCK is held.  Without a thread the caller waits itself: a step of the model. */
static void stop(struct engines *e, struct loaded *l) {
    list_remove(&l->link);
    if (thread_start(&l->reaper, "unload", reap, l) == 0) {
        list_append(&e->dying, &l->link);
        return;
    }
    resident_free(l->resident);
    mem_free(l);
}

static void stop_unused(struct engines *e) {
    for (struct list *at = e->loaded.next, *next; at != &e->loaded; at = next) {
        struct loaded *l = container_of(at, struct loaded, link);
        next = at->next;
        if (l->shares == 0 && e->holds == 0) stop(e, l);
    }
}

static void join_all(struct list *dying) {
    while (!list_is_empty(dying)) {
        struct loaded *l = container_of(dying->next, struct loaded, link);
        pthread_join(l->reaper, NULL);
        list_remove(&l->link);
        mem_free(l);
    }
}

void engines_free(struct engines *e) {
    if (e == NULL) return;
    e->holds = 0;
    stop_unused(e);
    join_all(&e->dying);
    pthread_mutex_destroy(&e->log_lock);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

void engines_hush(struct engines *e) {
    if (e == NULL) return;
    pthread_mutex_lock(&e->log_lock);
    e->log = NULL;
    pthread_mutex_unlock(&e->log_lock);
}

/* On any thread. */
static void say(void *ud, int level, const char *sentence) {
    struct loaded *l = ud;
    pthread_mutex_lock(&l->of->log_lock);
    if (l->of->log != NULL && log_wants(l->of->log, level)) {
        struct buf line;
        buf_init(&line, 0);
        log_begin(&line, level, sentence);
        log_str(&line, "model", slice_str(l->settings.model));
        log_end(l->of->log, level, &line);
        buf_deinit(&line);
    }
    pthread_mutex_unlock(&l->of->log_lock);
}

void engines_put(struct engines *e, struct resident *r) {
    if (r == NULL) return;
    pthread_mutex_lock(&e->lock);
    for (struct list *at = e->loaded.next; at != &e->loaded; at = at->next) {
        struct loaded *l = container_of(at, struct loaded, link);
        if (l->resident == r) l->shares--;
    }
    stop_unused(e);
    pthread_mutex_unlock(&e->lock);
}

void engines_hold(struct engines *e) {
    struct list dead;
    pthread_mutex_lock(&e->lock);
    e->holds++;
    list_take(&dead, &e->dying);
    pthread_mutex_unlock(&e->lock);
    join_all(&dead); /* of earlier reloads: they have ended long ago */
}

void engines_release(struct engines *e) {
    pthread_mutex_lock(&e->lock);
    e->holds--;
    stop_unused(e);
    pthread_mutex_unlock(&e->lock);
}

/* -- Coming --------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

static bool same_place(const struct engine_settings *a, const struct engine_settings *b) {
    for (unsigned i = 0; i < a->split_count && a->split_count == b->split_count; i++)
        if (a->split[i] != b->split[i]) return false;
    return a->gpu_layers == b->gpu_layers && a->split_count == b->split_count && same_text(a->device, b->device) &&
           same_text(a->kv_type, b->kv_type) && a->flash_attention == b->flash_attention;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* template: of the chat template; zeros: there is no file of it. */
static bool is_it(const struct loaded *l, const struct engine_settings *s, const struct stat *file,
                  const struct stat *template) {
    const struct engine_settings *t = &l->settings;
    return same_text(t->model, s->model) && same_text(t->library, s->library) &&
           same_text(t->template, s->template) && t->threads == s->threads && t->context == s->context &&
           t->context_each == s->context_each && t->sequences == s->sequences && t->batch == s->batch &&
           t->waiting == s->waiting && same_place(t, s) && t->process == s->process &&
           same_text(t->program, s->program) && t->step_ms == s->step_ms &&
           same_file(&l->file, file) && same_file(&l->template, template);
}

static struct resident *find(struct engines *e, const struct engine_settings *s, const struct stat *file,
                             const struct stat *template) {
    struct resident *found = NULL;
    pthread_mutex_lock(&e->lock);
    for (struct list *at = e->loaded.next; at != &e->loaded && found == NULL; at = at->next) {
        struct loaded *l = container_of(at, struct loaded, link);
        if (!is_it(l, s, file, template)) continue;
        l->shares++;
        found = l->resident;
    }
    pthread_mutex_unlock(&e->lock);
    return found;
}

static const char *keep(char **at, const char *text) {
    if (text == NULL) return NULL;
    size_t n = strlen(text) + 1;
    char *to = memcpy(*at, text, n);
    *at += n;
    return to;
}

static size_t size_of(const char *text) { return text ? strlen(text) + 1 : 0; }

static struct loaded *loaded_new(struct engines *e, const struct engine_settings *s, const struct stat *file,
                                 const struct stat *template) {
    size_t text = size_of(s->model) + size_of(s->library) + size_of(s->template) + size_of(s->device) +
                  size_of(s->kv_type) + size_of(s->program);
    struct loaded *l = mem_zalloc(sizeof(*l) + text);
    if (l == NULL) return NULL;
    char *at = l->text;
    l->of = e;
    l->settings = *s;
    l->settings.model = keep(&at, s->model);
    l->settings.library = keep(&at, s->library);
    l->settings.template = keep(&at, s->template);
    l->settings.device = keep(&at, s->device);
    l->settings.kv_type = keep(&at, s->kv_type);
    l->settings.program = keep(&at, s->program);
    l->file = *file;
    l->template = *template;
    l->shares = 1;
    return l;
}

static struct resident_settings resident_settings_of(const struct engines *e, struct loaded *l) {
    const struct engine_settings *s = &l->settings;
    enum { STEP_US = 100000 }; /* how long anybody waits for a token because somebody's prompt is read */
    return (struct resident_settings){
        .engine = s->process ? e->process : e->engine, .say = say, .ud = l, .template = s->template,
        .active = s->sequences, .batch = s->batch, .waiting = s->waiting, .step_us = STEP_US,
        .options = { .model = s->model, .library = s->library, .threads = s->threads, .context = s->context,
                     .context_each = s->context_each, .gpu_layers = s->gpu_layers, .device = s->device,
                     .split = s->split, .split_count = s->split_count, .flash_attention = s->flash_attention,
                     .kv_type = s->kv_type, .program = s->program, .step_ms = s->step_ms } };
}

/* Memory may end anywhere on the way, where nobody knows any more for what. */
static void name_model(const char *model, char *why, size_t why_size) {
    if (strcmp(why, NO_MEMORY) == 0)
        snprintf(why, why_size, "%s: no memory to load it: take a smaller model, or make engine.context smaller",
                 model);
}

int engines_get(struct engines *e, const struct engine_settings *s, struct resident **out, char *why, size_t why_size) {
    struct stat file, template;
    *out = NULL;
    memset(&template, 0, sizeof(template));
    if (stat(s->model, &file) != 0) {
        snprintf(why, why_size, "%s: there is no such file, or it cannot be read", s->model);
        return PERILUNE_ERR_ENGINE;
    }
    if (s->template != NULL && stat(s->template, &template) != 0) {
        snprintf(why, why_size, "%s: there is no such file, or it cannot be read", s->template);
        return PERILUNE_ERR_ENGINE;
    }
    *out = find(e, s, &file, &template);
    if (*out != NULL) return 0;
    struct loaded *l = loaded_new(e, s, &file, &template);
    struct resident_settings rs;
    int rc = PERILUNE_ERR_NOMEM;
    snprintf(why, why_size, "%s", NO_MEMORY);
    if (l != NULL) {
        rs = resident_settings_of(e, l);
        rc = resident_new(&l->resident, &rs, why, why_size);
    }
    if (rc != 0) {
        name_model(s->model, why, why_size);
        mem_free(l);
        return rc;
    }
    atomic_fetch_add(&e->loads, 1);
    pthread_mutex_lock(&e->lock);
    list_append(&e->loaded, &l->link);
    pthread_mutex_unlock(&e->lock);
    *out = l->resident;
    return 0;
}

/* -- Looking ------------------------------------------------------------------------------------ */

void engines_each(struct engines *e, void (*each)(void *ud, const char *model, const struct resident *r), void *ud) {
    pthread_mutex_lock(&e->lock);
    for (struct list *at = e->loaded.next; at != &e->loaded; at = at->next) {
        struct loaded *l = container_of(at, struct loaded, link);
        each(ud, l->settings.model, l->resident);
    }
    pthread_mutex_unlock(&e->lock);
}

uint64_t engines_loads(const struct engines *e) { return atomic_load(&((struct engines *)(uintptr_t)e)->loads); }
