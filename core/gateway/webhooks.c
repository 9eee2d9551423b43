/* webhooks.c -- tells those who asked for it that a job has ended.
 *
 *     queue: hook_due --> HOOK_TAKE --> delivery: message, signature --POST--> receiver
 *                                           |<-- status -------------------------+
 *                            HOOK_DONE <----+
 *
 *     delivery:  RESOLVING --addresses--> CALLING --status, failure--> TELLING --the queue has it--> gone
 *                   +--(nobody is to be called)-----+---------------------^  +--it has not: again, until
 *                                                                               the lease is over
 *
 * | what came                                      | and then                                                   |
 * |---|---|
 * | 2xx                                            | delivered                                                  |
 * | 410                                            | dead; what else this tenant has for this URL, for a day    |
 * | anything else: 3xx, an address that is not     | again, after a pause (webhook_delay_ms), until it was      |
 * | public, no connection, no answer in time       | tried often enough: dead                                   |
 *
 * The head is the answer: what comes behind it is not read, however long it is.  A redirect is not followed, because it
 * leads where nobody asked us to call.
 *
 * Each delivery is sent at least once, under the same id; a process that dies while it sends leaves a lease that runs
 * out.  One worker of a process sends; several processes share the work by their leases.
 *
 * One receiver, or one tenant, must not keep the others waiting.  There are MOST places, and HOST_MOST of them may be
 * taken at one host, which is an address with its port, since names cost nothing: those that lead to the same one share
 * its places, and of one that leads to several each must have a place.  The call that follows goes to the addresses
 * that were counted.  Of all places, and of a host's, a tenant may have as many under way as are free: alone half of
 * them, with n others an (n + 2)nd part each, and some are always free for who comes next (Choudhury and Hahn's dynamic
 * thresholds): a host that many share, such as a relay, hangs for one of them and not for the next.  What is more goes
 * back to the queue without having used a try, for about as long as those before it will take:
 *
 *     tenant, tenant at a host -> pace:  until  when the last one that was put back is to come again
 *                                        each   how long a delivery takes lately, or the oldest under way has taken
 *     at = until = max(now, until) + each / places
 *
 * So thousands that wait for receivers that hang come back one by one, as places for them become free, and the queue's
 * first ones are those of others. */
#include "gateway/webhooks.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/httpdate.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "flow/headers.h"
#include "upstream/call.h"
#include "upstream/names.h"
#include "upstream/origin.h"
#include "base/reach.h"

#define MOST        64       /* deliveries at once */
#define HOST_MOST   16       /* of these to one address, so 8 of one tenant */
#define BUSY_MS     1000     /* until another look when there is no memory, or nobody to say how long */
#define PACES       1024     /* tenants, and tenants at hosts, whose pace is known; others are learned anew */
#define EACH_LEAST  10       /* milliseconds */
#define WAIT_MOST   600000   /* of one that was put back */
#define LEASE_MS    30000    /* on top of the time for a try: to tell the queue */
#define AGAIN_MS    1000     /* after the queue could not be asked or told */
#define GONE_MOST   256      /* URLs that said so last, each to a tenant */
#define GONE_MS     (24u * 3600 * 1000)

struct gone {
    uint64_t what, until_ms; /* hash of the tenant and the URL */
};

/* How fast somebody's deliveries go.  Lost when another one falls on its place: that costs a look too many. */
struct pace {
    uint64_t who, until_ms, each_ms;
};

struct webhooks {
    struct webhooks_options opt;
    const struct webhook_settings *set; /* NULL: WEBHOOKS_OFF */
    struct reach    reach;
    enum { WEBHOOKS_OFF, WEBHOOKS_ON, WEBHOOKS_DRAINING } state;
    struct jobs_op  take;
    unsigned        asked;      /* for how many, */
    uint64_t        asked_ms, lease_ms; /* when, and for how long */
    bool            more;       /* something fell due behind the question */
    struct timer    again;
    struct list     deliveries;
    unsigned        count;
    struct gone     gone[GONE_MOST];
    unsigned        gone_at;
    struct pace     paces[PACES];
    struct hash_key key;        /* of URLs, tenants and hosts */
};

