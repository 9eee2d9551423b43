/* jobs_memory_table.c -- rows of jobs in memory.
 *
 *     by_id, by_key --> job: row | texts of the question | progress | texts of the end | events ... | hook
 *       all, of its tenant: by age          soon, old: heaps by `at`
 *       lanes[] -> lane -> ready jobs by age;  running
 *
 * There are no transactions, so nothing may fail once something has changed: a job comes with all that it may need
 * later.  Its lane is made with it and counted, its webhook is allocated with it, and heaps and tables have room for
 * it from the beginning.  What is allocated later are texts, before the row changes.
 *
 * Callers get copies, since an answer is read when the row may be another already.
 *
 * One thread at a time: jobs_memory.c locks. */
#include "jobs/jobs_memory_table.h"

#include <limits.h>

#include "include/perilune.h"
#include "jobs/job_id.h"

struct memory_timed {
    uint64_t at;
    unsigned slot; /* 1-based; 0: in no heap */
    struct memory_heap *heap;
};

struct memory_lane {
    struct job_lane lane;
    struct list     ready;
    unsigned        refs;    /* jobs of it that are not over */
    char            texts[];
};

struct memory_tenant {
    struct chained chained;
    struct list    jobs;
    uint64_t       bytes;   /* of its jobs */
    size_t         len;
    char           name[];
};

struct memory_event {
    struct list      link;
    struct job_event event;
    char             texts[];
};

struct memory_hook {
    struct memory_timed timed;
    struct chained      by_number;
    struct job_hook_row row;
    char                log[JOB_HOOK_LOG];
};

struct memory_job {
    struct chained        by_id, by_key;
    struct list           all, of_tenant, place; /* place: in its lane, or running */
    struct memory_timed   timed;
    struct job_row        row;
    struct memory_lane   *lane;
    struct memory_tenant *tenant;
    struct memory_hook   *hook;     /* NULL: it wants none */
    struct list           events;
    char                 *progress, *end;
    uint64_t              bytes;
    size_t                key_len, end_len; /* end_len: of `end` */
    char                  texts[];  /* tenant NUL key, and the question */
};

static struct memory_table *of(struct job_table *t) { return container_of(t, struct memory_table, table); }

/* -- Heaps ------------------------------------------ */

static bool heap_reserve(struct memory_heap *h, unsigned more) {
    while (h->cap < h->count + more)
        if (!mem_grow((void **)&h->at, h->cap, &h->cap, sizeof(*h->at))) return false;
    return true;
}

static void heap_put(struct memory_heap *h, unsigned i, struct memory_timed *t) {
    h->at[i] = t;
    t->slot = i + 1;
}

static void heap_up(struct memory_heap *h, unsigned i) {
    struct memory_timed *t = h->at[i];
    for (; i > 0 && h->at[(i - 1) / 2]->at > t->at; i = (i - 1) / 2) heap_put(h, i, h->at[(i - 1) / 2]);
    heap_put(h, i, t);
}

static void heap_down(struct memory_heap *h, unsigned i) {
    struct memory_timed *t = h->at[i];
    for (unsigned k; (k = 2 * i + 1) < h->count; i = k) {
        if (k + 1 < h->count && h->at[k + 1]->at < h->at[k]->at) k++;
        if (h->at[k]->at >= t->at) break;
        heap_put(h, i, h->at[k]);
    }
    heap_put(h, i, t);
}

static void heap_remove(struct memory_timed *t) {
    if (t->slot == 0) return;
    struct memory_heap *h = t->heap;
    unsigned i = t->slot - 1;
    struct memory_timed *last = h->at[--h->count];
    t->slot = 0;
    if (last == t) return;
    heap_put(h, i, last);
    heap_down(h, i);
    heap_up(h, last->slot - 1);
}

/* Room was reserved when its job was made. */
static void heap_set(struct memory_heap *h, struct memory_timed *t, uint64_t at) {
    heap_remove(t);
    t->heap = h;
    t->at = at;
    if (at == 0) return;
    heap_put(h, h->count++, t);
    heap_up(h, h->count - 1);
}

