/* redis.c -- a store in Redis or Valkey.
 *
 *      DOWN --> RESOLVING --> CONNECTING --> GREETING --> READY
 *                  ^              |              |          |     no answer, an end, garbage,
 *                  |              v              v          v     a redirect, a wrong password
 *                  +--- pause --- BROKEN <------------------+
 *
 * One connection per worker.  Questions of one turn of the loop leave in one write and answers come in
 * the order of the questions, so a connection is all that a thread needs.
 *
 * A Redis that is slow or dead costs a bounded time, and then nothing: each question has its deadline
 * (store.c), LATE_MOST of them in a row without an answer in time break the connection, and while it is
 * not READY a question is answered at once with "no such key".  The pause before the next try doubles up to
 * PAUSE_MOST; an answer in time ends the doubling.  What only an operator can mend (a password, a cluster)
 * waits for PAUSE_MOST at once.  Each change between working and not working is one line of the log for all
 * connections of the process, and so is what it refuses (refused.c).
 *
 * A name is resolved by libuv, because hiredis would wait for it.  hiredis writes and parses; this file is
 * its event loop: struct watch.  It lives as long as libuv needs it, which is longer than hiredis' context.
 * Writing goes through the end of the turn, without asking whether the socket can be written: it nearly
 * always can.
 *
 * hiredis trusts a server: it takes memory for whatever length it is told, and asserts that nobody speaks unasked.
 * So each piece of an answer passes refusal() before hiredis has it: of an answer so much is read as a value may have,
 * arrays are short, nothing comes while no question waits, and the subscribed connection hears notes and no more.
 * What is refused is the end of the connection, as garbage is.
 *
 * Tags are sorted sets of the keys that have them, with the time at which a key ends as its score, so that a
 * set holds no more than what lives.  Time is the server's, so that no clock of ours counts.  A value and
 * its tags are stored by one script, so that there is never a value without its tags; invalidation is a script, too.
 * All this needs one server: a cluster says MOVED or CROSSSLOT and is refused, with its reason in the log. */
#include "store/redis.h"

#include <fcntl.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "store/redis_tls.h"
#include "store/words.h"

#define CONNECT_MS    1000  /* for a name, a connection and the greeting each */
#define PAUSE_LEAST   250   /* ms */
#define PAUSE_MOST    30000
#define LATE_MOST     3     /* questions in a row */
#define QUESTIONS     4096  /* that wait at once */
#define UNANSWERED    (32u << 20) /* bytes of questions */
#define DEPTH         4     /* of arrays in arrays */
#define MARGIN        65536u /* bytes of an answer besides its value */
#define ELEMENTS      17    /* of an array that Redis sends: notes have three, eight vectors and their number 17 */
#define TAGS_MOST     16
#define ARGUMENTS     (TAGS_MOST + 8)
_Static_assert(WORDS_MOST <= ARGUMENTS, "a question in words is one command");

enum state { DOWN, RESOLVING, CONNECTING, GREETING, READY, BROKEN };
enum said { SAID_NOTHING, SAID_UP, SAID_DOWN }; /* in redis_said.connection */

/* hiredis' context on the loop. */
struct watch {
    uv_poll_t          poll;
    struct redis      *r;
    redisAsyncContext *ac;       /* NULL: it is gone, and so is r perhaps */
    struct deferred    flush;
    int                events;   /* that are polled for */
    bool               writing;  /* inside of flush */
};

struct lookup {
    uv_getaddrinfo_t req;
    struct redis    *r;          /* NULL: nobody waits */
};

struct redis {
    struct store         store;
    struct redis_options opt;
    enum state           state;
    redisAsyncContext   *ac;
    struct lookup       *lookup;
    struct redis_tls    *tls;    /* NULL: in the clear */
    struct timer         timer;  /* ends waiting for a connection, or the pause */
    uint64_t             pause_ms;
    unsigned             late;   /* in a row */
    unsigned             greetings; /* not answered yet */
    size_t               unanswered; /* bytes of questions */
    const redisReplyObjectFunctions *usual; /* of hiredis' reader, */
    redisReplyObjectFunctions sober; /* and those that refuse */
    size_t               taken;   /* bytes of the answer that is read */
    bool                 unasked; /* no question waits for it */
    const char          *refused; /* why it was refused, or NULL */
    bool                 readonly; /* it was a replica the last time: it works when it takes a write */
};

static size_t most(const struct redis *r) { return r->opt.max_answer > 0 ? r->opt.max_answer : REDIS_MAX_VALUE; }

/* One question on its way. */
struct asked {
    struct redis    *r;
    struct store_op *op;         /* NULL: nobody waits any more */
    enum store_verb  verb;
    unsigned         due;        /* answers that are to come */
    bool             failed, lost, passing; /* passing: it failed for now, and may be asked again */
    uint64_t         until_ms, began_us;
    size_t           bytes;
    struct store_answer answer;
};