struct delivery {
    struct list      link;
    struct webhooks *w;
    enum { RESOLVING, CALLING, TELLING } state;
    uint64_t         number, lease, until_ms; /* until: the lease, on the loop's clock */
    unsigned         tries;
    uint64_t         tenant, host;            /* hashes of their names */
    uint64_t         places[ORIGIN_ADDRESSES]; /* CALLING: hashes of all addresses that it may be at */
    unsigned         place_count;
    struct name_lookup *lookup;               /* RESOLVING */
    uint64_t         began_ms;
    char             job[JOB_ID_SIZE];
    char             url[JOB_URL_MAX + 1];
    size_t           host_at, host_len;       /* within url */
    struct target    target;
    struct target_health health;
    struct call_pool pool;
    struct source   *call;
    struct sink      sink;
    struct deferred  over;
    struct timer     again;
    struct jobs_op   done;
    /* What is told: */
    enum job_hook_state end;
    uint64_t         delay_ms, retry_after_ms;
    int              status;
    bool             unsent;                  /* nobody was asked */
    char             note[200];
};

static struct loop *loop_of(const struct webhooks *w) { return w->opt.jobs->loop; }

static void take(struct webhooks *w);

static void count_sending(struct webhooks *w, int more) {
    w->count += (unsigned)more;
    atomic_store_explicit(&w->opt.stats->sending, w->count, memory_order_relaxed);
}

/* -- The end of a delivery ----------------------------------------------------------------- */

static void delivery_free(struct delivery *d) {
    struct webhooks *w = d->w;
    struct source *call = d->call;
    d->call = NULL;
    if (call != NULL) source_cancel(call);
    if (d->lookup != NULL) name_lookup_cancel(d->lookup);
    deferred_cancel(&d->over);
    timer_stop(loop_of(w), &d->again);
    jobs_cancel(&d->done);
    call_pool_deinit(&d->pool);
    list_remove(&d->link);
    count_sending(w, -1);
    mem_free(d);
}

static void say(const struct delivery *d) {
    bool dead = d->end == JOB_HOOK_DEAD;
    int level = dead ? PERILUNE_LOG_WARN : PERILUNE_LOG_INFO;
    struct log *log = d->w->opt.log;
    if (d->unsent || log == NULL || !log_wants(log, level)) return;
    struct buf line;
    buf_init(&line, 0);
    bool well = d->end == JOB_HOOK_DELIVERED;
    log_begin(&line, level, well ? "webhook delivered" : dead ? "webhook given up" : "webhook failed");
    log_str(&line, "job", slice_str(d->job));
    log_str(&line, "host", slice_of(d->url + d->host_at, d->host_len));
    log_u64(&line, "status", (uint64_t)d->status);
    log_u64(&line, "tries", d->tries);
    if (d->end == JOB_HOOK_WAITING) log_u64(&line, "again_ms", d->delay_ms);
    log_str(&line, "note", slice_str(d->note));
    log_end(log, level, &line);
    buf_deinit(&line);
}

static void count(const struct delivery *d) {
    struct webhook_stats *s = d->w->opt.stats;
    if (d->unsent) return;
    stats_add(d->end == JOB_HOOK_DELIVERED ? &s->delivered : d->end == JOB_HOOK_DEAD ? &s->dead : &s->failed, 1);
}

static void tell(struct delivery *d);

static void tell_again(struct timer *t) { tell(container_of(t, struct delivery, again)); }

/* The queue does not take it: what it does not hear until the lease is over is sent once more. */
static void not_told(struct delivery *d) {
    struct loop *l = loop_of(d->w);
    if (loop_now(l) + AGAIN_MS < d->until_ms && timer_start(l, &d->again, AGAIN_MS, tell_again) == 0) return;
    delivery_free(d);
}

static void on_told(struct jobs_op *op, const struct jobs_answer *a) {
    struct delivery *d = container_of(op, struct delivery, done);
    struct webhooks *w = d->w;
    if (a->rc < 0 && a->rc != PERILUNE_ERR_CANCELED) {
        not_told(d);
        return;
    }
    delivery_free(d);
    take(w);
}

static void tell(struct delivery *d) {
    struct jobs_ask ask = { .verb = JOBS_HOOK_DONE, .lease = d->lease, .delay_ms = d->delay_ms,
                            .hook = { .number = d->number, .state = d->end, .status = d->status, .unsent = d->unsent,
                                      .note = slice_str(d->note) } };
    if (jobs_begin(d->w->opt.jobs, &d->done, &ask, on_told) != 0) not_told(d);
}