/* -- Lanes ------------------------------------------ */

/* Where it is, or would be. */
static unsigned lane_at(const struct memory_table *m, const struct job_lane *lane) {
    unsigned from = 0, to = m->lane_count;
    while (from < to) {
        unsigned mid = (from + to) / 2;
        if (job_lane_compare(&m->lanes[mid]->lane, lane) < 0) from = mid + 1;
        else to = mid;
    }
    return from;
}

static struct memory_lane *lane_get(struct memory_table *m, const struct job_lane *lane) {
    unsigned i = lane_at(m, lane);
    if (i < m->lane_count && job_lane_compare(&m->lanes[i]->lane, lane) == 0) {
        m->lanes[i]->refs++;
        return m->lanes[i];
    }
    if (!mem_grow((void **)&m->lanes, m->lane_count, &m->lane_cap, sizeof(*m->lanes))) return NULL;
    struct memory_lane *l = mem_alloc(sizeof(*l) + lane->queue.len + lane->tenant.len);
    if (l == NULL) return NULL;
    memcpy(l->texts, lane->queue.ptr, lane->queue.len);
    if (lane->tenant.len > 0) memcpy(l->texts + lane->queue.len, lane->tenant.ptr, lane->tenant.len);
    l->lane = (struct job_lane){ lane->rank, slice_of(l->texts, lane->queue.len),
                                 slice_of(l->texts + lane->queue.len, lane->tenant.len) };
    list_init(&l->ready);
    l->refs = 1;
    memmove(m->lanes + i + 1, m->lanes + i, (m->lane_count - i) * sizeof(*m->lanes));
    m->lanes[i] = l;
    m->lane_count++;
    return l;
}

static void lane_put(struct memory_table *m, struct memory_lane *l) {
    if (l == NULL || --l->refs > 0) return;
    unsigned i = lane_at(m, &l->lane);
    m->lane_count--;
    memmove(m->lanes + i, m->lanes + i + 1, (m->lane_count - i) * sizeof(*m->lanes));
    mem_free(l);
}

static int next_lane(struct job_table *t, struct arena *a, const struct job_lane *after, enum job_step step,
                     struct job_lane *out) {
    struct memory_table *m = of(t);
    (void)a; /* lanes do not go while somebody takes */
    struct job_lane from = *after;
    if (step == JOB_NEXT_RANK) from = (struct job_lane){ after->rank == INT_MIN ? INT_MIN : after->rank + 1,
                                                         SLICE(""), SLICE("") };
    for (unsigned i = lane_at(m, &from); i < m->lane_count; i++) {
        const struct memory_lane *l = m->lanes[i];
        if (list_is_empty(&l->ready)) continue;
        if (step == JOB_NEXT_LANE && job_lane_compare(&l->lane, after) == 0) continue;
        if (step == JOB_NEXT_QUEUE && l->lane.rank == after->rank && slice_eq(l->lane.queue, after->queue)) continue;
        *out = l->lane;
        return 0;
    }
    return JOBS_NOT_FOUND;
}

/* Among equals by age: one that comes back stands where it stood. */
static void enter_lane(struct memory_job *j) {
    struct list *head = &j->lane->ready, *before = head;
    if (head->prev != head && container_of(head->prev, struct memory_job, place)->row.key > j->row.key) {
        before = head->next; /* it is older than most */
        while (container_of(before, struct memory_job, place)->row.key < j->row.key) before = before->next;
    }
    list_append(before, &j->place);
}

/* -- Finding ------------------------------------------ */

static struct slice id_of(const struct chained *e) {
    return slice_str(container_of(e, struct memory_job, by_id)->row.job.id);
}

static struct slice key_of(const struct chained *e) {
    const struct memory_job *j = container_of(e, struct memory_job, by_key);
    return slice_of(j->texts, j->key_len);
}