static const char SET_TAGGED[] =
    "local t = redis.call('TIME') "
    "local now, ttl = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2]) "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ttl) "
    "for i = 2, #KEYS do "
    "redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now) "
    "redis.call('ZADD', KEYS[i], now + ttl, KEYS[1]) "
    "if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ttl) end "
    "end return 1";

/* Told, and remembered for an hour (REDIS_NOTES_MS) under the channel's name, for who does not hear it now. */
#define NOTE                                                                                          \
    "if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) "                                  \
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "                 \
    "redis.call('ZADD', ARGV[1], now, ARGV[2]) "                                                      \
    "redis.call('ZREMRANGEBYSCORE', ARGV[1], '-inf', now - 3600000) "                                 \
    "redis.call('ZREMRANGEBYRANK', ARGV[1], 0, -10001) redis.call('PEXPIRE', ARGV[1], 3600000) end "

static const char INVALIDATE[] =
    "local keys = redis.call('ZRANGE', KEYS[1], 0, -1) "
    "for i = 1, #keys, 1000 do redis.call('UNLINK', unpack(keys, i, math.min(i + 999, #keys))) end "
    "redis.call('UNLINK', KEYS[1]) " NOTE "return #keys";

static const char DELETE[] =
    "local n = redis.call('UNLINK', KEYS[1]) "
    NOTE "return n";

static const char NOTES[] =
    "local t, out = redis.call('TIME'), {} "
    "local from = t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[2] "
    "for _, note in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf')) do "
    "out[#out + 1] = #note .. ':' .. note end return table.concat(out)";

static const char ADD[] =
    "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) "
    "if ARGV[2] ~= '0' and redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
    "return n";

/* -- Saying ------------------------------------------------------------------------------- */

static const char *where(const struct redis *r, char *buf, size_t size) {
    if (r->opt.host == NULL) snprintf(buf, size, "unix:%s", r->opt.path);
    else snprintf(buf, size, "%s:%u", r->opt.host, r->opt.port);
    return buf;
}

static const char *name_of(const struct redis *r) { return r->opt.name ? r->opt.name : "cache.redis"; }

static void say(struct redis *r, enum said what, const char *why) {
    char at[300];
    if (r->opt.said == NULL || atomic_exchange(&r->opt.said->connection, (int)what) == (int)what) return;
    refused_forget(&r->opt.said->refused);
    if (what == SAID_UP)
        log_line(r->opt.log, PERILUNE_LOG_INFO, "%s: connected to %s", name_of(r), where(r, at, sizeof(at)));
    else
        log_line(r->opt.log, PERILUNE_LOG_WARN, "%s: %s: %s; %s, and it is tried again", name_of(r),
                 where(r, at, sizeof(at)), why, r->opt.without ? r->opt.without : "requests go on without it");
}

static void count(stats_counter *c) { stats_add(c, 1); }

/* -- The event loop of hiredis --------------------------------------------------------------- */

static void watch_closed(uv_handle_t *h) { mem_free(container_of((uv_poll_t *)h, struct watch, poll)); }

static void broken(struct redis *r, bool hopeless, const char *why);

/* The context may be gone behind each call of hiredis. */
static void on_poll(uv_poll_t *poll, int status, int events) {
    struct watch *w = container_of(poll, struct watch, poll);
    if (status < 0) events = UV_READABLE | UV_WRITABLE; /* hiredis finds out what it is */
    w->writing = true; /* what cannot be written now is polled for */
    if (w->ac != NULL && (events & UV_WRITABLE)) redisAsyncHandleWrite(w->ac);
    w->writing = false;
    if (w->ac != NULL && (events & UV_READABLE)) redisAsyncHandleRead(w->ac);
    if (w->ac != NULL && w->r->ac == w->ac && w->ac->c.reader->len - w->ac->c.reader->pos > most(w->r) + MARGIN)
        broken(w->r, false, "it sends an answer without an end");
}

static void poll_for(struct watch *w, int events) {
    if (events == w->events) return;
    w->events = events;
    if (events == 0) uv_poll_stop(&w->poll);
    else uv_poll_start(&w->poll, events, on_poll);
}

static void flush(struct deferred *j) {
    struct watch *w = container_of(j, struct watch, flush);
    w->writing = true;
    redisAsyncHandleWrite(w->ac);
    w->writing = false;
}

static void add_read(void *ud) {
    struct watch *w = ud;
    poll_for(w, w->events | UV_READABLE);
}

static void del_read(void *ud) {
    struct watch *w = ud;
    poll_for(w, w->events & ~UV_READABLE);
}