/* -- What an answer means ------------------------------------------------------------------------ */

/* Of what is one tenant's. */
static uint64_t of_tenant(const struct delivery *d, uint64_t what) {
    const uint64_t both[] = { d->tenant, what };
    return hash64(&d->w->key, slice_of((const char *)both, sizeof(both)));
}

/* A receiver that many share says it to one of them. */
static uint64_t gone_hash(const struct delivery *d) { return of_tenant(d, hash64(&d->w->key, slice_str(d->url))); }

static void note_gone(const struct delivery *d) {
    struct webhooks *w = d->w;
    w->gone[w->gone_at++ % GONE_MOST] = (struct gone){ gone_hash(d), loop_now(loop_of(w)) + GONE_MS };
}

static bool is_gone(const struct delivery *d) {
    const struct webhooks *w = d->w;
    uint64_t h = gone_hash(d), now = loop_now(loop_of(w));
    for (unsigned i = 0; i < GONE_MOST; i++)
        if (w->gone[i].what == h && w->gone[i].until_ms > now) return true;
    return false;
}

static void judge(struct delivery *d) {
    if (d->status / 100 == 2) {
        d->end = JOB_HOOK_DELIVERED;
        return;
    }
    if (d->status == 410) note_gone(d);
    double random = rng_double(&loop_of(d->w)->rng);
    const struct webhook_settings *s = d->w->set; /* NULL: a reload took it away */
    d->delay_ms = d->status == 410 ? 0 : s == NULL ? BUSY_MS : webhook_delay_ms(s, d->tries, d->retry_after_ms, random);
    d->end = d->delay_ms > 0 ? JOB_HOOK_WAITING : JOB_HOOK_DEAD;
}

static struct pace *pace_of(struct webhooks *w, uint64_t who) {
    struct pace *p = &w->paces[who % PACES];
    if (p->who != who) *p = (struct pace){ .who = who };
    return p;
}

static void learn_pace(struct webhooks *w, uint64_t who, uint64_t took_ms) {
    struct pace *p = pace_of(w, who);
    p->each_ms = p->each_ms == 0 ? took_ms : (3 * p->each_ms + took_ms) / 4;
}

static void on_over(struct deferred *j) {
    struct delivery *d = container_of(j, struct delivery, over);
    if (d->began_ms > 0) {
        uint64_t took = loop_now(loop_of(d->w)) - d->began_ms;
        learn_pace(d->w, d->tenant, took);
        for (unsigned i = 0; i < d->place_count; i++) learn_pace(d->w, of_tenant(d, d->places[i]), took);
    }
    count(d);
    say(d);
    tell(d);
}

/* From inside of a call, whose memory lasts until the turn ends. */
static void conclude(struct delivery *d) {
    struct source *call = d->call;
    d->call = NULL;
    d->state = TELLING;
    if (d->lookup != NULL) name_lookup_cancel(d->lookup);
    d->lookup = NULL;
    if (call != NULL) source_cancel(call);
    loop_soon(loop_of(d->w), &d->over, on_over);
}

/* What a call says of an upstream, said of a receiver. */
static void note_failure(struct delivery *d, const struct failure *f) {
    static const struct slice failed = SLICE("the upstream failed: "), upstream = SLICE("the upstream ");
    struct slice s = slice_str(f->detail[0] != '\0' ? f->detail : f->message);
    const struct slice *cut = slice_starts(s, failed) ? &failed : slice_starts(s, upstream) ? &upstream : NULL;
    if (f->kind == FAILURE_TIMEOUT) s = SLICE("the receiver did not answer in time (jobs.webhooks.timeout)");
    if (cut != NULL && f->kind != FAILURE_TIMEOUT) s = slice_of(s.ptr + cut->len, s.len - cut->len);
    snprintf(d->note, sizeof(d->note), "%s%.*s", cut == &upstream && f->kind != FAILURE_TIMEOUT ? "the receiver " : "",
             SLICE_ARG(s));
}

static void note(struct delivery *d, const char *what) { slice_copy(d->note, sizeof(d->note), slice_str(what)); }