static struct slice tenant_of(const struct chained *e) {
    const struct memory_tenant *n = container_of(e, struct memory_tenant, chained);
    return slice_of(n->name, n->len);
}

static struct memory_job *find_job(struct memory_table *m, struct slice id) {
    struct chained **at = hashtable_find(&m->by_id, hash64(&m->key, id), id, id_of);
    return at ? container_of(*at, struct memory_job, by_id) : NULL;
}

static int copy_row(struct arena *a, const struct memory_job *j, unsigned parts, struct job_row *row) {
    *row = j->row;
    return job_copy(a, &row->job, parts) ? 0 : PERILUNE_ERR_NOMEM;
}

static int find(struct job_table *t, struct arena *a, struct slice id, unsigned parts, struct job_row *row) {
    const struct memory_job *j = find_job(of(t), id);
    return j ? copy_row(a, j, parts, row) : JOBS_NOT_FOUND;
}

/* "tenant NUL key": neither of both holds a NUL that could move the border, which is where the tenant ends. */
static struct slice whole_key(char out[JOB_TENANT_MAX + JOB_KEY_MAX + 2], struct slice tenant, struct slice key) {
    memcpy(out, tenant.len > 0 ? tenant.ptr : "", tenant.len);
    out[tenant.len] = '\0';
    memcpy(out + tenant.len + 1, key.ptr, key.len);
    return slice_of(out, tenant.len + 1 + key.len);
}

static int find_key(struct job_table *t, struct arena *a, struct slice tenant, struct slice key, struct job_row *row) {
    struct memory_table *m = of(t);
    char text[JOB_TENANT_MAX + JOB_KEY_MAX + 2];
    struct slice whole = whole_key(text, tenant, key);
    struct chained **at = hashtable_find(&m->by_key, hash64(&m->key, whole), whole, key_of);
    if (at == NULL) return JOBS_NOT_FOUND;
    return copy_row(a, container_of(*at, struct memory_job, by_key), JOB_QUESTION, row);
}

static int list_jobs(struct job_table *t, struct job_call *c, struct job *out, unsigned *count) {
    struct memory_table *m = of(t);
    struct list *head = &m->all;
    bool any = c->ask.tenant.ptr == NULL;
    uint64_t before = UINT64_MAX, token;
    if (c->ask.before.len > 0 && !job_id_read(c->ask.before, &before, &token)) return 0;
    if (!any) {
        struct chained **at = hashtable_find(&m->tenants, hash64(&m->key, c->ask.tenant), c->ask.tenant, tenant_of);
        if (at == NULL) return 0;
        head = &container_of(*at, struct memory_tenant, chained)->jobs;
    }
    for (struct list *l = head->prev; l != head && *count < c->ask.count; l = l->prev) {
        const struct memory_job *j = any ? container_of(l, struct memory_job, all)
                                         : container_of(l, struct memory_job, of_tenant);
        if (j->row.key >= before || (c->ask.status >= 0 && (int)j->row.job.status != c->ask.status)) continue;
        struct job_row row;
        int rc = copy_row(&c->arena, j, 0, &row);
        if (rc != 0) return rc;
        out[(*count)++] = row.job;
    }
    return 0;
}

static int first(struct job_table *t, struct arena *a, const struct job_lane *lane, struct job_row *row) {
    struct memory_table *m = of(t);
    unsigned i = lane_at(m, lane);
    if (i == m->lane_count || list_is_empty(&m->lanes[i]->ready)) return JOBS_NOT_FOUND;
    return copy_row(a, container_of(m->lanes[i]->ready.next, struct memory_job, place), JOB_QUESTION, row);
}

