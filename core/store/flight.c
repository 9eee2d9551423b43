/* flight.c -- one answer for all who ask for it at the same time.
 *
 *     source --> [ flight: log ] --letter--> seat --> response of A     on the thread that made the source
 *                                --letter--> seat --> response of B     on another one
 *
 * Whoever comes first makes the source and takes the first seat; whoever comes while the answer is under
 * way takes one more, gets what was said so far, then follows.  The log is a chain of chunks that are
 * only appended to; a seat stands at a place in it.  A chunk is held by the one before it and by the seats
 * at it, the first by the flight, so what the slowest has read goes by itself once nobody can join any
 * more (the answer is longer than `limit`).
 *
 * Each seat has its own back-pressure: a slow client does not hold up the others.  The source pauses when
 * even the fastest is far behind, and who is further behind than `limit` is told that it was too slow.
 * The source is cancelled when the last seat is left; it does not matter whose request made it.
 *
 * A failure before the first event is told to who led, and to all when it is about the question itself
 * (a status 4xx that is not retryable).  The others take seats again: the first of them leads.  After
 * ROUNDS of that a seat gives up.  An error about the question may be about what only who led had asked
 * besides (opt.rest): who did not takes a seat again, among those from then on who have the same rest.
 *
 * One of those who share an answer pays for it: at first who leads.  Who goes before the end hands that on to one
 * who still waits for it (`payer`), so it is settled for each seat when it leaves or has the end, not before.  Of a
 * failure before the first event there is nothing to pay.
 *
 *     thread of the source          any thread
 *     append, end                   join, read, leave
 *        +------ flight->lock --------+          news: one letter a seat, at most one under way
 *
 * A flight can be joined until its source has ended: what is asked behind the end of an answer is another
 * question, or a hit of a cache.  It lives as long as its seats, its source, and letters to it.  A thread that
 * ends takes the sources along that it made; who followed there is told. */
#include "store/flight.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/mem.h"
#include "flow/records.h"
#include "include/perilune.h"
#include "base/hashtable.h"

#define CHUNK  (16 * 1024) /* bytes; a larger event has one of its own */
#define ROUNDS 3

struct chunk {
    atomic_uint   refs;
    struct chunk *next;     /* FLIGHT_LOCK; a share */
    size_t        len, cap; /* len: FLIGHT_LOCK; what is in front of it never changes */
    char          data[];
};

struct flight {
    atomic_uint     refs;
    struct flights *flights;
    struct chained  link;     /* its hash: the upper half of the key; FLIGHTS_LOCK */
    uint64_t        low;
    struct hash128  rest;     /* of who leads */
    bool            listed;   /* FLIGHTS_LOCK */
    /* Of the thread that leads: */
    struct loop    *loop;
    struct mailbox *mail;
    struct sink     sink;
    struct source  *source;   /* NULL: not made yet, or over */
    struct list     led;      /* while there is one, among those of all threads; FLIGHTS_LOCK */
    bool            cancelled;
    struct letter   to_resume, to_cancel;
    struct buf      scratch;
    size_t          limit, high_water;
    /* FLIGHT_LOCK: */
    pthread_mutex_t lock;
    struct list     seats;
    unsigned        seat_count;
    struct seat    *payer;   /* one of the seats; NULL: it is settled, or nobody has sat down */
    struct chunk   *first, *last; /* shares; first: while others may join */
    uint64_t        written, front; /* bytes of the log; how far the fastest has read */
    bool            paused, resuming, cancelling, headed, ended, failed, shared_failure;
    int             status;
    char            content_type[80], upstream[64];
    struct buf      headers;
    struct usage    usage;
    struct buf      usage_said; /* when it has ended */
    struct failure  failure;
};

struct flights {
    pthread_mutex_t  lock;
    struct hashtable table; /* that can be joined */
    struct list      led;   /* that have a source */
    atomic_uint_least64_t joined;
};

