/* values.c -- configuration values that the program sets while policies run.
 *
 *     perilune_value_set --> [ lock: name -> text, name -> text ... ]  version + 1
 *                                        |                                |
 *     a Lua state, when its version is another one: the text, parsed once |  else what it has parsed already
 *
 * Reading happens a million times for each change.  So who reads compares one number, and only when that has changed
 * comes here, takes a share of the text and keeps what it makes of it (bridge/l_host.c). */
#include "store/values.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"

#define NAMES_MOST 1024
#define BYTES_MOST (16u << 20)

struct value {
    struct list  link;
    struct blob *text;
    size_t       name_len;
    char         name[];
};

struct values {
    pthread_mutex_t lock;
    struct list     all;   /* LOCK */
    unsigned        count; /* LOCK */
    size_t          bytes; /* LOCK */
    atomic_uint_least64_t version;
};

struct values *values_new(void) {
    struct values *v = mem_zalloc(sizeof(*v));
    if (v == NULL) return NULL;
    if (pthread_mutex_init(&v->lock, NULL) != 0) {
        mem_free(v);
        return NULL;
    }
    list_init(&v->all);
    atomic_init(&v->version, 1);
    return v;
}

static void value_free(struct value *one) {
    blob_put(one->text);
    mem_free(one);
}

void values_free(struct values *v) {
    if (v == NULL) return;
    while (!list_is_empty(&v->all)) {
        struct value *one = container_of(v->all.next, struct value, link);
        list_remove(&one->link);
        value_free(one);
    }
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

static struct value *find(struct values *v, struct slice name) {
    for (struct list *l = v->all.next; l != &v->all; l = l->next) {
        struct value *one = container_of(l, struct value, link);
        if (slice_eq(slice_of(one->name, one->name_len), name)) return one;
    }
    return NULL;
}

static struct value *value_new(struct slice name, struct slice json) {
    struct value *one = mem_zalloc(sizeof(*one) + name.len + 1);
    if (one == NULL) return NULL;
    one->text = blob_copy(json);
    if (one->text == NULL) {
        mem_free(one);
        return NULL;
    }
    memcpy(one->name, name.ptr, name.len);
    one->name_len = name.len;
    return one;
}

static size_t size_of(const struct value *one) { return one ? one->name_len + one->text->len : 0; }

/* fresh takes the place of what has its name.  Returns what is to be freed: that, or fresh when there is no room. */
static struct value *exchange(struct values *v, struct slice name, struct value *fresh, int *rc) {
    struct value *old = find(v, name);
    size_t bytes = v->bytes - size_of(old) + size_of(fresh);
    unsigned count = v->count - (old != NULL) + (fresh != NULL);
    if (fresh != NULL && (bytes > BYTES_MOST || count > NAMES_MOST)) {
        *rc = PERILUNE_ERR_LIMITED;
        return fresh;
    }
    if (old != NULL) list_remove(&old->link);
    if (fresh != NULL) list_append(&v->all, &fresh->link);
    v->bytes = bytes;
    v->count = count;
    atomic_fetch_add_explicit(&v->version, 1, memory_order_release);
    return old;
}

int values_set(struct values *v, struct slice name, struct slice json) {
    struct value *fresh = json.ptr ? value_new(name, json) : NULL;
    if (json.ptr != NULL && fresh == NULL) return PERILUNE_ERR_NOMEM;
    int rc = 0;
    pthread_mutex_lock(&v->lock);
    struct value *gone = exchange(v, name, fresh, &rc);
    pthread_mutex_unlock(&v->lock);
    if (gone != NULL) value_free(gone); /* outside the lock: it may be large */
    return rc;
}

struct blob *values_get(struct values *v, struct slice name) {
    pthread_mutex_lock(&v->lock);
    struct value *one = find(v, name);
    struct blob *text = one ? blob_ref(one->text) : NULL;
    pthread_mutex_unlock(&v->lock);
    return text;
}

uint64_t values_version(const struct values *v) {
    return atomic_load_explicit(&((struct values *)(uintptr_t)v)->version, memory_order_acquire);
}