static int running(struct job_table *t, struct arena *a, unsigned more, struct job_running **out, unsigned *count) {
    struct memory_table *m = of(t);
    unsigned n = 0;
    for (struct list *l = m->running.next; l != &m->running; l = l->next) n++;
    *out = arena_alloc(a, (n + more) * sizeof(**out));
    if (*out == NULL) return PERILUNE_ERR_NOMEM;
    *count = 0;
    for (struct list *l = m->running.next; l != &m->running; l = l->next) {
        const struct memory_lane *lane = container_of(l, struct memory_job, place)->lane;
        (*out)[(*count)++] = (struct job_running){ lane->lane.queue, lane->lane.tenant, 1 };
    }
    return 0;
}

static int due(struct job_table *t, struct arena *a, struct job_row *row) {
    struct memory_table *m = of(t);
    const struct memory_heap *h = m->soon.count > 0 && m->soon.at[0]->at <= t->now.steady ? &m->soon : &m->old;
    if (h->count == 0 || h->at[0]->at > t->now.steady) return JOBS_NOT_FOUND;
    return copy_row(a, container_of(h->at[0], struct memory_job, timed), 0, row);
}

static struct slice number_of(const struct chained *e) {
    const struct memory_hook *h = container_of(e, struct memory_hook, by_number);
    return slice_of((const char *)&h->row.hook.number, sizeof(h->row.hook.number));
}

static struct chained **hook_at(const struct memory_table *m, uint64_t number) {
    struct slice key = slice_of((const char *)&number, sizeof(number));
    return hashtable_find(&m->hooks_by_number, hash64(&m->key, key), key, number_of);
}

static struct memory_hook *hook_of(const struct memory_table *m, uint64_t number) {
    struct chained **at = hook_at(m, number);
    return at ? container_of(*at, struct memory_hook, by_number) : NULL;
}

/* -- Making and forgetting ------------------------------------------ */

static void put_text(char **at, struct slice *s) {
    if (s->len > 0) memcpy(*at, s->ptr, s->len);
    s->ptr = *at;
    *at += s->len;
}

static struct memory_job *job_new(const struct job_row *row) {
    const struct job *j = &row->job;
    size_t size = j->tenant.len + 1 + j->key.len + j->queue.len + j->function.len + j->path.len + j->headers.len +
                  j->body.len + j->webhook.len;
    struct memory_job *n = mem_zalloc(sizeof(*n) + size);
    if (n == NULL) return NULL;
    n->hook = j->webhook.len > 0 ? mem_zalloc(sizeof(*n->hook)) : NULL;
    if (j->webhook.len > 0 && n->hook == NULL) {
        mem_free(n);
        return NULL;
    }
    n->row = *row;
    n->bytes = sizeof(*n) + size;
    n->key_len = j->tenant.len + 1 + j->key.len;
    char *at = n->texts;
    put_text(&at, &n->row.job.tenant);
    *at++ = '\0';
    struct slice *const rest[] = { &n->row.job.key, &n->row.job.queue, &n->row.job.function, &n->row.job.path,
                                   &n->row.job.headers, &n->row.job.body, &n->row.job.webhook };
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++) put_text(&at, rest[i]);
    list_init(&n->events);
    list_init(&n->place);
    return n;
}

static struct memory_tenant *tenant_get(struct memory_table *m, struct slice name) {
    uint64_t hash = hash64(&m->key, name);
    struct chained **at = hashtable_find(&m->tenants, hash, name, tenant_of);
    if (at != NULL) return container_of(*at, struct memory_tenant, chained);
    if (hashtable_reserve(&m->tenants) != 0) return NULL;
    struct memory_tenant *n = mem_alloc(sizeof(*n) + name.len);
    if (n == NULL) return NULL;
    n->len = name.len;
    if (name.len > 0) memcpy(n->name, name.ptr, name.len);
    list_init(&n->jobs);
    n->bytes = 0;
    n->chained.hash = hash;
    hashtable_add(&m->tenants, &n->chained);
    return n;
}

static void tenant_put(struct memory_table *m, struct memory_tenant *n) {
    if (n == NULL || !list_is_empty(&n->jobs)) return;
    struct chained **at = hashtable_find(&m->tenants, n->chained.hash, slice_of(n->name, n->len), tenant_of);
    hashtable_remove(&m->tenants, at);
    mem_free(n);
}