struct seat {
    struct source  source;
    struct flight_options opt;
    struct sink   *to;
    struct flight *flight;   /* a share */
    struct list    link;     /* FLIGHT_LOCK */
    struct letter  news;
    bool           told;     /* FLIGHT_LOCK: a letter or deferred work is under way */
    struct deferred here;    /* the same, when the source is on this thread */
    struct chunk  *chunk;    /* a share; NULL: at the beginning */
    size_t         at;       /* in it */
    uint64_t       read;     /* bytes of the log */
    unsigned       round;
    bool           settled;  /* FLIGHT_LOCK: whether it pays does not change any more */
    bool           pays;     /* once it is settled, or leads */
    bool           leads, seated, begun, headed, full, over, in_event, waits; /* waits: freed when the letter is here */
};

static void read_on(struct seat *s);

static const struct failure no_memory = { .kind = FAILURE_NO_MEMORY, .status = 503, .retryable = true,
                                          .code = "out_of_memory", .type = "server_error", .message = "out of memory" };

/* -- Chunks ---------------------------------------------------------------------------------- */

static struct chunk *chunk_ref(struct chunk *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void chunk_put(struct chunk *c) {
    while (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        struct chunk *next = c->next;
        mem_free(c);
        c = next;
    }
}

static struct chunk *chunk_new(size_t room) {
    size_t cap = room > CHUNK ? room : CHUNK;
    struct chunk *c = mem_alloc(sizeof(*c) + cap);
    if (c == NULL) return NULL;
    *c = (struct chunk){ .cap = cap };
    atomic_init(&c->refs, 1);
    return c;
}

/* -- Flights ------------------------------------------------------------------------------------ */

struct flights *flights_new(void) {
    struct flights *f = mem_zalloc(sizeof(*f));
    if (f == NULL) return NULL;
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->led);
    atomic_init(&f->joined, 0);
    return f;
}

void flights_free(struct flights *f) {
    if (f == NULL) return;
    hashtable_deinit(&f->table);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

uint64_t flights_joined(const struct flights *f) {
    return atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)&f->joined, memory_order_relaxed);
}

static struct slice low_of(const struct chained *e) {
    return slice_of((const char *)&container_of((struct chained *)(uintptr_t)e, struct flight, link)->low,
                    sizeof(uint64_t));
}

static struct chained **find(struct flights *f, struct hash128 key) {
    return hashtable_find(&f->table, key.high, slice_of((const char *)&key.low, sizeof(key.low)), low_of);
}