static void on_head(struct delivery *d, const struct event *ev) {
    struct retry_after h = { .wait = headers_find(ev->headers, SLICE("retry-after")),
                             .date = headers_find(ev->headers, SLICE("date")) };
    d->status = ev->status;
    d->retry_after_ms = httpdate_retry_after(&h, clock_wall_s());
    if (ev->status == 410) note(d, "the receiver wants nothing more here");
    else if (ev->status / 100 == 3) note(d, "a redirect, which is not followed");
    judge(d);
    conclude(d);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct delivery *d = container_of(k, struct delivery, sink);
    if (d->state != CALLING) return FLOW_MORE;
    if (ev->type == EVENT_HEAD) {
        on_head(d, ev);
    } else if (ev->type == EVENT_ERROR) {
        note_failure(d, ev->failure);
        d->call = NULL;
        judge(d);
        conclude(d);
    }
    return FLOW_MORE;
}

/* -- Calling -------------------------------------------------------------------------------------- */

static bool message(const struct webhook_settings *s, const struct job_hook *h, uint64_t now_ms, struct buf *id,
                    struct buf *body, struct buf *sign) {
    webhook_write_id(h, id);
    webhook_write(h->job, s->result_max, body);
    return !buf_failed(id) && !buf_failed(body) &&
           webhook_sign(&s->secrets, h->job->tenant, buf_get(id), now_ms / 1000, buf_get(body), sign) &&
           !buf_failed(sign);
}

static struct source *call_of(struct delivery *d, const struct job_hook *h) {
    struct buf id, body, sign;
    char seconds[24];
    uint64_t now = stamp_ms(CLOCK_REALTIME);
    struct source *call = NULL;
    buf_init(&id, 0);
    buf_init(&body, 0);
    buf_init(&sign, 0);
    snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(now / 1000));
    struct blob *bytes = message(d->w->set, h, now, &id, &body, &sign) ? blob_copy(buf_get(&body)) : NULL;
    const struct call_field fields[] = {
        { SLICE("content-type"), SLICE("application/json") }, { SLICE("webhook-id"), buf_get(&id) },
        { SLICE("webhook-timestamp"), slice_str(seconds) }, { SLICE("webhook-signature"), buf_get(&sign) },
    };
    if (bytes != NULL)
        call = call_new(&(struct call_options){
            .pool = &d->pool, .method = SLICE("POST"), .path = SLICE(""), .body = bytes, .headers = fields,
            .header_count = sizeof(fields) / sizeof(*fields), .verbatim = true, .unread = true,
            .timeouts = { .total_ms = d->w->set->timeout_ms } });
    blob_put(bytes);
    buf_deinit(&id);
    buf_deinit(&body);
    buf_deinit(&sign);
    return call;
}

static void find_host(struct delivery *d) {
    const char *scheme = strstr(d->url, "://");
    d->host_at = scheme != NULL ? (size_t)(scheme + 3 - d->url) : 0;
    d->host_len = strcspn(d->url + d->host_at, "/?");
    char lower[JOB_URL_MAX + 2] = "h"; /* "t" TENANT, "h" HOST: nobody's tenant is a host */
    for (size_t i = 0; i < d->host_len; i++) lower[1 + i] = (char)tolower((unsigned char)d->url[d->host_at + i]);
    d->host = hash64(&d->w->key, slice_of(lower, 1 + d->host_len));
}

static void find_tenant(struct delivery *d, struct slice tenant) {
    char text[JOB_TENANT_MAX + 2] = "t";
    size_t len = tenant.len < JOB_TENANT_MAX ? tenant.len : JOB_TENANT_MAX;
    if (len > 0) memcpy(text + 1, tenant.ptr, len);
    d->tenant = hash64(&d->w->key, slice_of(text, 1 + len));
}

/* Of those that are being called; the same: of the same tenant. */
struct under_way {
    unsigned all, same;
    uint64_t oldest_ms;
};

static bool is_at(const struct delivery *d, uint64_t place) {
    for (unsigned i = 0; i < d->place_count; i++)
        if (d->places[i] == place) return true;
    return false;
}

/* place: those at it; NULL: all, and the oldest of the same tenant. */
static struct under_way count_calls(const struct delivery *d, const uint64_t *place) {
    struct under_way n = { 0, 0, 0 };
    uint64_t now = loop_now(loop_of(d->w));
    for (const struct list *e = d->w->deliveries.next; e != &d->w->deliveries; e = e->next) {
        const struct delivery *other = container_of((struct list *)(uintptr_t)e, struct delivery, link);
        if (other == d || other->state == TELLING || (place != NULL && !is_at(other, *place))) continue;
        bool same = other->tenant == d->tenant;
        n.all++;
        n.same += same;
        if (!same && place == NULL) continue;
        if (other->state == CALLING && now - other->began_ms > n.oldest_ms) n.oldest_ms = now - other->began_ms;
    }
    return n;
}