/* Stands where its state says. */
static void place(struct memory_table *m, struct memory_job *j) {
    list_remove(&j->place);
    if (j->row.state == JOB_READY) enter_lane(j);
    if (j->row.state == JOB_RUNS) list_append(&m->running, &j->place);
    bool over = job_row_is_over(&j->row);
    heap_set(over ? &m->old : &m->soon, &j->timed, j->row.at);
    if (!over || j->lane == NULL) return;
    lane_put(m, j->lane);
    j->lane = NULL;
}

static int insert(struct job_table *t, struct job_row *row) {
    struct memory_table *m = of(t);
    struct memory_job *j = NULL;
    struct job_lane lane = { -row->job.priority, row->job.queue, row->job.tenant };
    bool room = hashtable_reserve(&m->by_id) == 0 && hashtable_reserve(&m->by_key) == 0 &&
                hashtable_reserve(&m->hooks_by_number) == 0 &&
                heap_reserve(&m->soon, (unsigned)m->jobs + 1 - m->soon.count) &&
                heap_reserve(&m->old, (unsigned)m->jobs + 1 - m->old.count) &&
                heap_reserve(&m->hooks, (unsigned)m->jobs + 1 - m->hooks.count);
    if (!room || (j = job_new(row)) == NULL) return PERILUNE_ERR_NOMEM;
    j->tenant = tenant_get(m, row->job.tenant);
    j->lane = j->tenant ? lane_get(m, &lane) : NULL;
    if (j->lane == NULL) {
        tenant_put(m, j->tenant);
        mem_free(j->hook);
        mem_free(j);
        return PERILUNE_ERR_NOMEM;
    }
    if (!job_id_read(slice_str(row->job.id), &row->key, &row->token)) { /* it brings none */
        row->key = m->last_key = job_key_next(m->last_key, t->now.wall, &m->rng);
        row->token = rng_next(&m->rng);
        job_id_write(row->key, row->token, row->job.id);
    }
    j->row.key = row->key;
    j->row.token = row->token;
    memcpy(j->row.job.id, row->job.id, JOB_ID_SIZE);
    j->by_id.hash = hash64(&m->key, slice_str(j->row.job.id));
    hashtable_add(&m->by_id, &j->by_id);
    if (row->job.key.len > 0) {
        j->by_key.hash = hash64(&m->key, slice_of(j->texts, j->key_len));
        hashtable_add(&m->by_key, &j->by_key);
    }
    list_append(&m->all, &j->all);
    list_append(&j->tenant->jobs, &j->of_tenant);
    m->bytes += j->bytes;
    j->tenant->bytes += j->bytes;
    m->jobs++;
    place(m, j);
    return 0;
}

static void job_free(struct memory_table *m, struct memory_job *j) {
    while (!list_is_empty(&j->events)) {
        struct memory_event *e = container_of(j->events.next, struct memory_event, link);
        list_remove(&e->link);
        mem_free(e);
    }
    list_remove(&j->place);
    list_remove(&j->all);
    list_remove(&j->of_tenant);
    heap_remove(&j->timed);
    if (j->hook) heap_remove(&j->hook->timed);
    if (j->hook && j->hook->row.hook.number > 0)
        hashtable_remove(&m->hooks_by_number, hook_at(m, j->hook->row.hook.number));
    lane_put(m, j->lane);
    j->tenant->bytes -= j->bytes;
    tenant_put(m, j->tenant);
    m->bytes -= j->bytes;
    m->jobs--;
    mem_free(j->hook);
    mem_free(j->progress);
    mem_free(j->end);
    mem_free(j);
}

