/* far.c -- the second tier of the cache, which machines share.
 *
 *     look-up:   cache --miss--> far_get --> Redis --> cache, with what is left of its time --> a hit
 *     storing:   cache_put, and far_put --> Redis, for which nobody waits
 *     invalidate: the cache, and far_invalidate --> Redis: the keys of the tag go, and a note is published
 *                                                     +--> listener of each process --> its cache
 *
 *     PREFIXe:KEY     an entry (far_value.c)
 *     PREFIXt:TAG     the keys that have a tag (redis.c)
 *     PREFIXv:PART    vectors of questions that entries answer, where an index is configured (vectors_redis.c);
 *                     PREFIXh:, PREFIXvDIMS in another (vectors_search.c)
 *     PREFIXnotes     the channel, and the notes of the last hour: ORIGIN, and "t" and a tag, "k" and the text
 *                     of a key, or "f" and KEY, by whoever has only that
 *
 * The cache of a process is keyed with a secret that nobody else knows, so here keys are made otherwise:
 * SHA-256 over the configured secret and the SHA-256 of the text that says all that an answer depends on.
 * Machines that share answers share the secret; who knows it not cannot tell what was asked from a key, nor
 * write a value that is read.
 *
 * How old an entry is by now is told by what Redis has left of its time, so no two clocks are compared.
 *
 * What was let go must not come back because a connection was away.  So orders to delete and to invalidate are
 * kept until Redis has confirmed them, and given again when it refuses them for now (a replica, too few replicas,
 * no memory); meanwhile no thread of this process takes from Redis what they concern.  Who begins to listen asks
 * for the notes that he has missed; when that is longer than notes are remembered, his process forgets all.
 *
 * An answer that is under way here when another process lets it go is not kept, once the note is here; what is stored
 * in Redis while the note is on its way (less than a millisecond, as a rule) stays there.
 *
 * One per worker, used by its thread only; one worker listens for the process.  Notes of our own are passed
 * over: what was stored since is newer. */
#include "store/far.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "include/perilune.h"
#include "store/words.h"

#define SEND_MS 2000 /* for what nobody waits for: a large value may take longer than an answer */
#define ORDERS  4096 /* that are kept while Redis is away */
#define RETRY_LEAST 1000  /* ms from an order that was refused to the next try, doubled each time */
#define RETRY_MOST  30000
#define UNNOTICED_MS 120000 /* a connection may be dead for that long before anybody notices */

/* What Redis is to do, also when it is not there now: to delete and to invalidate. */
struct far_order {
    struct list     link;
    struct list     everywhere; /* among those of the process */
    struct store_op op;
    struct far     *far;
    enum store_verb verb;
    bool            sent;
    size_t          name_at, key_len, note_len;
    char            bytes[]; /* key, which ends with a tag or an entry's own, and note */
};

/* -- Keys ---------------------------------------------------------------------------------------- */

static struct slice secret_of(const struct far *f) {
    return slice_str(f->settings.secret != NULL ? f->settings.secret : f->settings.prefix);
}

void far_key(struct far *f, struct slice text, struct far_key *out) {
    unsigned char digests[2][SHA256_BYTES];
    struct slice secret = secret_of(f);
    /* All three have one size, so no two of them can be taken for another. */
    bool ok = sha256_of(secret, digests[0]) && sha256_of(text, digests[1]);
    ok = ok && sha256_of(slice_of((const char *)digests, sizeof(digests)), digests[0]);
    if (ok) hex_write(digests[0], SHA256_BYTES, out->hex);
    out->hex[ok ? 2 * SHA256_BYTES : 0] = '\0'; /* no memory: a key that nothing is kept under */
}

static void put_key(const struct far *f, struct buf *out, const char *kind, struct slice name) {
    buf_puts(out, f->settings.prefix);
    buf_puts(out, kind);
    buf_slice(out, name);
}

/* -- Asking ------------------------------------------------------------------------------------------ */