static struct flight *flight_ref(struct flight *f) {
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void flight_put(struct flight *f) {
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1) return;
    chunk_put(f->first);
    chunk_put(f->last);
    buf_deinit(&f->headers);
    buf_deinit(&f->usage_said);
    buf_deinit(&f->scratch);
    failure_deinit(&f->failure);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

/* Nobody finds it from here on. */
static void unlist(struct flight *f) {
    pthread_mutex_lock(&f->flights->lock);
    struct chained **at = f->listed ? find(f->flights, (struct hash128){ f->low, f->link.hash }) : NULL;
    if (at != NULL) hashtable_remove(&f->flights->table, at);
    f->listed = false;
    pthread_mutex_unlock(&f->flights->lock);
}

/* -- News ------------------------------------------------------------------------------------------ */

static void on_news(struct letter *l, void *owner) {
    struct seat *s = container_of(l, struct seat, news);
    (void)owner;
    pthread_mutex_lock(&s->flight->lock);
    s->told = false;
    pthread_mutex_unlock(&s->flight->lock);
    read_on(s);
}

static void on_news_here(struct deferred *d) { on_news(&container_of(d, struct seat, here)->news, NULL); }

/* FLIGHT_LOCK, thread of the source. */
static void tell_seats(struct flight *f) {
    for (struct list *l = f->seats.next; l != &f->seats; l = l->next) {
        struct seat *s = container_of(l, struct seat, link);
        if (s->told) continue;
        s->told = true;
        if (s->opt.loop == f->loop) loop_soon(f->loop, &s->here, on_news_here);
        else if (!mailbox_send(s->opt.mail, &s->news, on_news)) s->told = false; /* its thread is ending */
    }
}

/* -- The thread of the source -------------------------------------------------------------------- */

static void on_resume(struct letter *l, void *owner) {
    struct flight *f = container_of(l, struct flight, to_resume);
    (void)owner;
    pthread_mutex_lock(&f->lock);
    f->resuming = false;
    pthread_mutex_unlock(&f->lock);
    if (f->source != NULL && !f->cancelled) source_resume(f->source);
    flight_put(f);
}

static void forget_source(struct flight *f);

static void stop(struct flight *f) {
    struct source *s = f->source;
    f->cancelled = true;
    if (s == NULL) return;
    source_cancel(s);
    forget_source(f);
}

static void on_cancel(struct letter *l, void *owner) {
    struct flight *f = container_of(l, struct flight, to_cancel);
    (void)owner;
    stop(f);
    flight_put(f);
}

/* FLIGHT_LOCK.  A record at the end of the log; false: no memory. */
static bool append(struct flight *f, const struct event *ev) {
    buf_clear(&f->scratch);
    if (!records_put(&f->scratch, ev)) return false;
    struct slice s = buf_get(&f->scratch);
    if (f->last == NULL || f->last->cap - f->last->len < s.len) {
        struct chunk *c = chunk_new(s.len);
        if (c == NULL) return false;
        if (f->last != NULL) f->last->next = c;
        else f->first = c;
        chunk_put(f->last);
        f->last = chunk_ref(c);
    }
    memcpy(f->last->data + f->last->len, s.ptr, s.len);
    f->last->len += s.len;
    f->written += s.len;
    return true;
}

static void take_end(struct flight *f, const struct failure *why) {
    f->ended = true;
    f->paused = false;
    if (why == NULL) return;
    f->failed = true;
    f->shared_failure = why->status >= 400 && why->status < 500 && !why->retryable;
    failure_copy(&f->failure, why);
}

/* FLIGHT_LOCK. */
static void take(struct flight *f, const struct event *ev) {
    if (ev->usage != NULL) f->usage = *ev->usage;
    switch (ev->type) {
    case EVENT_HEAD:
        buf_slice(&f->headers, ev->headers);
        if (buf_failed(&f->headers)) { /* without its content-encoding, say, it would be another answer */
            take_end(f, &no_memory);
            break;
        }
        f->headed = true;
        f->status = ev->status;
        slice_copy(f->content_type, sizeof(f->content_type), ev->content_type);
        slice_copy(f->upstream, sizeof(f->upstream), ev->upstream);
        break;
    case EVENT_FRAME:
    case EVENT_BYTES:
        if (!append(f, ev)) take_end(f, &no_memory);
        break;
    case EVENT_END:
        buf_slice(&f->usage_said, ev->usage_said);
        take_end(f, NULL);
        break;
    case EVENT_ERROR:
        if (ev->upstream.len > 0) slice_copy(f->upstream, sizeof(f->upstream), ev->upstream);
        take_end(f, ev->failure);
        break;
    }
}

/* FLIGHT_LOCK.  Nobody can join any more; who sits at the beginning still stands there. Returns the share of it. */
static struct chunk *close_beginning(struct flight *f) {
    struct chunk *first = f->first;
    for (struct list *l = f->seats.next; l != &f->seats; l = l->next) {
        struct seat *s = container_of(l, struct seat, link);
        if (s->chunk == NULL) s->chunk = chunk_ref(first);
    }
    f->first = NULL;
    return first;
}

/* The source is over, one way or the other: the flight's share of itself goes with it. */
static void forget_source(struct flight *f) {
    f->source = NULL;
    pthread_mutex_lock(&f->flights->lock);
    list_remove(&f->led);
    pthread_mutex_unlock(&f->flights->lock);
    flight_put(f);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct flight *f = container_of(k, struct flight, sink);
    bool last = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    if (f->cancelled) return FLOW_MORE;
    pthread_mutex_lock(&f->lock);
    take(f, ev);
    bool over = f->ended, closed = f->written > f->limit && f->first != NULL;
    struct chunk *first = closed ? close_beginning(f) : NULL;
    f->paused = !over && f->written - f->front > f->high_water;
    enum flow flow = f->paused ? FLOW_FULL : FLOW_MORE;
    tell_seats(f);
    pthread_mutex_unlock(&f->lock);
    if (closed || over) unlist(f); /* who comes from here on asks anew: what was said is over, or too long */
    chunk_put(first);
    if (last) {
        forget_source(f);
    } else if (over) {
        stop(f); /* no memory */
    }
    return flow;
}

/* -- A seat ---------------------------------------------------------------------------------------- */

static void seat_free(struct seat *s) {
    chunk_put(s->chunk);
    flight_put(s->flight);
    mem_free(s);
}

/* FLIGHT_LOCK.  Who still waits for the end, besides s. */
static struct seat *another(const struct flight *f, const struct seat *s) {
    for (struct list *l = f->seats.next; l != &f->seats; l = l->next) {
        struct seat *other = container_of(l, struct seat, link);
        if (other != s && !other->settled) return other;
    }
    return NULL;
}

/* FLIGHT_LOCK.  Nothing more comes to s.  whole: it has the end; else another pays, if there is one. */
static void settle(struct seat *s, bool whole) {
    struct flight *f = s->flight;
    if (s->settled) return;
    s->settled = true;
    s->pays = f->payer == s;
    if (!s->pays) return;
    bool unpaid = !whole && !(f->failed && !f->headed);
    f->payer = unpaid ? another(f, s) : NULL;
    s->pays = f->payer == NULL;
}

static void say_pays(const struct seat *s, const struct usage *u) {
    if (s->opt.pays != NULL) s->opt.pays(s->opt.ud, s->pays, u);
}

/* The seat is given up; the last one ends the source, and who was to make it and did not leaves a failure
 * that the others do not share.  s->waits: a letter is under way, which needs the seat. */
static void leave(struct seat *s) {
    static const struct failure left = { .kind = FAILURE_RESET, .status = 502, .retryable = true };
    struct flight *f = s->flight;
    bool here = f->loop == s->opt.loop;
    if (!s->seated) return;
    s->seated = false;
    pthread_mutex_lock(&f->lock);
    list_remove(&s->link);
    bool empty = --f->seat_count == 0, ends = empty && !f->ended && !f->cancelling;
    if (ends) f->cancelling = true;
    if (s->leads && !s->begun && !f->ended) {
        take_end(f, &left);
        tell_seats(f);
    }
    bool unsettled = !s->settled;
    settle(s, false);
    struct usage u = f->usage;
    s->waits = s->told && !here;
    pthread_mutex_unlock(&f->lock);
    if (unsettled) say_pays(s, &u);
    deferred_cancel(&s->here);
    if (empty) unlist(f);
    if (ends && here) stop(f);
    if (!ends || here) return;
    flight_ref(f);
    if (!mailbox_send(f->mail, &f->to_cancel, on_cancel)) flight_put(f); /* its thread is ending: flights_leave() */
}

static void seat_end(struct seat *s) {
    leave(s);
    s->opt.drop(s->opt.ud); /* now: whom it belongs to may be gone when the letter is here */
    if (!s->waits) seat_free(s);
}

static void emit(struct seat *s, const struct event *ev) {
    if (!s->over && s->to->event(s->to, ev) == FLOW_FULL) s->full = true;
    s->over |= ev->type == EVENT_END || ev->type == EVENT_ERROR;
}

/* What a seat may know, taken under the lock. */
struct sight {
    struct chunk *chunk;
    struct usage  usage;
    size_t        len;
    bool          more, headed, ended, failed, retry, alien, told, too_slow;
};

/* At most one chunk further. */
static struct sight look(struct seat *s) {
    struct flight *f = s->flight;
    pthread_mutex_lock(&f->lock);
    if (s->chunk == NULL && f->first != NULL) s->chunk = chunk_ref(f->first);
    struct chunk *passed = NULL;
    if (s->chunk != NULL && s->at == s->chunk->len && s->chunk->next != NULL) {
        passed = s->chunk;
        s->chunk = chunk_ref(passed->next);
        s->at = 0;
    }
    struct sight v = { .chunk = s->chunk, .len = s->chunk ? s->chunk->len : 0, .usage = f->usage, .headed = f->headed,
                       .ended = f->ended,
                       .more = s->chunk && s->chunk->next != NULL, .failed = f->failed, .told = s->told,
                       .retry = f->failed && !f->headed && !f->shared_failure && !s->leads,
                       .too_slow = f->written - s->read > f->limit };
    bool same = f->rest.low == s->opt.rest.low && f->rest.high == s->opt.rest.high;
    v.alien = f->failed && !f->headed && f->shared_failure && !same;
    v.retry |= v.alien;
    pthread_mutex_unlock(&f->lock);
    chunk_put(passed);
    return v;
}

/* Has read so far: the source may go on. */
static void note_read(struct seat *s, uint64_t n) {
    struct flight *f = s->flight;
    pthread_mutex_lock(&f->lock);
    s->read += n;
    if (s->read > f->front) f->front = s->read;
    bool resume = f->paused && !f->resuming && f->written - f->front <= f->high_water / 2;
    if (resume) f->resuming = true;
    if (resume) f->paused = false;
    pthread_mutex_unlock(&f->lock);
    if (!resume) return;
    flight_ref(f);
    if (f->loop == s->opt.loop) on_resume(&f->to_resume, NULL);
    else if (!mailbox_send(f->mail, &f->to_resume, on_resume)) flight_put(f);
}

static void read_chunk(struct seat *s, const struct sight *v) {
    struct event ev;
    size_t from = s->at;
    while (!s->over && !s->full && s->at < v->len && records_next(slice_of(v->chunk->data, v->len), &s->at, &ev)) {
        if (usage_is_told(&v->usage)) ev.usage = &v->usage; /* of the answer, whenever it was said */
        emit(s, &ev);
    }
    if (s->at > from) note_read(s, s->at - from);
}

static void emit_head(struct seat *s) {
    const struct flight *f = s->flight;
    s->headed = true;
    emit(s, &(struct event){ .type = EVENT_HEAD, .status = f->status, .content_type = slice_str(f->content_type),
                             .headers = buf_get(&f->headers), .upstream = slice_str(f->upstream) });
}

/* Before its last event: whoever hears that counts what it cost. */
static void settle_now(struct seat *s, bool whole) {
    struct flight *f = s->flight;
    pthread_mutex_lock(&f->lock);
    bool unsettled = !s->settled;
    settle(s, whole);
    struct usage u = f->usage;
    pthread_mutex_unlock(&f->lock);
    if (unsettled) say_pays(s, &u);
}

static void emit_end(struct seat *s) {
    const struct flight *f = s->flight;
    settle_now(s, true);
    emit(s, &(struct event){ .type = f->failed ? EVENT_ERROR : EVENT_END, .failure = f->failed ? &f->failure : NULL,
                             .upstream = f->failed ? slice_str(f->upstream) : SLICE(""),
                             .usage = usage_is_told(&f->usage) ? &f->usage : NULL,
                             .usage_said = buf_get(&f->usage_said) });
}

static void emit_too_slow(struct seat *s) {
    struct failure f;
    settle_now(s, false);
    failure_init(&f);
    failure_set(&f, FAILURE_ANSWER_TOO_LARGE, "the answer is shared with other requests, and this client reads it too "
                "slowly: it is more than %zu bytes behind", s->flight->limit);
    emit(s, &(struct event){ .type = EVENT_ERROR, .failure = &f });
    failure_deinit(&f);
}

/* -- Taking a seat ------------------------------------------------------------------------------- */

static struct flight *flight_new(const struct flight_options *opt) {
    struct flight *f = mem_zalloc(sizeof(*f));
    if (f == NULL) return NULL;
    atomic_init(&f->refs, 1);
    f->flights = opt->flights;
    f->link.hash = opt->key.high;
    f->low = opt->key.low;
    f->rest = opt->rest;
    f->loop = opt->loop;
    f->mail = opt->mail;
    f->sink.event = on_event;
    f->limit = opt->limit;
    f->high_water = opt->high_water;
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->seats);
    list_init(&f->led);
    list_init(&f->to_resume.link);
    list_init(&f->to_cancel.link);
    buf_init(&f->headers, 0);
    buf_init(&f->usage_said, 0);
    buf_init(&f->scratch, 0);
    failure_init(&f->failure);
    return f;
}