static int forget(struct job_table *t, const struct job_row *row, bool *gone) {
    struct memory_table *m = of(t);
    struct memory_job *j = find_job(m, slice_str(row->job.id));
    if (j == NULL) return JOBS_NOT_FOUND;
    hashtable_remove(&m->by_id, hashtable_find(&m->by_id, j->by_id.hash, slice_str(j->row.job.id), id_of));
    if (j->row.job.key.len > 0)
        hashtable_remove(&m->by_key, hashtable_find(&m->by_key, j->by_key.hash, key_of(&j->by_key), key_of));
    job_free(m, j);
    *gone = true;
    return 0;
}

/* -- Changing ------------------------------------------ */

static void add_hook(struct memory_table *m, struct memory_job *j) {
    struct memory_hook *h = j->hook;
    h->row = (struct job_hook_row){ .key = j->row.key, .token = j->row.token, .at = m->table.now.steady };
    h->row.hook = (struct job_hook){ .number = ++m->last_hook, .url = j->row.job.webhook, .log = SLICE(""),
                                     .created_ms = j->row.job.ended_ms };
    heap_set(&m->hooks, &h->timed, h->row.at);
    h->by_number.hash = hash64(&m->key, number_of(&h->by_number));
    hashtable_add(&m->hooks_by_number, &h->by_number); /* there is a table: longer chains, at the worst */
    m->open_hooks++;
}

static void count_bytes(struct memory_table *m, struct memory_job *j, uint64_t more, uint64_t less) {
    uint64_t *const all[] = { &m->bytes, &j->bytes, &j->tenant->bytes };
    for (int i = 0; i < 3; i++) *all[i] = *all[i] + more - less;
}

/* The texts of the end in one block; texts that cannot change stay the row's own. */
static char *end_texts(struct job *j) {
    char *block = mem_alloc(j->error.len + j->result_type.len + j->result.len), *at = block;
    if (block == NULL) return NULL;
    put_text(&at, &j->error);
    put_text(&at, &j->result_type);
    put_text(&at, &j->result);
    return block;
}

static void keep_question(struct job *to, const struct job *from) {
    to->tenant = from->tenant;
    to->queue = from->queue;
    to->function = from->function;
    to->path = from->path;
    to->headers = from->headers;
    to->body = from->body;
    to->key = from->key;
    to->webhook = from->webhook;
}

static int update(struct job_table *t, const struct job_row *old, const struct job_row *row) {
    struct memory_table *m = of(t);
    struct memory_job *j = find_job(m, slice_str(row->job.id));
    if (j == NULL) return JOBS_NOT_FOUND;
    struct job_row next = *row;
    bool ends = old->state == JOB_RUNS && row->state != JOB_RUNS; /* only then, and without a try, errors come */
    ends = ends || (job_row_is_over(row) && !job_row_is_over(old));
    char *end = ends ? end_texts(&next.job) : NULL;
    if (ends && end == NULL) return PERILUNE_ERR_NOMEM;
    keep_question(&next.job, &j->row.job);
    next.job.progress = j->row.job.progress;
    if (ends) {
        size_t len = next.job.error.len + next.job.result_type.len + next.job.result.len;
        count_bytes(m, j, len, j->end_len);
        mem_free(j->end);
        j->end = end;
        j->end_len = len;
    } else {
        next.job.error = j->row.job.error;
        next.job.result_type = j->row.job.result_type;
        next.job.result = j->row.job.result;
    }
    bool tells = next.hooked && !j->row.hooked;
    j->row = next;
    place(m, j);
    if (tells) add_hook(m, j);
    return 0;
}

static int append(struct job_table *t, const struct job_row *row, const struct job_event *e) {
    struct memory_table *m = of(t);
    struct memory_job *j = find_job(m, slice_str(row->job.id));
    if (j == NULL) return JOBS_NOT_FOUND;
    bool progress = row->job.progress.ptr == e->data.ptr && e->data.len > 0;
    char *text = progress ? mem_dup(e->data.ptr, e->data.len) : NULL;
    size_t size = sizeof(struct memory_event) + e->name.len + e->data.len;
    struct memory_event *own = progress && text == NULL ? NULL : mem_alloc(size);
    if (own == NULL) {
        mem_free(text);
        return PERILUNE_ERR_NOMEM;
    }
    char *at = own->texts;
    own->event = *e;
    put_text(&at, &own->event.name);
    put_text(&at, &own->event.data);
    list_append(&j->events, &own->link);
    j->row.job.last_event = row->job.last_event;
    j->row.event_bytes = row->event_bytes;
    count_bytes(m, j, size, 0);
    if (!progress) return 0;
    count_bytes(m, j, e->data.len, j->row.job.progress.len);
    mem_free(j->progress);
    j->progress = text;
    j->row.job.progress = slice_of(text, e->data.len);
    return 0;
}