/* LOCK */
static bool concerns(const struct far_order *o, const struct far_question *q, const struct cache_item *item) {
    struct slice name = slice_of(o->bytes + o->name_at, o->key_len - o->name_at);
    if (o->verb == STORE_DELETE) return slice_eq(name, slice_str(q->key.hex));
    for (unsigned i = 0; i < item->tag_count; i++)
        if (slice_eq(name, item->tags[i])) return true;
    return false;
}

/* Was it let go, and Redis may not have heard of that when it answered? */
static bool is_let_go(const struct far_question *q, const struct cache_item *item) {
    struct far_process *p = q->far->process;
    if (q->ordered && atomic_load(&p->orders_ended) != q->ended) return true; /* nobody knows which */
    if (atomic_load(&p->order_count) == 0) return false;
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (struct list *l = p->orders.next; l != &p->orders && !found; l = l->next)
        found = concerns(container_of(l, struct far_order, everywhere), q, item);
    pthread_mutex_unlock(&p->lock);
    return found;
}

static struct cache_entry *entry_of(struct far_question *q, const struct store_answer *a) {
    struct slice tags[CACHE_MAX_TAGS], key = slice_str(q->key.hex);
    struct cache_item item = { .key = q->near, .asked = q->asked };
    struct far *f = q->far;
    if (a->rc != 0 || a->value == NULL || a->ttl_ms == 0) return NULL;
    if (!far_value_read(&f->codec, key, blob_get(a->value), REDIS_MAX_VALUE, tags, &item)) return NULL;
    uint64_t all = item.fresh_ms + item.keep_ms;
    if (a->ttl_ms > all || is_let_go(q, &item)) return NULL; /* none of ours, or not any more */
    item.age_ms = all - a->ttl_ms;
    return cache_keep(f->cache, &item, loop_now(f->loop));
}

static void on_got(struct store_op *op, struct store_answer *a) {
    struct far_question *q = container_of(op, struct far_question, op);
    struct cache_entry *e = entry_of(q, a);
    q->gone = a->rc == 0 && a->value == NULL && far_is_ready(q->far); /* else it may be there, and was not read */
    blob_put(a->value);
    q->done(q, e); /* may free q */
}

int far_get(struct far *f, struct far_question *q, const struct far_key *key, struct hash128 near,
            void (*done)(struct far_question *q, struct cache_entry *e)) {
    struct buf name;
    if (!far_is_ready(f) || key->hex[0] == '\0') return PERILUNE_ERR_STATE;
    q->far = f;
    q->key = *key;
    q->near = near;
    q->asked = cache_ask(f->cache, near);
    q->ended = atomic_load(&f->process->orders_ended);
    q->ordered = atomic_load(&f->process->order_count) > 0;
    q->done = done;
    buf_init(&name, 0);
    put_key(f, &name, "e:", slice_str(key->hex));
    struct store_ask ask = { .verb = STORE_GET, .key = buf_get(&name),
                             .within_ms = q->within_ms > 0 ? q->within_ms : f->settings.timeout_ms };
    int rc = buf_failed(&name) ? PERILUNE_ERR_NOMEM : store_begin(redis_store(f->redis), &q->op, &ask, on_got);
    buf_deinit(&name);
    return rc;
}

void far_cancel(struct far_question *q) { store_cancel(&q->op); }

/* -- Telling --------------------------------------------------------------------------------------------- */

static void on_told(struct store_op *op, struct store_answer *a) {
    blob_put(a->value);
    mem_free(op);
}

/* What it was is in the metrics. */
static void tell(struct far *f, struct store_ask *ask) {
    struct store_op *op = mem_zalloc(sizeof(*op));
    ask->within_ms = SEND_MS;
    if (op == NULL || store_begin(redis_store(f->redis), op, ask, on_told) != 0) mem_free(op);
}