/* False: nobody can join f any more. */
static bool take_seat(struct flight *f, struct seat *s) {
    pthread_mutex_lock(&f->lock);
    bool open = !f->cancelling && !f->ended && (f->first != NULL || f->written == 0);
    if (open) {
        list_append(&f->seats, &s->link);
        f->seat_count++;
        if (f->payer == NULL) f->payer = s;
        s->flight = flight_ref(f);
        s->seated = true;
        s->settled = false;
    }
    pthread_mutex_unlock(&f->lock);
    return open;
}

/* FLIGHTS_LOCK.  In the flight of the key, or in `fresh` (may be NULL). */
static bool find_seat(struct flights *all, struct seat *s, struct flight *fresh) {
    struct chained **at = find(all, s->opt.key);
    struct flight *there = at ? container_of(*at, struct flight, link) : NULL;
    if (there != NULL && take_seat(there, s)) return true;
    if (fresh == NULL || hashtable_reserve(&all->table) != 0) return false;
    at = find(all, s->opt.key); /* the table may have moved */
    if (there != NULL) {
        hashtable_remove(&all->table, at);
        there->listed = false;
    }
    hashtable_add(&all->table, &fresh->link);
    fresh->listed = true;
    s->leads = true;
    return take_seat(fresh, s);
}