#define EVENT_BYTES (1024 * 1024) /* of one answer; one at least */

static int events(struct job_table *t, struct arena *a, const struct job_row *row, struct job_call *c) {
    const struct memory_job *j = find_job(of(t), slice_str(row->job.id));
    struct job_event *out = arena_alloc(a, (c->ask.count > 0 ? c->ask.count : 1) * sizeof(*out));
    size_t bytes = 0;
    if (j == NULL || out == NULL) return j ? PERILUNE_ERR_NOMEM : JOBS_NOT_FOUND;
    c->answer.events = out;
    struct list *at = j->events.prev; /* who follows a stream wants the last ones */
    while (at != &j->events && container_of(at, struct memory_event, link)->event.number > c->ask.after) at = at->prev;
    for (at = at->next; at != &j->events && c->answer.count < c->ask.count && bytes < EVENT_BYTES; at = at->next) {
        struct job_event *e = &out[c->answer.count];
        *e = container_of(at, struct memory_event, link)->event;
        e->name.ptr = arena_dup(a, e->name);
        e->data.ptr = arena_dup(a, e->data);
        if (e->name.ptr == NULL || e->data.ptr == NULL) return PERILUNE_ERR_NOMEM;
        bytes += e->data.len;
        c->answer.count++;
    }
    return 0;
}

/* -- Webhooks ------------------------------------------ */

static int copy_hook(struct arena *a, const struct memory_hook *from, struct job_hook_row *h) {
    *h = from->row;
    h->hook.url.ptr = arena_dup(a, h->hook.url);
    h->hook.log.ptr = arena_dup(a, h->hook.log);
    return h->hook.url.ptr && h->hook.log.ptr ? 0 : PERILUNE_ERR_NOMEM;
}

static int hook_due(struct job_table *t, struct arena *a, struct job_hook_row *h) {
    const struct memory_heap *heap = &of(t)->hooks;
    if (heap->count == 0 || heap->at[0]->at > t->now.steady) return JOBS_NOT_FOUND;
    return copy_hook(a, container_of(heap->at[0], struct memory_hook, timed), h);
}

static int hook_find(struct job_table *t, struct arena *a, uint64_t number, struct job_hook_row *h) {
    const struct memory_hook *there = hook_of(of(t), number);
    return there ? copy_hook(a, there, h) : JOBS_NOT_FOUND;
}

static int hook_update(struct job_table *t, const struct job_hook_row *h) {
    struct memory_table *m = of(t);
    struct memory_hook *own = hook_of(m, h->hook.number);
    if (own == NULL) return JOBS_NOT_FOUND;
    struct slice url = own->row.hook.url;
    own->row = *h;
    own->row.hook.url = url;
    if (h->hook.log.len > 0) memmove(own->log, h->hook.log.ptr, h->hook.log.len);
    own->row.hook.log = slice_of(own->log, h->hook.log.len);
    heap_set(&m->hooks, &own->timed, h->at);
    if (job_hook_is_over(&h->hook)) m->open_hooks--;
    return 0;
}

static int hooks(struct job_table *t, struct arena *a, const struct job_row *row, struct job_hook *out,
                 unsigned *count) {
    const struct memory_job *j = find_job(of(t), slice_str(row->job.id));
    struct job_hook_row h;
    if (j == NULL || j->hook == NULL || j->hook->row.hook.number == 0) return 0;
    int rc = copy_hook(a, j->hook, &h);
    if (rc != 0) return rc;
    out[(*count)++] = h.hook;
    return 0;
}