/* Appends the keys of all tags, and says where each is in out. */
static void put_tags(const struct far *f, struct buf *out, const struct cache_item *item, struct slice *tags) {
    size_t ends[CACHE_MAX_TAGS + 1] = { buf_len(out) };
    for (unsigned i = 0; i < item->tag_count; i++) {
        put_key(f, out, "t:", item->tags[i]);
        ends[i + 1] = buf_len(out);
    }
    const char *names = buf_get(out).ptr;
    for (unsigned i = 0; i < item->tag_count; i++) tags[i] = slice_of(names + ends[i], ends[i + 1] - ends[i]);
}

void far_put(struct far *f, const struct far_key *key, const struct cache_item *item) {
    struct slice tags[CACHE_MAX_TAGS];
    struct buf names, value;
    if (!far_is_ready(f) || key->hex[0] == '\0' || item->tag_count > CACHE_MAX_TAGS) return;
    buf_init(&names, 0);
    buf_init(&value, 0);
    put_key(f, &names, "e:", slice_str(key->hex));
    size_t key_len = buf_len(&names);
    put_tags(f, &names, item, tags);
    far_value_write(&f->codec, slice_str(key->hex), item, REDIS_MAX_VALUE, &value);
    uint64_t ttl = (item->fresh_ms < CACHE_MAX_MS ? item->fresh_ms : CACHE_MAX_MS) +
                   (item->keep_ms < CACHE_MAX_MS ? item->keep_ms : CACHE_MAX_MS);
    if (!buf_failed(&names) && !buf_failed(&value) && ttl > 0)
        tell(f, &(struct store_ask){ .verb = STORE_SET, .key = slice_of(buf_get(&names).ptr, key_len),
                                     .value = buf_get(&value), .tags = tags, .tag_count = item->tag_count,
                                     .ttl_ms = ttl });
    buf_deinit(&names);
    buf_deinit(&value);
}

/* -- Orders -------------------------------------------------------------------------------------------------- */

static void order_free(struct far_order *o) {
    struct far_process *p = o->far->process;
    store_cancel(&o->op);
    list_remove(&o->link);
    o->far->order_count--;
    pthread_mutex_lock(&p->lock);
    list_remove(&o->everywhere);
    pthread_mutex_unlock(&p->lock);
    atomic_fetch_add(&p->orders_ended, 1); /* first: who sees no order any more sees that */
    atomic_fetch_sub(&p->order_count, 1);
    if (list_is_empty(&o->far->orders)) o->far->overflowed = false;
    mem_free(o);
}

static void orders_free(struct far *f) {
    while (!list_is_empty(&f->orders)) order_free(container_of(f->orders.next, struct far_order, link));
}

static void send_orders(struct far *f);

static void retry_due(struct timer *t) { send_orders(container_of(t, struct far, retry)); }

/* Redis has it, or will never take it; else it is sent again: after a while, when there is a connection, or with
 * another order. */
static void on_ordered(struct store_op *op, struct store_answer *a) {
    struct far_order *o = container_of(op, struct far_order, op);
    struct far *f = o->far;
    blob_put(a->value);
    o->sent = false;
    if (a->rc == PERILUNE_ERR_UPSTREAM)
        log_line(f->log, PERILUNE_LOG_ERROR, "cache.redis: it will not %s \"%.*s\", which stays there until its time "
                 "is over (the user needs +eval, and what the script calls)",
                 o->verb == STORE_DELETE ? "delete" : "invalidate", (int)(o->key_len < 200 ? o->key_len : 200),
                 o->bytes);
    if (a->rc == 0 || a->rc == PERILUNE_ERR_UPSTREAM) {
        order_free(o);
        f->retry_ms = RETRY_LEAST;
        return;
    }
    if (timer_is_running(&f->retry)) return;
    if (f->retry_ms < RETRY_LEAST) f->retry_ms = RETRY_LEAST;
    timer_start(f->loop, &f->retry, f->retry_ms, retry_due);
    f->retry_ms = f->retry_ms * 2 < RETRY_MOST ? f->retry_ms * 2 : RETRY_MOST;
}