static void add_write(void *ud) {
    struct watch *w = ud;
    if (w->writing || !(w->ac->c.flags & REDIS_CONNECTED)) poll_for(w, w->events | UV_WRITABLE);
    else if (!(w->events & UV_WRITABLE)) loop_soon(w->r->opt.loop, &w->flush, flush);
}

static void del_write(void *ud) {
    struct watch *w = ud;
    poll_for(w, w->events & ~UV_WRITABLE);
}

/* In front of the closing of the socket. */
static void cleanup(void *ud) {
    struct watch *w = ud;
    w->ac = NULL;
    deferred_cancel(&w->flush);
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

/* False: there is no memory. */
static bool watch_new(struct redis *r, redisAsyncContext *ac) {
    struct watch *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return false;
    if (uv_poll_init_socket(&r->opt.loop->uv, &w->poll, ac->c.fd) != 0) {
        mem_free(w);
        return false;
    }
    w->r = r;
    w->ac = ac;
    ac->ev.data = w;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    return true;
}

/* -- What is taken from a server --------------------------------------------------------------- */

/* A piece of an answer. */
struct piece {
    const redisReadTask *task;     /* its place */
    int                  type;
    struct slice         text;
    size_t               elements; /* of an array */
};

/* Is this a piece of a note, or of the answer to SUBSCRIBE?  hiredis asserts most of this. */
static bool is_of_note(const struct redis *r, const struct piece *p) {
    if (p->task->parent == NULL)
        return p->type == REDIS_REPLY_ARRAY && p->elements == 3 && (r->ac->c.flags & REDIS_SUBSCRIBED) != 0;
    if (p->task->idx == 2) {
        const redisReply *whole = p->task->parent->obj;
        return p->type == (whole->element[0]->str[0] == 's' ? REDIS_REPLY_INTEGER : REDIS_REPLY_STRING);
    }
    if (p->type != REDIS_REPLY_STRING) return false;
    if (p->task->idx == 1) return slice_eq(p->text, slice_str(r->opt.channel));
    return slice_eq(p->text, SLICE("subscribe")) || slice_eq(p->text, SLICE("message"));
}

/* Why hiredis shall not have it; NULL: it may.  An error that comes unasked says why the server hangs up. */
static const char *refusal(struct redis *r, const struct piece *p) {
    unsigned depth = 0;
    for (const redisReadTask *t = p->task->parent; t != NULL; t = t->parent) depth++;
    if (depth == 0) {
        r->taken = 0;
        r->unasked = r->ac == NULL || r->ac->replies.head == NULL;
    }
    if (p->type > REDIS_REPLY_ERROR) return "RESP3, which nobody asked for";
    if (p->elements > ELEMENTS || depth > DEPTH) return "a long array";
    r->taken += p->text.len + sizeof(redisReply) + p->elements * sizeof(void *);
    if (r->taken > most(r) + MARGIN) return "an answer without an end";
    if (!r->unasked || (depth == 0 && p->type == REDIS_REPLY_ERROR)) return NULL;
    return r->ac != NULL && r->opt.heard != NULL && is_of_note(r, p) ? NULL : "an answer that nobody asked for";
}

static bool is_refused(const struct piece *p) {
    struct redis *r = p->task->privdata;
    const char *why = refusal(r, p);
    if (why != NULL) r->refused = why;
    return why != NULL;
}

static const redisReplyObjectFunctions *usual(const redisReadTask *task) {
    const struct redis *r = task->privdata;
    return r->usual;
}

static void *make_string(const redisReadTask *task, char *text, size_t len) {
    struct piece p = { .task = task, .type = task->type, .text = slice_of(text, len) };
    return is_refused(&p) ? NULL : usual(task)->createString(task, text, len);
}

static void *make_integer(const redisReadTask *task, long long n) {
    struct piece p = { .task = task, .type = REDIS_REPLY_INTEGER };
    return is_refused(&p) ? NULL : usual(task)->createInteger(task, n);
}

static void *make_nil(const redisReadTask *task) {
    struct piece p = { .task = task, .type = REDIS_REPLY_NIL };
    return is_refused(&p) ? NULL : usual(task)->createNil(task);
}

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

static void *make_array(const redisReadTask *task, element_count elements) {
    struct piece p = { .task = task, .type = task->type, .elements = (size_t)elements };
    return is_refused(&p) ? NULL : usual(task)->createArray(task, elements);
}

#if HIREDIS_MAJOR >= 1
static void *make_double(const redisReadTask *task, double n, char *text, size_t len) {
    struct piece p = { .task = task, .type = REDIS_REPLY_DOUBLE, .text = slice_of(text, len) };
    return is_refused(&p) ? NULL : usual(task)->createDouble(task, n, text, len);
}

static void *make_bool(const redisReadTask *task, int n) {
    struct piece p = { .task = task, .type = REDIS_REPLY_BOOL };
    return is_refused(&p) ? NULL : usual(task)->createBool(task, n);
}
#endif

static void sober(struct redis *r, redisReader *reader) {
    r->usual = reader->fn;
    r->sober = *r->usual;
    r->sober.createString = make_string;
    r->sober.createInteger = make_integer;
    r->sober.createNil = make_nil;
    r->sober.createArray = make_array;
#if HIREDIS_MAJOR >= 1
    r->sober.createDouble = make_double;
    r->sober.createBool = make_bool;
#endif
    r->refused = NULL;
    reader->fn = &r->sober;
    reader->privdata = r;
}

/* -- Breaking, and trying again ----------------------------------------------------------------- */

static void try_now(struct redis *r);

static void on_pause_over(struct timer *t) { try_now(container_of(t, struct redis, timer)); }

static void drop_context(struct redis *r) {
    redisAsyncContext *ac = r->ac;
    r->ac = NULL;
    if (ac == NULL) return;
    ac->data = NULL;
    redisAsyncFree(ac); /* answers what waits, with nothing; at once, or when its callback has returned */
}

static void drop_lookup(struct redis *r) {
    if (r->lookup == NULL) return;
    r->lookup->r = NULL;
    uv_cancel((uv_req_t *)&r->lookup->req);
    r->lookup = NULL;
}

static void change(struct redis *r, enum state state) {
    bool was = r->state == READY, is = state == READY;
    r->state = state;
    if (r->opt.stats != NULL) atomic_store_explicit(&r->opt.stats->up, is, memory_order_relaxed);
    if (was != is && state != DOWN && r->opt.changed != NULL) r->opt.changed(r->opt.ud, is);
}

/* hopeless: only an operator can mend it. */
static void broken(struct redis *r, bool hopeless, const char *why) {
    struct loop *l = r->opt.loop;
    change(r, BROKEN);
    say(r, SAID_DOWN, why);
    if (r->opt.broke != NULL) r->opt.broke(r->opt.ud, why);
    if (hopeless) r->pause_ms = PAUSE_MOST;
    /* Some earlier than others, or all workers would come at once. */
    uint64_t pause = r->pause_ms - (uint64_t)(rng_double(&l->rng) * (double)r->pause_ms / 4);
    uint64_t longest = r->opt.pause_ms > 0 ? r->opt.pause_ms : PAUSE_MOST;
    r->pause_ms = r->pause_ms * 2 < longest ? r->pause_ms * 2 : longest;
    timer_start(l, &r->timer, pause, on_pause_over); /* without memory it stays broken until a reload */
    drop_lookup(r);
    drop_context(r);
}

static void on_too_late(struct timer *t) {
    struct redis *r = container_of(t, struct redis, timer);
    broken(r, false, r->state == RESOLVING    ? "its name is not resolved in time"
                     : r->state == CONNECTING ? "it does not accept the connection in time"
                                              : "it does not answer the greeting in time");
}

/* -- Greeting ------------------------------------------------------------------------------------- */

static void ready(struct redis *r) {
    timer_stop(r->opt.loop, &r->timer);
    r->late = 0;
    r->readonly = false;
    change(r, READY);
    say(r, SAID_UP, NULL);
}

/* Errors that no other question would escape. */
static bool is_hopeless(const char *error) {
    static const char *const words[] = { "MOVED ", "ASK ", "CROSSSLOT", "CLUSTERDOWN", "NOAUTH", "WRONGPASS" };
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strncmp(error, words[i], strlen(words[i])) == 0) return true;
    return false;
}

