/* job_counts.c -- how many jobs there are, of each queue and of each tenant.
 *
 *     all, changed: lists of    "q" "default"  -> { queued 3, running 1, completed 9, ... }
 *                               "t" "acme"     -> { queued 2, ... }
 *
 * Quotas ask for them with each job that is submitted, and metrics now and then: counting rows would cost more with
 * every job that is kept.  In memory this is the truth.  For a file it is what was read of it: numbers are loaded when
 * they are first asked for, by how much they changed is added to those in the file before the commit, and all is
 * forgotten when that fails or when another process has written.
 *
 * One thread at a time. */
#include "jobs/job_counts.h"

#include "base/mem.h"
#include "include/perilune.h"

static struct slice name_of(const struct chained *e) {
    const struct job_count *n = container_of(e, struct job_count, chained);
    return slice_of(n->name, n->len);
}

void job_counts_init(struct job_counts *c) {
    *c = (struct job_counts){ .load = NULL };
    hash_key_random(&c->key);
    list_init(&c->all);
    list_init(&c->changed);
}

static void free_list(struct list *l) {
    while (!list_is_empty(l)) {
        struct job_count *n = container_of(l->next, struct job_count, link);
        list_remove(&n->link);
        mem_free(n);
    }
}

void job_counts_clear(struct job_counts *c) {
    free_list(&c->all);
    free_list(&c->changed);
    hashtable_deinit(&c->table);
}

static int make(struct job_counts *c, struct slice name, uint64_t hash, struct job_count **out) {
    int rc = hashtable_reserve(&c->table);
    if (rc != 0) return rc;
    struct job_count *n = mem_zalloc(sizeof(*n) + name.len);
    if (n == NULL) return PERILUNE_ERR_NOMEM;
    n->chained.hash = hash;
    n->len = name.len;
    memcpy(n->name, name.ptr, name.len);
    rc = c->load != NULL ? c->load(c, n) : 0;
    if (rc != 0) {
        mem_free(n);
        return rc;
    }
    hashtable_add(&c->table, &n->chained);
    list_append(&c->all, &n->link);
    *out = n;
    return 0;
}

int job_counts_find(struct job_counts *c, char kind, struct slice name, struct job_count **out) {
    char text[1 + JOB_TENANT_MAX];
    size_t len = name.len < JOB_TENANT_MAX ? name.len : JOB_TENANT_MAX;
    text[0] = kind;
    if (len > 0) memcpy(text + 1, name.ptr, len);
    struct slice whole = slice_of(text, 1 + len);
    uint64_t hash = hash64(&c->key, whole);
    struct chained **at = hashtable_find(&c->table, hash, whole, name_of);
    if (at == NULL) return make(c, whole, hash, out);
    *out = container_of(*at, struct job_count, chained);
    return 0;
}

void job_counts_add(struct job_counts *c, struct job_count *n, enum job_status s, int by) {
    n->by[s] += by;
    n->of[s] += by;
    if (n->of[s] < 0) n->of[s] = 0; /* a file that somebody else has changed */
    if (n->changed) return;
    n->changed = true;
    list_remove(&n->link);
    list_append(&c->changed, &n->link);
}

uint64_t job_count_kept(const struct job_count *n) {
    int64_t sum = 0;
    for (int i = 0; i < JOB_STATUSES; i++) sum += n->of[i];
    return (uint64_t)sum;
}

void job_counts_drop(struct job_counts *c, struct job_count *n) {
    if (job_count_kept(n) > 0) return;
    struct chained **at = hashtable_find(&c->table, n->chained.hash, name_of(&n->chained), name_of);
    if (at != NULL) hashtable_remove(&c->table, at);
    list_remove(&n->link);
    mem_free(n);
}