static void send_orders(struct far *f) {
    for (struct list *l = f->orders.next; l != &f->orders && far_is_ready(f); l = l->next) {
        struct far_order *o = container_of(l, struct far_order, link);
        struct store_ask ask = { .verb = o->verb, .key = slice_of(o->bytes, o->key_len), .within_ms = SEND_MS,
                                 .note = slice_of(o->bytes + o->key_len, o->note_len) };
        if (o->sent) continue;
        o->sent = store_begin(redis_store(f->redis), &o->op, &ask, on_ordered) == 0;
        if (!o->sent) break;
    }
}

static struct far_order *order_new(struct far *f, enum store_verb verb, size_t name_len, struct slice key,
                                   struct slice note) {
    struct far_order *o = mem_zalloc(sizeof(*o) + key.len + note.len);
    if (o == NULL) return NULL;
    o->far = f;
    o->verb = verb;
    o->name_at = key.len - name_len;
    o->key_len = key.len;
    o->note_len = note.len;
    memcpy(o->bytes, key.ptr, key.len);
    memcpy(o->bytes + key.len, note.ptr, note.len);
    list_append(&f->orders, &o->link);
    f->order_count++;
    atomic_fetch_add(&f->process->order_count, 1);
    pthread_mutex_lock(&f->process->lock);
    list_append(&f->process->orders, &o->everywhere);
    pthread_mutex_unlock(&f->process->lock);
    return o;
}

bool far_is_behind(const struct far *f) {
    return f->order_count > 0 && (!far_is_ready(f) || timer_is_running(&f->retry));
}

/* Was the same ordered, and not sent yet?  What was sent may have come before what is to go now. */
static bool is_ordered(const struct far *f, enum store_verb verb, struct slice key) {
    for (const struct list *l = f->orders.next; l != &f->orders; l = l->next) {
        const struct far_order *o = container_of((struct list *)(uintptr_t)l, struct far_order, link);
        if (!o->sent && o->verb == verb && slice_eq(slice_of(o->bytes, o->key_len), key)) return true;
    }
    return false;
}

static void say_lost(struct far *f, const char *why) {
    if (!f->overflowed)
        log_line(f->log, PERILUNE_LOG_ERROR, "cache.redis: what was deleted and invalidated cannot all be kept until "
                 "Redis is there to be told (%s): some of it stays there until its time is over", why);
    f->overflowed = true;
}

/* The oldest gives way: of so many, more than a few have reached their time by then. */
static void order(struct far *f, enum store_verb verb, const char *kind, struct slice name, char what,
                  struct slice text) {
    struct buf key, note;
    if (f == NULL || f->redis == NULL) return;
    buf_init(&key, 0);
    buf_init(&note, 0);
    put_key(f, &key, kind, name);
    buf_puts(&note, f->process->origin);
    buf_putc(&note, what);
    buf_slice(&note, text);
    bool ok = !buf_failed(&key) && !buf_failed(&note), known = ok && is_ordered(f, verb, buf_get(&key));
    if (ok && !known && f->order_count >= ORDERS) {
        say_lost(f, "there are 4096 of them");
        order_free(container_of(f->orders.next, struct far_order, link));
    }
    if (ok && !known) ok = order_new(f, verb, name.len, buf_get(&key), buf_get(&note)) != NULL;
    if (!ok) say_lost(f, "out of memory");
    send_orders(f);
    buf_deinit(&key);
    buf_deinit(&note);
}

void far_delete(struct far *f, struct slice text) {
    struct far_key key;
    if (f == NULL || f->redis == NULL) return;
    far_key(f, text, &key);
    if (key.hex[0] != '\0') order(f, STORE_DELETE, "e:", slice_str(key.hex), 'k', text);
}

void far_delete_key(struct far *f, const struct far_key *key) {
    if (key->hex[0] != '\0') order(f, STORE_DELETE, "e:", slice_str(key->hex), 'f', slice_str(key->hex));
}

void far_invalidate(struct far *f, struct slice tag) { order(f, STORE_INVALIDATE, "t:", tag, 't', tag); }

/* -- Listening ----------------------------------------------------------------------------------------------- */