/* Made a replica, in a failover say: the name may lead to the new primary by now. */
static bool is_readonly(const char *error) { return strstr(error, "READONLY ") != NULL; }

/* It will answer in a moment, without an operator. */
static bool is_starting(const char *error) {
    return strncmp(error, "LOADING ", 8) == 0 || strncmp(error, "BUSY ", 5) == 0;
}

/* Not about the question: later it may be taken.  A script's errors have the word inside. */
static bool is_passing(const char *error) {
    static const char *const words[] = { "READONLY ", "NOREPLICAS ", "LOADING ", "MASTERDOWN ", "OOM ", "BUSY ",
                                         "MISCONF ", "TRYAGAIN ", "NOAUTH ", "WRONGPASS " };
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strstr(error, words[i]) != NULL) return true;
    return false;
}

static void demoted(struct redis *r) {
    r->readonly = true;
    broken(r, false, "it takes no writes (READONLY: it is a replica); connected to again until it does");
}

static bool is_cluster(const char *error) {
    return strncmp(error, "MOVED ", 6) == 0 || strncmp(error, "ASK ", 4) == 0 ||
           strncmp(error, "CROSSSLOT", 9) == 0 || strncmp(error, "CLUSTERDOWN", 11) == 0;
}

static void refused_for_good(struct redis *r, const char *error) {
    char why[300];
    if (is_cluster(error))
        snprintf(why, sizeof(why), "it is a cluster (\"%.60s\"), which is not supported: name a single server", error);
    else if (strncmp(error, "ERR unknown command", 19) == 0)
        snprintf(why, sizeof(why), "it does not know GET, so it may be a sentinel: name the server itself");
    else
        snprintf(why, sizeof(why), "it refuses: \"%.200s\" (check user, password and database in the configuration)",
                 error);
    broken(r, true, why);
}