/* Goes back to the queue, behind those of the same tenant (at the same host) that went back before. */
static void put_back(struct delivery *d, uint64_t who, const struct under_way *n) {
    struct pace *p = pace_of(d->w, who);
    uint64_t now = loop_now(loop_of(d->w)), each = p->each_ms > n->oldest_ms ? p->each_ms : n->oldest_ms;
    uint64_t from = p->until_ms > now ? p->until_ms : now;
    if (each < EACH_LEAST) each = EACH_LEAST;
    p->until_ms = from + each / (n->same > 0 ? n->same : 1) + 1;
    if (p->until_ms > now + WAIT_MOST) p->until_ms = now + WAIT_MOST;
    d->end = JOB_HOOK_WAITING;
    d->delay_ms = p->until_ms - now;
    d->unsent = true;
}

static bool must_wait(struct delivery *d) {
    struct under_way n = count_calls(d, NULL);
    bool waits = n.same > 0 && n.same + n.all >= MOST; /* as many as are free */
    if (waits) put_back(d, d->tenant, &n);
    return waits;
}

/* At one of its addresses there is no place for it. */
static bool must_wait_there(struct delivery *d) {
    for (unsigned i = 0; i < d->place_count; i++) {
        struct under_way n = count_calls(d, &d->places[i]);
        if (n.same + n.all < HOST_MOST) continue;
        put_back(d, of_tenant(d, d->places[i]), &n);
        return true;
    }
    return false;
}

/* Why nobody is called, into d; false: somebody is. */
static bool spared(struct delivery *d) {
    const char *refused = webhook_refused(d->w->set, slice_str(d->url));
    if (refused != NULL) {
        note(d, refused);
        d->end = JOB_HOOK_DEAD;
    } else if (is_gone(d)) {
        note(d, "the receiver said 410 before");
        d->end = JOB_HOOK_DEAD;
    } else {
        return must_wait(d);
    }
    return true;
}

/* Where it goes is known, or libcurl will know. */
static void begin(struct delivery *d, const struct origin *o) {
    struct webhooks *w = d->w;
    d->places[0] = d->host;
    d->place_count = 1;
    for (unsigned i = 0; o != NULL && i < o->address_count; i++) {
        unsigned char bytes[18]; /* the address, its port */
        reach_read(&o->addresses[i].any, bytes);
        memcpy(bytes + 16, &o->port, 2);
        d->places[i] = hash64(&w->key, slice_of((const char *)bytes, sizeof(bytes)));
        d->place_count = i + 1;
    }
    if (must_wait_there(d)) {
        conclude(d);
        return;
    }
    d->state = CALLING;
    d->began_ms = loop_now(loop_of(w));
    source_start(d->call, &d->sink);
}

static void nowhere(struct delivery *d, const char *why) {
    snprintf(d->note, sizeof(d->note), "%s", why);
    judge(d);
    conclude(d);
}

static void on_named(void *ud, int rc, const struct addrinfo *all) {
    struct delivery *d = ud;
    struct origin *o = call_pool_origin(&d->pool, 0);
    d->lookup = NULL;
    timer_stop(loop_of(d->w), &d->again);
    if (rc == 0) origin_keep(o, all);
    if (rc != 0) nowhere(d, gai_strerror(rc));
    else if (o->address_count == 0) nowhere(d, "the name has no address");
    else begin(d, o);
}

static void named_late(struct timer *t) {
    struct delivery *d = container_of(t, struct delivery, again);
    name_lookup_cancel(d->lookup);
    d->lookup = NULL;
    nowhere(d, "the name was not resolved in time (jobs.webhooks.timeout)");
}

/* The addresses first: who is at one of them decides whether it is called now. */
static void resolve(struct delivery *d) {
    struct origin *o = call_pool_origin(&d->pool, 0);
    if (o == NULL || origin_is_known(o)) {
        begin(d, o);
        return;
    }
    d->lookup = name_lookup_new(loop_of(d->w), o->host, on_named, d);
    if (d->lookup != NULL && timer_start(loop_of(d->w), &d->again, d->w->set->timeout_ms, named_late) == 0) return;
    d->end = JOB_HOOK_WAITING; /* no memory, or too many names are looked up */
    d->delay_ms = BUSY_MS;
    d->unsent = true;
    conclude(d);
}