/* False: no memory. */
static bool sit_down(struct seat *s) {
    struct flights *all = s->opt.flights;
    s->leads = false;
    pthread_mutex_lock(&all->lock);
    bool seated = find_seat(all, s, NULL);
    pthread_mutex_unlock(&all->lock);
    struct flight *fresh = seated ? NULL : flight_new(&s->opt);
    if (seated || fresh == NULL) return seated;
    pthread_mutex_lock(&all->lock);
    seated = find_seat(all, s, fresh);
    pthread_mutex_unlock(&all->lock);
    flight_put(fresh); /* the seat has a share, if it sits there */
    return seated;
}

/* Makes the source for all. */
static void lead(struct seat *s) {
    struct flight *f = s->flight;
    struct source *source = s->opt.make(s->opt.ud);
    if (source != NULL) {
        f->source = source;
        flight_ref(f);
        pthread_mutex_lock(&f->flights->lock);
        list_append(&f->flights->led, &f->led);
        pthread_mutex_unlock(&f->flights->lock);
        source_start(source, &f->sink);
        return;
    }
    pthread_mutex_lock(&f->lock);
    take_end(f, &no_memory);
    tell_seats(f);
    pthread_mutex_unlock(&f->lock);
    unlist(f);
}

/* Its flight failed before it said anything: another one.  No letter is under way, because the failure was
 * the last that could be told. */