static void on_subscribed(redisAsyncContext *ac, void *reply, void *ud) {
    struct redis *r = ac->data;
    const redisReply *a = reply;
    (void)ud;
    if (r == NULL || a == NULL || a->type != REDIS_REPLY_ARRAY || a->elements != 3) return;
    const redisReply *kind = a->element[0], *text = a->element[2];
    if (kind->type != REDIS_REPLY_STRING) return;
    if (strcmp(kind->str, "subscribe") == 0) ready(r);
    else if (strcmp(kind->str, "message") == 0 && text->type == REDIS_REPLY_STRING)
        r->opt.heard(r->opt.ud, slice_of(text->str, text->len));
}

static void on_greeted(redisAsyncContext *ac, void *reply, void *ud) {
    struct redis *r = ac->data;
    const redisReply *a = reply;
    (void)ud;
    if (r == NULL || a == NULL || r->state != GREETING) return; /* it ends */
    if (a->type == REDIS_REPLY_ERROR) {
        if (is_readonly(a->str)) demoted(r);
        else if (is_starting(a->str))
            broken(r, false, a->str[0] == 'B' ? "it is BUSY with a script" : "it is LOADING its file");
        else refused_for_good(r, a->str);
        return;
    }
    if (--r->greetings > 0) return;
    if (r->opt.heard == NULL) ready(r);
    else redisAsyncCommand(ac, on_subscribed, NULL, "SUBSCRIBE %s", r->opt.channel);
}

static void greet(struct redis *r) {
    redisAsyncContext *ac = r->ac;
    change(r, GREETING);
    timer_start(r->opt.loop, &r->timer, CONNECT_MS, on_too_late);
    r->greetings = 1 + (r->opt.password != NULL) + (r->opt.db != 0) + r->readonly;
    if (r->opt.password != NULL && r->opt.user != NULL)
        redisAsyncCommand(ac, on_greeted, NULL, "AUTH %s %s", r->opt.user, r->opt.password);
    else if (r->opt.password != NULL)
        redisAsyncCommand(ac, on_greeted, NULL, "AUTH %s", r->opt.password);
    if (r->opt.db != 0) redisAsyncCommand(ac, on_greeted, NULL, "SELECT %u", r->opt.db);
    if (r->readonly) redisAsyncCommand(ac, on_greeted, NULL, "UNLINK %s", r->opt.hello); /* there is none: a write */
    redisAsyncCommand(ac, on_greeted, NULL, "GET %s", r->opt.hello);
}

/* -- Connecting --------------------------------------------------------------------------------------- */

/* It is broken because of the certificate. */
static bool mistrusted(struct redis *r) {
    char why[200];
    const char *refusal = r->tls != NULL ? redis_tls_refusal(r->tls) : NULL;
    if (refusal == NULL) return false;
    snprintf(why, sizeof(why), "its certificate is refused: %.100s (check %s.ca, and the name)", refusal,
             name_of(r));
    broken(r, true, why);
    return true;
}

static void ended(struct redis *r, const redisAsyncContext *ac) {
    char why[200];
    const char *text = ac->errstr != NULL && ac->errstr[0] != '\0' ? ac->errstr : "the connection ended";
    r->ac = NULL; /* hiredis frees it */
    bool alien = ac->err == REDIS_ERR_PROTOCOL || r->refused != NULL;
    if (r->refused != NULL) text = r->refused; /* hiredis takes it for a lack of memory */
    if (mistrusted(r)) return;
    snprintf(why, sizeof(why), alien ? "it answers what is not Redis' protocol (%.120s)" : "%.150s", text);
    broken(r, false, why);
}

static void on_disconnect(const redisAsyncContext *ac, int status) {
    struct redis *r = ac->data;
    (void)status;
    if (r != NULL && r->ac == ac) ended(r, ac);
}