static void hear(void *ud, struct slice note) {
    struct far *f = ud;
    size_t origin = sizeof(f->process->origin) - 1;
    if (note.len <= origin || memcmp(note.ptr, f->process->origin, origin) == 0) return;
    struct slice text = slice_of(note.ptr + origin + 1, note.len - origin - 1);
    if (note.ptr[origin] == 't') cache_invalidate(f->cache, text, loop_now(f->loop));
    else if (note.ptr[origin] == 'k') cache_delete(f->cache, cache_key(f->cache, text));
    else if (note.ptr[origin] == 'f' && f->forget != NULL) f->forget(f->cache, text);
}

static void hear_all(struct far *f, struct slice notes) {
    struct slice note;
    while (words_next(&notes, &note)) hear(f, note);
}

static void on_notes(struct store_op *op, struct store_answer *a) {
    struct far *f = container_of(op, struct far, notes);
    if (a->rc == 0 && a->value != NULL) hear_all(f, blob_get(a->value));
    else if (a->rc == 0) cache_clear(f->cache); /* more than can be read */
    f->caught_up = f->heard && (a->rc == 0 || a->rc == PERILUNE_ERR_UPSTREAM);
    blob_put(a->value);
}

/* What was told while nobody listened here. */
static void catch_up(struct far *f) {
    if (!f->heard || f->caught_up || !far_is_ready(f) || f->notes.store != NULL) return;
    uint64_t deaf = f->deaf_ms > 0 ? loop_now(f->loop) - f->deaf_ms + UNNOTICED_MS : REDIS_NOTES_MS;
    if (deaf > REDIS_NOTES_MS) { /* nobody remembers that long */
        cache_clear(f->cache);
        deaf = REDIS_NOTES_MS;
    }
    store_begin(redis_store(f->redis), &f->notes,
                &(struct store_ask){ .verb = STORE_NOTES, .key = slice_str(f->channel), .ttl_ms = deaf,
                                     .within_ms = SEND_MS }, on_notes); /* else at the next change */
}

static void on_listener(void *ud, bool up) {
    struct far *f = ud;
    if (!up && f->caught_up) f->deaf_ms = loop_now(f->loop);
    f->heard = up;
    if (!up) f->caught_up = false;
    catch_up(f);
}

static void on_connection(void *ud, bool up) {
    struct far *f = ud;
    if (!up) return;
    send_orders(f);
    catch_up(f);
}

static void on_searcher(void *ud, bool up) {
    struct far *f = ud;
    vectors_changed(&f->vectors, up);
}

/* -- Configuration --------------------------------------------------------------------------- */

static void put_setting(struct buf *out, const char *s) {
    buf_putc(out, s != NULL ? '+' : '-');
    if (s != NULL) buf_puts(out, s);
    buf_putc(out, '\0');
}

static const char *take_setting(const char **at) {
    const char *s = *at;
    *at += strlen(s) + 1;
    return s[0] == '+' ? s + 1 : NULL;
}

/* ORDER: take_settings() */
static void put_settings(struct buf *out, const struct far_settings *s, bool listens) {
    char numbers[112];
    put_setting(out, s->host);
    put_setting(out, s->path);
    put_setting(out, s->user);
    put_setting(out, s->password);
    put_setting(out, s->prefix);
    put_setting(out, s->secret);
    put_setting(out, s->ca);
    snprintf(numbers, sizeof(numbers), "%u %u %llu %d %d %d", s->port, s->db, (unsigned long long)s->timeout_ms, s->tls,
             listens, (int)s->index);
    put_setting(out, numbers);
}

static void take_settings(struct far *f, const struct far_settings *s) {
    const char *at = f->text.data; /* never empty here */
    f->settings = *s;
    f->settings.host = take_setting(&at);
    f->settings.path = take_setting(&at);
    f->settings.user = take_setting(&at);
    f->settings.password = take_setting(&at);
    f->settings.prefix = take_setting(&at);
    f->settings.secret = take_setting(&at);
    f->settings.ca = take_setting(&at);
    snprintf(f->channel, sizeof(f->channel), "%.128snotes", f->settings.prefix);
    snprintf(f->hello, sizeof(f->hello), "%.128shello", f->settings.prefix);
}