static void try_again(struct seat *s) {
    struct flight *old = s->flight;
    leave(s);
    chunk_put(s->chunk);
    s->chunk = NULL;
    s->at = 0;
    s->read = 0;
    s->round++;
    if (!sit_down(s)) { /* no memory: the old one's failure stays */
        s->flight = old;
        emit_end(s);
        return;
    }
    flight_put(old);
    s->pays = s->leads;
    say_pays(s, NULL);
    if (s->leads) lead(s);
}

/* The failure was another question's.  The next flight is one of this rest alone. */
static void keep_apart(struct seat *s) {
    s->opt.key.low ^= s->opt.rest.low;
    s->opt.key.high ^= s->opt.rest.high;
    s->round = 0;
}

/* -- As a source ----------------------------------------------------------------------------------- */

/* One step; false: there is nothing to do for now. */
static bool step(struct seat *s) {
    struct sight v = look(s);
    if (s->over) return false;
    if (v.too_slow && s->full) { /* else it had no turn yet */
        emit_too_slow(s);
        return false;
    }
    if (s->full) return false;
    if (!s->headed && v.headed) {
        emit_head(s);
        return true;
    }
    if (v.chunk != NULL && s->at < v.len) {
        read_chunk(s, &v);
        return true;
    }
    if (v.more) return true; /* look() goes on to the next chunk */
    if (!v.ended) return false;
    if (v.retry && (s->round < ROUNDS || v.alien)) {
        if (v.told) return false; /* the letter comes first: it is needed again */
        if (v.alien) keep_apart(s);
        try_again(s);
        return true;
    }
    emit_end(s);
    return false;
}