static void on_connect(const redisAsyncContext *ac, int status) {
    struct redis *r = ac->data;
    if (r == NULL || r->ac != ac) return;
    bool good = status == REDIS_OK && (r->tls == NULL || redis_tls_begin(r->tls, &r->ac->c, r->opt.host));
    if (status != REDIS_OK) ended(r, ac);
    else if (good) greet(r);
    else if (!mistrusted(r)) broken(r, false, "it does not speak TLS");
}

/* Takes ac, which may have failed. */
static void attach(struct redis *r, redisAsyncContext *ac) {
    char why[200];
    if (ac == NULL || ac->err != 0 || !watch_new(r, ac)) {
        snprintf(why, sizeof(why), "%.150s", ac != NULL && ac->err != 0 ? ac->errstr : "out of memory");
        if (ac != NULL) redisAsyncFree(ac);
        broken(r, false, why);
        return;
    }
    change(r, CONNECTING);
    r->ac = ac;
    ac->data = r;
    sober(r, ac->c.reader);
    fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);
    timer_start(r->opt.loop, &r->timer, CONNECT_MS, on_too_late);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect); /* polls */
    if (r->opt.host != NULL) redisEnableKeepAlive(&ac->c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found) {
    struct lookup *look = container_of(req, struct lookup, req);
    struct redis *r = look->r;
    char address[64] = "", why[200];
    mem_free(look);
    if (r != NULL) {
        r->lookup = NULL;
        if (status == 0) {
            status = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST);
            if (status == 0) attach(r, redisAsyncConnect(address, (int)r->opt.port));
            else broken(r, false, "its name is resolved to no address");
        } else {
            snprintf(why, sizeof(why), "its name is not resolved: %s", uv_strerror(status));
            broken(r, false, why);
        }
    }
    uv_freeaddrinfo(found);
}

static void resolve(struct redis *r) {
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct lookup *look = mem_zalloc(sizeof(*look));
    change(r, RESOLVING);
    timer_start(r->opt.loop, &r->timer, CONNECT_MS, on_too_late);
    if (look == NULL || uv_getaddrinfo(&r->opt.loop->uv, &look->req, on_resolved, r->opt.host, NULL, &hints) != 0) {
        mem_free(look);
        broken(r, false, "its name cannot be looked up");
        return;
    }
    look->r = r;
    r->lookup = look;
}

static bool is_address(const char *host) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    return uv_ip4_addr(host, 1, &v4) == 0 || uv_ip6_addr(host, 1, &v6) == 0;
}

/* False: it is broken. */
static bool trusts(struct redis *r) {
    char why[300];
    if (!r->opt.tls || r->tls != NULL) return true;
    if (redis_tls_new(&r->tls, r->opt.ca, why, sizeof(why)) == 0) return true;
    broken(r, true, why);
    return false;
}

static void try_now(struct redis *r) {
    if (!trusts(r)) return;
    if (r->opt.host == NULL) attach(r, redisAsyncConnectUnix(r->opt.path));
    else if (is_address(r->opt.host)) attach(r, redisAsyncConnect(r->opt.host, (int)r->opt.port));
    else resolve(r);
}

/* -- Questions ---------------------------------------------------------------------------------------------- */

static void say_refused(struct redis *r, enum store_verb verb, const char *error) {
    char at[300];
    struct redis_said *said = r->opt.said;
    if (said == NULL || !refused_begins(&said->refused, verb, slice_str(error), loop_now(r->opt.loop))) return;
    log_line(r->opt.log, PERILUNE_LOG_WARN, "cache.redis: %s refuses a question: \"%.200s\"; requests go on without it",
             where(r, at, sizeof(at)), error);
}

static void count_answer(const struct asked *k) {
    struct redis_stats *n = k->r->opt.stats;
    if (n == NULL) return;
    if (k->lost) count(&n->lost);
    else if (k->failed) count(&n->refused);
    else if (k->verb != STORE_GET) count(&n->done);
    else count(k->answer.value != NULL ? &n->hits : &n->misses);
    if (!k->lost) histogram_record(&n->latency, loop_hrtime_us() - k->began_us);
}

/* Without an answer: a look-up found nothing, and of the rest nobody knows whether it was done. */
static int not_asked(enum store_verb verb) { return verb == STORE_GET ? 0 : PERILUNE_ERR_AGAIN; }

/* All answers to k have come, or none will. */
static void conclude(struct asked *k) {
    struct redis *r = k->r;
    r->unanswered -= k->bytes;
    if (k->op == NULL) { /* it was counted when it was given up */
        blob_put(k->answer.value);
    } else {
        count_answer(k);
        if (!k->lost) {
            r->late = 0;
            r->pause_ms = PAUSE_LEAST;
        }
        if (k->failed) k->answer.rc = k->passing ? not_asked(k->verb) : PERILUNE_ERR_UPSTREAM;
        else if (k->lost) k->answer.rc = not_asked(k->verb);
        k->op->driver = NULL;
        store_answer(k->op, &k->answer);
    }
    mem_free(k);
}