static void disconnect(struct far *f) {
    redis_close(f->redis);
    redis_close(f->listener);
    redis_close(f->searcher);
    vectors_use(&f->vectors, NULL, NULL, NULL, NULL, 0);
    f->redis = f->listener = f->searcher = NULL;
    timer_stop(f->loop, &f->retry);
    orders_free(f);
    f->heard = f->caught_up = false;
    f->deaf_ms = 0;
    far_codec_deinit(&f->codec);
    buf_deinit(&f->text);
}

static bool connect_to(struct far *f, bool listens) {
    /* ORDER: enum far_index; Milvus has no connection here. */
    static const struct vectors_driver *const drivers[] = { NULL, &vectors_redis, &vectors_search, NULL };
    const struct far_settings *s = &f->settings;
    struct redis_options opt = { .loop = f->loop, .log = f->log, .said = &f->process->said, .stats = &f->stats,
                                 .host = s->host, .port = s->port, .path = s->path, .tls = s->tls, .ca = s->ca,
                                 .user = s->user,
                                 .password = s->password, .db = s->db, .hello = f->hello,
                                 .channel = f->channel, .changed = on_connection, .ud = f };
    far_codec_init(&f->codec, secret_of(f));
    f->redis = redis_new(&opt);
    if (f->redis == NULL) return false;
    opt.said = NULL; /* it is the same server */
    opt.stats = NULL;
    opt.changed = on_searcher;
    if (drivers[s->index] != NULL && (f->searcher = redis_new(&opt)) == NULL) return false;
    if (f->searcher != NULL)
        vectors_use(&f->vectors, drivers[s->index], redis_store(f->searcher), redis_store(f->redis), s->prefix,
                    s->timeout_ms);
    if (!listens) return true;
    opt.heard = hear;
    opt.changed = on_listener;
    f->listener = redis_new(&opt);
    return f->listener != NULL;
}

void far_process_init(struct far_process *p) {
    struct rng rng;
    rng_seed(&rng, 0);
    rng_hex128(&rng, p->origin);
    memset(&p->said, 0, sizeof(p->said));
    memset(&p->index_said, 0, sizeof(p->index_said));
    atomic_init(&p->order_count, 0);
    atomic_init(&p->orders_ended, 0);
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->orders);
}

void far_process_deinit(struct far_process *p) { pthread_mutex_destroy(&p->lock); }

void far_init(struct far *f, struct loop *loop, struct log *log, struct far_process *process,
              struct cache *cache) {
    *f = (struct far){ .loop = loop, .log = log, .process = process, .cache = cache };
    buf_init(&f->text, 0);
    buf_init(&f->codec.raw, 0);
    list_init(&f->orders);
    list_init(&f->untold);
    vectors_init(&f->vectors, loop, log, &process->index_said);
}

bool far_configure(struct far *f, const struct far_settings *s, bool listens) {
    struct buf text;
    buf_init(&text, 0);
    if (s != NULL) put_settings(&text, s, listens);
    bool ok = !buf_failed(&text);
    if (ok && slice_eq(buf_get(&text), buf_get(&f->text))) {
        buf_deinit(&text);
        return true;
    }
    disconnect(f);
    if (listens) { /* the first that hears of it */
        atomic_store(&f->process->said.connection, 0);
        atomic_store(&f->process->index_said.cannot, 0);
        refused_forget(&f->process->said.refused);
        refused_forget(&f->process->index_said.refused);
    }
    f->text = text;
    if (s == NULL) return true;
    if (ok) {
        take_settings(f, s);
        ok = connect_to(f, listens);
    }
    if (!ok) disconnect(f);
    return ok;
}

void far_deinit(struct far *f) {
    if (f->loop == NULL) return;
    disconnect(f);
    while (!list_is_empty(&f->untold)) {
        struct far_untold *u = container_of(f->untold.next, struct far_untold, link);
        u->drop(u);
    }
    vectors_deinit(&f->vectors);
}