static void read_on(struct seat *s) {
    if (s->waits) {
        seat_free(s);
        return;
    }
    if (s->in_event || !s->begun || s->over) return;
    s->in_event = true;
    while (step(s)) continue;
    s->in_event = false;
    if (s->over) seat_end(s);
}

static void seat_start(struct source *source, struct sink *to) {
    struct seat *s = container_of(source, struct seat, source);
    s->to = to;
    s->begun = true;
    s->in_event = true;
    if (s->leads) lead(s);
    s->in_event = false;
    read_on(s);
}

static void seat_resume(struct source *source) {
    struct seat *s = container_of(source, struct seat, source);
    s->full = false;
    read_on(s);
}

static void seat_cancel(struct source *source) {
    struct seat *s = container_of(source, struct seat, source);
    s->over = true;
    if (s->in_event) leave(s); /* whoever cancels it wants to know who pays */
    else seat_end(s);
}

static const char *seat_describe(const struct source *source, char *buf, size_t size) {
    (void)source;
    (void)buf;
    (void)size;
    return "shared answer";
}

void flights_leave(struct flights *all, struct loop *loop) {
    static const struct failure ending = { .kind = FAILURE_DRAINING, .status = 503, .retryable = true,
                                           .code = "draining", .type = "server_error",
                                           .message = "the gateway is ending" };
    for (;;) {
        struct flight *mine = NULL;
        pthread_mutex_lock(&all->lock);
        for (struct list *l = all->led.next; l != &all->led && mine == NULL; l = l->next) {
            struct flight *f = container_of(l, struct flight, led);
            if (f->loop == loop) mine = flight_ref(f);
        }
        pthread_mutex_unlock(&all->lock);
        if (mine == NULL) return;
        pthread_mutex_lock(&mine->lock);
        if (!mine->ended) take_end(mine, &ending);
        tell_seats(mine);
        pthread_mutex_unlock(&mine->lock);
        unlist(mine);
        stop(mine);
        flight_put(mine);
    }
}

struct source *flight_join(const struct flight_options *opt, bool *joined) {
    static const struct source_ops ops = { seat_start, seat_resume, seat_cancel, NULL, seat_describe, NULL, NULL };
    struct seat *s = mem_zalloc(sizeof(*s));
    *joined = false;
    if (s == NULL) {
        opt->drop(opt->ud);
        return NULL;
    }
    s->source.ops = &ops;
    s->opt = *opt;
    list_init(&s->link);
    list_init(&s->news.link);
    if (!sit_down(s)) {
        opt->drop(opt->ud);
        mem_free(s);
        return NULL;
    }
    *joined = !s->leads;
    s->pays = s->leads;
    say_pays(s, NULL);
    if (*joined) atomic_fetch_add_explicit(&opt->flights->joined, 1, memory_order_relaxed);
    return &s->source;
}