/* All texts and numbers of an answer, one behind the other. */
static void join(const redisReply *a, int depth, struct buf *out) {
    char number[24];
    if (a->type == REDIS_REPLY_STRING || a->type == REDIS_REPLY_STATUS) words_join(out, slice_of(a->str, a->len));
    if (a->type == REDIS_REPLY_INTEGER) {
        snprintf(number, sizeof(number), "%lld", a->integer);
        words_join(out, slice_str(number));
    }
    for (size_t i = 0; a->type == REDIS_REPLY_ARRAY && depth > 0 && i < a->elements; i++)
        join(a->element[i], depth - 1, out);
}

/* Without memory: none. */
static struct blob *joined(const struct redis *r, const redisReply *a) {
    struct buf out;
    buf_init(&out, most(r) + MARGIN);
    join(a, 2, &out);
    struct blob *b = buf_failed(&out) ? NULL : blob_copy(buf_get(&out));
    buf_deinit(&out);
    return b;
}

static void take_answer(struct asked *k, const redisReply *a) {
    switch (k->verb) {
    case STORE_WORDS:
        if (k->op != NULL) k->answer.value = joined(k->r, a);
        break;
    case STORE_GET:
    case STORE_NOTES:
        if (a->type == REDIS_REPLY_INTEGER) k->answer.ttl_ms = a->integer > 0 ? (uint64_t)a->integer : 0;
        else if (a->type == REDIS_REPLY_STRING && a->len <= REDIS_MAX_VALUE && k->op != NULL)
            k->answer.value = blob_copy(slice_of(a->str, a->len)); /* without memory: no such key */
        break;
    case STORE_ADD: k->answer.number = a->integer; break;
    default: break;
    }
}

static void on_answer(redisAsyncContext *ac, void *reply, void *ud) {
    struct asked *k = ud;
    struct redis *r = k->r;
    const redisReply *a = reply;
    char error[200] = "";
    (void)ac;
    if (a == NULL) k->lost = true;
    else if (a->type != REDIS_REPLY_ERROR) take_answer(k, a);
    else {
        k->failed = true;
        snprintf(error, sizeof(error), "%s", a->str);
        k->passing = k->verb != STORE_WORDS && is_passing(error);
        if (k->verb == STORE_WORDS && k->op != NULL) k->answer.value = blob_copy(slice_str(error));
    }
    enum store_verb verb = k->verb;
    if (a != NULL && error[0] == '\0' && r->opt.said != NULL) refused_ends(&r->opt.said->refused, verb);
    if (--k->due == 0) conclude(k);
    if (error[0] == '\0' || r->state != READY) return;
    if (is_readonly(error)) demoted(r);
    else if (is_hopeless(error)) refused_for_good(r, error);
    else if (verb != STORE_WORDS) say_refused(r, verb, error); /* else who asks knows what it means */
}

/* A command in pieces. */
struct command {
    const char *part[ARGUMENTS];
    size_t      len[ARGUMENTS];
    int         count;
};

static void add(struct command *c, struct slice s) {
    c->part[c->count] = s.ptr != NULL ? s.ptr : "";
    c->len[c->count++] = s.len;
}

static void send_command(struct asked *k, const struct command *c) {
    size_t lens[ARGUMENTS];
    const char *parts[ARGUMENTS];
    memcpy(parts, c->part, sizeof(parts));
    memcpy(lens, c->len, sizeof(lens));
    if (k->lost || redisAsyncCommandArgv(k->r->ac, on_answer, k, c->count, parts, lens) != REDIS_OK) {
        k->lost = true;
        return;
    }
    k->due++;
    for (int i = 0; i < c->count; i++) k->bytes += c->len[i] + 16;
}

static void add_number(struct command *c, char buf[24], uint64_t n) {
    snprintf(buf, 24, "%llu", (unsigned long long)n);
    add(c, slice_str(buf));
}

static void send_get(struct asked *k, const struct store_ask *ask) {
    struct command ttl = { .count = 0 }, get = { .count = 0 };
    /* In this order: a value that is replaced in between is taken for older than it is, never for younger. */
    add(&ttl, SLICE("PTTL"));
    add(&ttl, ask->key);
    add(&get, SLICE("GET"));
    add(&get, ask->key);
    send_command(k, &ttl);
    send_command(k, &get);
}