static void deliver(struct webhooks *w, const struct job_hook *h, uint64_t until_ms) {
    struct delivery *d = mem_zalloc(sizeof(*d));
    if (d == NULL) return; /* its lease runs out */
    *d = (struct delivery){ .w = w, .number = h->number, .lease = h->lease, .until_ms = until_ms, .tries = h->tries };
    d->sink.event = on_event;
    snprintf(d->job, sizeof(d->job), "%s", h->job->id);
    slice_copy(d->url, sizeof(d->url), h->url);
    find_host(d);
    find_tenant(d, h->job->tenant);
    d->target = (struct target){ .name = "webhook", .urls = { d->url }, .url_count = 1, .health = &d->health,
                                 .timeouts = { .connect_ms = w->set->timeout_ms }, .reach = &w->reach };
    call_pool_init(&d->pool, w->opt.client, &d->target);
    list_append(&w->deliveries, &d->link);
    count_sending(w, 1);
    if (!spared(d)) d->call = call_of(d, h);
    if (d->call != NULL) {
        resolve(d);
        return;
    }
    if (d->note[0] == '\0' && !d->unsent) { /* no memory */
        d->end = JOB_HOOK_WAITING;
        d->delay_ms = BUSY_MS;
        d->unsent = true;
    }
    conclude(d);
}

/* -- Taking ------------------------------------------------------------------------------------------ */

static void take_again(struct timer *t) { take(container_of(t, struct webhooks, again)); }

static void on_taken(struct jobs_op *op, const struct jobs_answer *a) {
    struct webhooks *w = container_of(op, struct webhooks, take);
    uint64_t until = w->asked_ms + w->lease_ms;
    if (w->set == NULL) return; /* leases run out */
    if (a->rc != 0) {
        if (a->rc != PERILUNE_ERR_CANCELED) timer_start(loop_of(w), &w->again, AGAIN_MS, take_again);
        return;
    }
    for (unsigned i = 0; i < a->count; i++) deliver(w, &a->hooks[i], until);
    if (a->count == w->asked || w->more) take(w);
}

static void take(struct webhooks *w) {
    w->more = w->take.jobs != NULL;
    if (w->state != WEBHOOKS_ON || w->take.jobs != NULL || w->count >= MOST) return;
    w->asked = MOST - w->count;
    w->asked_ms = loop_now(loop_of(w));
    w->lease_ms = 2 * w->set->timeout_ms + LEASE_MS; /* a name and a call */
    struct jobs_ask ask = { .verb = JOBS_HOOK_TAKE, .count = w->asked, .lease_ms = w->lease_ms };
    if (jobs_begin(w->opt.jobs, &w->take, &ask, on_taken) != 0)
        timer_start(loop_of(w), &w->again, AGAIN_MS, take_again);
}

static void on_due(void *ud) { take(ud); }

/* -- Life ---------------------------------------------------------------------------------------------- */

struct webhooks *webhooks_new(const struct webhooks_options *opt) {
    struct webhooks *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    w->opt = *opt;
    list_init(&w->deliveries);
    hash_key_random(&w->key);
    opt->jobs->hook_due = on_due;
    opt->jobs->hook_ud = w;
    return w;
}

void webhooks_set(struct webhooks *w, const struct webhook_settings *s) {
    w->set = s;
    w->reach = s != NULL ? s->reach : (struct reach){ .count = 0 };
    if (w->state == WEBHOOKS_DRAINING) return;
    w->state = s != NULL ? WEBHOOKS_ON : WEBHOOKS_OFF;
    take(w);
}

void webhooks_drain(struct webhooks *w) { w->state = WEBHOOKS_DRAINING; }

unsigned webhooks_sending(const struct webhooks *w) { return w->count; }

void webhooks_free(struct webhooks *w) {
    if (w == NULL) return;
    w->opt.jobs->hook_due = NULL;
    jobs_cancel(&w->take);
    timer_stop(loop_of(w), &w->again);
    while (!list_is_empty(&w->deliveries)) delivery_free(container_of(w->deliveries.next, struct delivery, link));
    mem_free(w);
}