static uint64_t bytes(struct job_table *t) { return of(t)->bytes; }

static int tenant_bytes(struct job_table *t, struct slice tenant, uint64_t *out) {
    struct memory_table *m = of(t);
    struct chained **at = hashtable_find(&m->tenants, hash64(&m->key, tenant), tenant, tenant_of);
    *out = at != NULL ? container_of(*at, struct memory_tenant, chained)->bytes : 0;
    return 0;
}

static const struct job_table_ops ops = {
    insert, find, find_key, update, append, events, list_jobs, forget, due, next_lane, first, running, hook_due,
    hook_find, hook_update, hooks, bytes, tenant_bytes,
};

/* -- The whole ------------------------------------------ */

void memory_table_init(struct memory_table *t, const struct jobs_settings *s) {
    *t = (struct memory_table){ .table = { .ops = &ops, .settings = s } };
    job_counts_init(&t->table.counts);
    hash_key_random(&t->key);
    rng_seed(&t->rng, 0);
    list_init(&t->all);
    list_init(&t->running);
}

void memory_table_deinit(struct memory_table *t) {
    while (!list_is_empty(&t->all)) job_free(t, container_of(t->all.next, struct memory_job, all));
    job_counts_clear(&t->table.counts);
    hashtable_deinit(&t->by_id);
    hashtable_deinit(&t->by_key);
    hashtable_deinit(&t->tenants);
    hashtable_deinit(&t->hooks_by_number);
    mem_free(t->lanes);
    mem_free(t->soon.at);
    mem_free(t->old.at);
    mem_free(t->hooks.at);
}

uint64_t memory_table_next(const struct memory_table *t) {
    uint64_t at = t->soon.count > 0 ? t->soon.at[0]->at : UINT64_MAX;
    uint64_t hook = t->hooks.count > 0 ? t->hooks.at[0]->at : UINT64_MAX;
    if (hook <= t->table.hooks_told) hook = UINT64_MAX;
    return hook < at ? hook : at;
}

bool memory_table_hook_due(const struct memory_table *t) {
    return t->hooks.count > 0 && t->hooks.at[0]->at <= t->table.now.steady;
}

void memory_table_clock(struct memory_table *t) {
    for (struct list *l = t->all.next; l != &t->all; l = l->next) {
        struct memory_job *j = container_of(l, struct memory_job, all);
        job_rule_clock(&j->row, t->table.now);
        if (!job_row_is_over(&j->row)) heap_set(&t->soon, &j->timed, j->row.at);
    }
}

static uint64_t oldest(const struct memory_table *t, struct slice queue) {
    uint64_t ms = 0;
    for (unsigned i = 0; i < t->lane_count; i++) {
        const struct memory_lane *l = t->lanes[i];
        if (list_is_empty(&l->ready) || !slice_eq(l->lane.queue, queue)) continue;
        uint64_t at = container_of(l->ready.next, struct memory_job, place)->row.job.created_ms;
        if (ms == 0 || at < ms) ms = at;
    }
    return ms;
}

void memory_table_counts(struct memory_table *t, void (*each)(void *ud, const struct jobs_count *c), void *ud) {
    struct list *heads[] = { &t->table.counts.all, &t->table.counts.changed };
    for (int i = 0; i < 2; i++)
        for (struct list *l = heads[i]->next; l != heads[i]; l = l->next) {
            const struct job_count *n = container_of(l, struct job_count, link);
            struct slice queue = slice_of(n->name + 1, n->len - 1);
            if (n->name[0] != 'q') continue;
            each(ud, &(struct jobs_count){ queue, (uint64_t)n->of[JOB_QUEUED], (uint64_t)n->of[JOB_RUNNING],
                                           (uint64_t)n->of[JOB_FAILED], oldest(t, queue) });
        }
}