static void send_script(struct asked *k, struct slice script, const struct store_ask *ask, struct slice first,
                        struct slice second) {
    struct command c = { .count = 0 };
    char keys[24];
    add(&c, SLICE("EVAL"));
    add(&c, script);
    add_number(&c, keys, 1 + ask->tag_count);
    add(&c, ask->key);
    for (unsigned i = 0; i < ask->tag_count && i < TAGS_MOST; i++) add(&c, ask->tags[i]);
    add(&c, first);
    add(&c, second);
    send_command(k, &c);
}

static void send_set(struct asked *k, const struct store_ask *ask) {
    struct command c = { .count = 0 };
    char ttl[24];
    snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)ask->ttl_ms);
    if (ask->tag_count > 0 && ask->ttl_ms > 0) {
        send_script(k, slice_of(SET_TAGGED, sizeof(SET_TAGGED) - 1), ask, ask->value, slice_str(ttl));
        return;
    }
    add(&c, SLICE("SET"));
    add(&c, ask->key);
    add(&c, ask->value);
    if (ask->ttl_ms > 0) {
        add(&c, SLICE("PX"));
        add(&c, slice_str(ttl));
    }
    send_command(k, &c);
}

static void send_words(struct asked *k, const struct store_ask *ask) {
    struct command c = { .count = 0 };
    for (unsigned i = 0; i < ask->word_count && i < ARGUMENTS; i++) add(&c, ask->words[i]);
    send_command(k, &c);
}

static void send_question(struct asked *k, const struct store_ask *ask) {
    struct slice channel = slice_str(k->r->opt.channel);
    char by[24], ttl[24];
    switch (ask->verb) {
    case STORE_GET: send_get(k, ask); break;
    case STORE_WORDS: send_words(k, ask); break;
    case STORE_SET: send_set(k, ask); break;
    case STORE_DELETE: send_script(k, slice_of(DELETE, sizeof(DELETE) - 1), ask, channel, ask->note); break;
    case STORE_INVALIDATE:
        send_script(k, slice_of(INVALIDATE, sizeof(INVALIDATE) - 1), ask, channel, ask->note);
        break;
    case STORE_NOTES:
        snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)ask->ttl_ms);
        send_script(k, slice_of(NOTES, sizeof(NOTES) - 1), ask, channel, slice_str(ttl));
        break;
    case STORE_ADD:
        snprintf(by, sizeof(by), "%lld", (long long)ask->by);
        snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)ask->ttl_ms);
        send_script(k, slice_of(ADD, sizeof(ADD) - 1), ask, slice_str(by), slice_str(ttl));
        break;
    }
}

static void redis_begin(struct store *s, struct store_op *op, const struct store_ask *ask) {
    struct redis *r = container_of(s, struct redis, store);
    struct asked *k = NULL;
    if (r->state == READY && r->unanswered + ask->value.len <= UNANSWERED && ask->value.len <= REDIS_MAX_VALUE)
        k = mem_zalloc(sizeof(*k));
    if (k == NULL) {
        if (r->opt.stats != NULL) count(&r->opt.stats->skipped);
        store_answer(op, &(struct store_answer){ .rc = not_asked(ask->verb) });
        return;
    }
    *k = (struct asked){ .r = r, .op = op, .verb = ask->verb, .began_us = loop_hrtime_us(),
                         .until_ms = loop_now(r->opt.loop) + ask->within_ms };
    op->driver = k;
    send_question(k, ask);
    r->unanswered += k->bytes;
    if (k->due == 0) conclude(k); /* the connection is ending */
}

static void redis_forget(struct store *s, struct store_op *op) {
    struct redis *r = container_of(s, struct redis, store);
    struct asked *k = op->driver;
    if (k == NULL) return;
    bool late = loop_now(r->opt.loop) >= k->until_ms;
    k->op = NULL;
    op->driver = NULL;
    if (!late || r->state != READY) return;
    if (r->opt.stats != NULL) count(&r->opt.stats->late);
    if (++r->late >= LATE_MOST) broken(r, false, "it does not answer in time");
}

/* -- Life ------------------------------------------------------------------------------------------------------ */

struct redis *redis_new(const struct redis_options *opt) {
    static const struct store_driver driver = { redis_begin, redis_forget };
    struct redis *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->opt = *opt;
    r->pause_ms = PAUSE_LEAST;
    store_init(&r->store, &driver, opt->loop, QUESTIONS);
    try_now(r);
    return r;
}

void redis_close(struct redis *r) {
    if (r == NULL) return;
    change(r, DOWN);
    timer_stop(r->opt.loop, &r->timer);
    drop_lookup(r);
    drop_context(r);
    redis_tls_free(r->tls);
    store_deinit(&r->store);
    mem_free(r);
}

struct store *redis_store(struct redis *r) { return &r->store; }
bool          redis_is_ready(const struct redis *r) { return r->state == READY; }
