/* request_api.c -- perilune.h's requests: what a program asks, and the events that it takes.
 *
 *     NEW --start--> STARTED --its turn of the loop--> ASKING --END, ERROR--> ANSWERED --the last was taken--> OVER
 *                       +---------------- canceled, closed -------------------^
 *
 *     library_exchange --events--> [ queue ] --turn--> callback
 *                                            --perilune_request_next()-->
 *
 * The program is called from one place, turn(), which runs by itself at the bottom of the loop's stack: no policy, no
 * source and no exchange is under way above it.  So a callback may do what it likes: start and free requests, this one,
 * reload, close the gateway.  That is also why a request that is started only begins in the next turn, and one
 * that is freed while it runs stops there.  What a callback must not do is turn the loop, and perilune_poll() sees to
 * that.
 *
 * A request goes when nobody needs it: the program has freed it, none of our functions has it on its stack (`held`),
 * and no letter of another thread's cancel is on its way.  It may outlive its gateway; then it is dead, and its last
 * events can still be taken.
 *
 * Its last event needs no memory, so there always is one.
 *
 * Bounds: what waits is limits.high_water, and what the source had in its hands.  Thread: the owner's, but for
 * perilune_request_cancel(). */
#include <stdio.h>
#include <unistd.h>

#include "flow/headers.h"
#include "gateway/event_queue.h"
#include "gateway/gateway.h"
#include "gateway/library.h"
#include "gateway/library_exchange.h"
#include "http/field.h"

#if defined(PERILUNE_TEST) || defined(PERILUNE_DEBUG)
#define HUSKS 16 /* requests that were freed last: whoever uses them is found out */
#else
#define HUSKS 0
#endif

#define KEEP_BYTES (64 * 1024) /* of memory that one large answer left behind */
#define SPARES 64 /* requests that are kept to be used again */
#define FEW_HEADERS 6

enum request_state {
    REQUEST_NEW, REQUEST_STARTED, REQUEST_ASKING, REQUEST_ANSWERED, REQUEST_OVER,
    REQUEST_HUSK /* it was freed */
};

enum { CANCEL_NOT_ASKED, CANCEL_SENT, CANCEL_HEARD };

struct perilune_request {
    enum request_state      state;
    struct library         *library; /* a share */
    struct list             link;    /* among its requests, or its husks */
    struct worker          *worker;  /* from STARTED on */
    struct deferred         turn;
    struct library_exchange e;
    perilune_event_cb       cb;      /* NULL: events are asked for */
    void                   *ud;
    size_t                  high_water;
    bool running; /* e does */
    bool paused;
    bool held;    /* a function below us has it on its stack */
    bool freed;   /* by the program */
    bool dropped; /* a letter is on its way, and then it goes */
    bool is_chat; /* its answer says texts, else it is bytes */
    int  text_error; /* a piece of the text that _text() gathers is lost */
    atomic_int              cancel;
    struct letter           letter;
    /* What is asked. */
    struct slice            path, query, tenant;
    struct buf              body;
    struct arena            arena;   /* names, values */
    struct http_header     *headers;
    unsigned                header_count, header_cap;
    /* From here on nothing needs to be zero. */
    struct http_header      few[FEW_HEADERS];
    perilune_event          last;    /* the end */
    char                    last_text[400], last_name[48], errmsg[240];
    /* Kept when it is used again. */
    struct event_queue      queue;
    struct buf              target;    /* path and query */
    struct buf              last_more; /* raw and headers of the last event */
    struct buf              whole;     /* of perilune_request_text() */
};

/* -- What is wrong ---------------------------------------------------------------------- */

static int refuse(perilune_request *r, int code, const char *why) {
    slice_copy(r->errmsg, sizeof(r->errmsg), slice_str(why));
    return code;
}

/* A request that was freed; said where the log still is. */
static bool is_husk(const perilune_request *r, const char *fn) {
    if (HUSKS == 0 || (r->state != REQUEST_HUSK && !r->freed)) return false;
    if (r->library->g != NULL)
        log_line(&r->library->g->log, PERILUNE_LOG_ERROR, "%s(%p): the request was freed before", fn, (const void *)r);
    return true;
}

/* NOLOCK: g goes when its threads have ended, so for these it is there; as it is for the host's, who may call nothing
 * of it once it is closed. */
static bool is_elsewhere(const perilune_request *r) {
    const perilune *g = r->library->g;
    return g != NULL && gateway_is_elsewhere(g);
}

/* What every function asks first: 0, or PERILUNE_ERR_INVAL: there is no such request, or PERILUNE_ERR_STATE: it is the
 * parent's of a fork(), or this is not the owner's thread.  In a child nothing is said in the log, whose thread it
 * has not. */
static int look(perilune_request *r, const char *fn) {
    if (r == NULL) return PERILUNE_ERR_INVAL;
    if (r->library->pid != getpid()) return refuse(r, PERILUNE_ERR_STATE, gateway_forked);
    if (is_elsewhere(r)) return PERILUNE_ERR_STATE; /* errmsg is the owner's to write */
    return is_husk(r, fn) ? PERILUNE_ERR_INVAL : 0;
}

#define LOOK(r) look(r, __func__)

/* The same of functions that return nothing. */
static int look_and_say(perilune_request *r, const char *fn) {
    int refused = look(r, fn);
    if (refused == PERILUNE_ERR_STATE && r->library->pid == getpid()) gateway_is_refused_here(r->library->g, fn);
    return refused;
}

#define LOOK_AND_SAY(r) look_and_say(r, __func__)

PERILUNE_API const char *perilune_request_errmsg(const perilune_request *r) {
    if (r == NULL) return "there is no request (NULL)";
    return r->library->pid == getpid() && is_elsewhere(r) ? perilune_errmsg(r->library->g) : r->errmsg;
}

/* -- Life ----------------------------------------------------------------------------------- */

/* What was made for one question. */
static void empty(perilune_request *r) {
    buf_deinit(&r->body);
    arena_deinit(&r->arena);
    if (r->headers != r->few) mem_free(r->headers);
    buf_shed(&r->last_more, KEEP_BYTES);
    buf_shed(&r->whole, KEEP_BYTES);
    event_queue_reset(&r->queue);
}

static void release(perilune_request *r) {
    event_queue_deinit(&r->queue);
    buf_deinit(&r->target);
    buf_deinit(&r->last_more);
    buf_deinit(&r->whole);
    mem_free(r);
}

static void destroy(perilune_request *r) {
    struct library *l = r->library;
    list_remove(&r->link);
    empty(r);
    if (l->g == NULL || l->ending) {
        release(r);
    } else {
        r->state = REQUEST_HUSK;
        list_append(&l->husks, &r->link);
        l->husk_count++;
        requests_bury(l, HUSKS, SPARES);
    }
    library_put(l);
}

void requests_bury(struct library *l, unsigned husks, unsigned spares) {
    for (; l->husk_count > husks; l->husk_count--, l->spare_count++) {
        struct list *oldest = l->husks.next;
        list_remove(oldest);
        list_append(&l->spares, oldest);
    }
    for (; l->spare_count > spares; l->spare_count--) {
        perilune_request *r = container_of(l->spares.next, perilune_request, link);
        list_remove(&r->link);
        release(r);
    }
}

/* A new one, or a spare one as if it were new. NULL: no memory. */
static perilune_request *request_of(struct library *l) {
    perilune_request *r;
    if (l->spare_count > 0) {
        r = container_of(l->spares.prev, perilune_request, link); /* the last one is in the processor's cache */
        list_remove(&r->link);
        l->spare_count--;
    } else if ((r = mem_alloc(sizeof(*r))) == NULL) {
        return NULL;
    } else {
        memset(&r->queue, 0, sizeof(*r) - offsetof(perilune_request, queue));
        event_queue_init(&r->queue);
    }
    memset(r, 0, offsetof(perilune_request, few));
    buf_clear(&r->target);
    r->errmsg[0] = '\0';
    r->headers = r->few;
    r->header_cap = FEW_HEADERS;
    r->library = l;
    arena_init(&r->arena);
    list_init(&r->letter.link);
    atomic_init(&r->cancel, CANCEL_NOT_ASKED);
    return r;
}

/* The program does not want it any more, and nobody below us does. */
static void drop(perilune_request *r) {
    if (r->running) library_exchange_stop(&r->e);
    deferred_cancel(&r->turn);
    r->dropped = atomic_load(&r->cancel) == CANCEL_SENT;
    if (!r->dropped) destroy(r);
}

/* -- Events ---------------------------------------------------------------------------------- */

static void turn(struct deferred *d);

/* Who waits in perilune_request_next() waits for nothing else: what came of a timer, or of work that the loop did
 * before it blocks, has to end the turn, because no descriptor will. */
static void ready(perilune_request *r) {
    perilune *g = r->library->g;
    if (g == NULL) return;
    if (r->cb == NULL && r->held) gateway_end_turn(g);
    else if (r->cb != NULL && !r->paused) loop_soon(&g->loop, &r->turn, turn);
}

static perilune_str keep_text(char *to, size_t size, perilune_str s) {
    slice_copy(to, size, slice_of(s.ptr, s.len));
    return (perilune_str){ to, strlen(to) };
}

/* Without memory its bytes and headers are missing. */
static void keep_last(perilune_request *r, const perilune_event *ev) {
    perilune_event *last = &r->last;
    *last = *ev;
    last->text = keep_text(r->last_text, sizeof(r->last_text), ev->text);
    last->name = keep_text(r->last_name, sizeof(r->last_name), ev->name);
    last->id = last->raw = last->headers = (perilune_str){ "", 0 };
    buf_clear(&r->last_more);
    buf_put(&r->last_more, ev->raw.ptr, ev->raw.len);
    buf_put(&r->last_more, ev->headers.ptr, ev->headers.len);
    if (!buf_failed(&r->last_more)) {
        const char *bytes = buf_get(&r->last_more).ptr;
        last->raw = (perilune_str){ bytes, ev->raw.len };
        last->headers = (perilune_str){ bytes + ev->raw.len, ev->headers.len };
    }
    r->state = REQUEST_ANSWERED;
    ready(r);
}

static bool on_event(struct library_exchange *e, const perilune_event *ev) {
    perilune_request *r = container_of(e, perilune_request, e);
    if (ev->type == PERILUNE_EV_END) {
        keep_last(r, ev);
        return true;
    }
    if (ev->type == PERILUNE_EV_BEGIN) r->is_chat = e->sayings.dialect != NULL && e->sayings.dialect->pieces != NULL;
    if (!event_queue_put(&r->queue, ev)) return false;
    ready(r);
    return true;
}

static void on_failed(struct library_exchange *e, const perilune_event *ev) {
    keep_last(container_of(e, perilune_request, e), ev);
}

static bool is_full(const struct library_exchange *e) {
    const perilune_request *r = container_of((struct library_exchange *)(uintptr_t)e, perilune_request, e);
    return event_queue_bytes(&r->queue) > r->high_water;
}

static void on_over(struct library_exchange *e) { container_of(e, perilune_request, e)->running = false; }

/* Ends what has no end yet. */
static void end_with(perilune_request *r, int error, const char *why) {
    perilune_str none = { "", 0 }, text = { why, strlen(why) };
    const char *code = failure_code(error == PERILUNE_ERR_NOMEM ? FAILURE_NO_MEMORY : FAILURE_CANCELED);
    if (r->running) library_exchange_stop(&r->e);
    keep_last(r, &(perilune_event){ .type = PERILUNE_EV_ERROR, .error = error, .text = text,
                                    .name = { code, strlen(code) }, .id = none, .raw = none, .headers = none,
                                    .status = error == PERILUNE_ERR_NOMEM ? 503 : 499 });
}

static const perilune_event *take(perilune_request *r) {
    bool canceled = atomic_load(&r->cancel) == CANCEL_SENT && !r->library->ending;
    if (canceled) return NULL; /* what waits is dropped as soon as that is heard */
    const perilune_event *ev = event_queue_take(&r->queue);
    if (ev != NULL || r->state != REQUEST_ANSWERED) return ev;
    r->state = REQUEST_OVER;
    return &r->last;
}

/* -- Turns of the loop ---------------------------------------------------------------------------- */

static void begin(perilune_request *r) {
    static const struct library_hearer hearer = { on_event, on_failed, on_over, is_full };
    bool asks = buf_len(&r->body) > 0;
    struct library_question q = { .method = asks ? SLICE("POST") : SLICE("GET"), .path = r->path, .query = r->query,
                                  .tenant = r->tenant, .headers = r->headers, .header_count = r->header_count };
    r->state = REQUEST_ASKING;
    r->running = true;
    r->high_water = r->worker->gen->config->http.high_water;
    r->whole.limit = r->worker->gen->config->lua.max_answer;
    if (library_exchange_begin(&r->e, r->worker, &hearer, &q, &r->body)) return;
    r->running = false;
    end_with(r, PERILUNE_ERR_NOMEM, "out of memory");
}

static void go_on(perilune_request *r) {
    if (r->running && event_queue_is_empty(&r->queue)) library_exchange_resume(&r->e);
}

/* To the program, as long as it wants them.  May free r. */
static void deliver(perilune_request *r) {
    const perilune_event *ev;
    r->held = true;
    while (!r->freed && !r->paused && (ev = take(r)) != NULL) r->cb(r, ev, r->ud);
    r->held = false;
    if (r->freed) drop(r);
    else go_on(r);
}

static void turn(struct deferred *d) {
    perilune_request *r = container_of(d, perilune_request, turn);
    if (r->freed) {
        if (!r->held) drop(r);
        return;
    }
    if (r->state == REQUEST_STARTED) begin(r);
    if (r->cb != NULL) deliver(r); /* may free r */
    else go_on(r);
}

/* -- The gateway ends ------------------------------------------------------------------------------ */

static void end_for_good(perilune_request *r) {
    bool runs = r->state == REQUEST_STARTED || r->state == REQUEST_ASKING;
    if (runs && !r->freed) end_with(r, PERILUNE_ERR_CANCELED, "the gateway was closed");
    deferred_cancel(&r->turn);
    r->paused = false;
    if (r->held) return; /* perilune_request_next() */
    if (r->freed) drop(r);
    else if (r->cb != NULL) deliver(r); /* may free r */
}

void requests_end_all(struct library *l) {
    struct list all;
    list_take(&all, &l->requests);
    while (!list_is_empty(&all)) { /* callbacks may free any of them */
        perilune_request *r = container_of(all.next, perilune_request, link);
        list_remove(&r->link);
        list_append(&l->requests, &r->link);
        end_for_good(r);
    }
}

/* The program takes no events, so the source waits, and the end will not come. */
static bool is_left(const perilune_request *r) {
    return r->running && r->e.stopped && (r->cb == NULL ? !r->held : r->paused);
}

unsigned requests_busy(const struct library *l) {
    unsigned n = 0;
    for (const struct list *e = l->requests.next; e != &l->requests; e = e->next) {
        const perilune_request *r = container_of((struct list *)(uintptr_t)e, perilune_request, link);
        n += r->state == REQUEST_STARTED || (r->state == REQUEST_ASKING && !is_left(r)) ||
             (r->state == REQUEST_ANSWERED && r->cb != NULL && !r->paused);
    }
    return n;
}

/* -- What is asked ------------------------------------------------------------------------------------ */

static const char *wrong_path(const char *path) {
    if (path == NULL || path[0] != '/') return "a path begins with '/', as in \"/v1/chat/completions\"";
    if (strlen(path) > HTTP_MAX_TARGET) return "the path has more than 8 KiB";
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f) return "the path has white space or control bytes; %20 is a space";
    return NULL;
}

PERILUNE_API int perilune_request_new(perilune *g, const char *path, const char *json, size_t len,
                                      perilune_request **out) {
    if (out != NULL) *out = NULL;
    int refused = gateway_refuses(g);
    if (refused != 0) return refused;
    const char *why = wrong_path(path);
    if (out == NULL) return gateway_fail(g, PERILUNE_ERR_INVAL, "perilune_request_new() needs a place for the request");
    if (why != NULL) return gateway_fail(g, PERILUNE_ERR_INVAL, "%s", why);
    if (json == NULL && len > 0)
        return gateway_fail(g, PERILUNE_ERR_INVAL, "there is no body (NULL), and its length is %zu", len);
    if (g->closing) return gateway_fail(g, PERILUNE_ERR_STATE, "the gateway is being closed");
    size_t most = g->config != NULL ? g->config->http.body : JSON_MAX_SIZE, path_len = strlen(path);
    if (len > most) return gateway_fail(g, PERILUNE_ERR_LIMITED, "the body has %zu bytes, and limits.body is %zu", len,
                                        most);
    perilune_request *r = request_of(g->library);
    if (r == NULL) return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    buf_put(&r->target, path, path_len + 1);
    buf_put(&r->body, json, len);
    if (buf_failed(&r->body) || buf_failed(&r->target)) {
        buf_deinit(&r->body);
        release(r);
        return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    }
    const char *target = buf_get(&r->target).ptr, *mark = strchr(target, '?');
    r->path = slice_of(target, mark != NULL ? (size_t)(mark - target) : path_len);
    r->query = slice_str(mark != NULL ? mark + 1 : "");
    r->library->refs++;
    list_append(&r->library->requests, &r->link);
    *out = r;
    return 0;
}

static bool grow_headers(perilune_request *r) {
    if (r->header_count < r->header_cap) return true;
    struct http_header *more = mem_alloc(HTTP_MAX_HEADERS * sizeof(*more));
    if (more == NULL) return false;
    memcpy(more, r->headers, r->header_count * sizeof(*more));
    if (r->headers != r->few) mem_free(r->headers);
    r->headers = more;
    r->header_cap = HTTP_MAX_HEADERS;
    return true;
}

static int add_header(perilune_request *r, struct slice name, struct slice value) {
    if (r->header_count == HTTP_MAX_HEADERS)
        return refuse(r, PERILUNE_ERR_LIMITED, "a request has at most 100 headers");
    if (!grow_headers(r)) return refuse(r, PERILUNE_ERR_NOMEM, "out of memory");
    r->headers[r->header_count++] = (struct http_header){ name, value };
    return 0;
}

static struct http_header *find_header(perilune_request *r, struct slice name) {
    return (struct http_header *)(uintptr_t)http_headers_find(r->headers, r->header_count, name);
}

static int set_header(perilune_request *r, struct slice name, struct slice value) {
    struct http_header *h = find_header(r, name);
    const char *own_name = h == NULL ? arena_dup(&r->arena, name) : "", *own = arena_dup(&r->arena, value);
    if (own_name == NULL || own == NULL) return refuse(r, PERILUNE_ERR_NOMEM, "out of memory");
    if (h == NULL) return add_header(r, slice_of(own_name, name.len), slice_of(own, value.len));
    h->value = slice_of(own, value.len);
    return 0;
}

static void take_back(perilune_request *r, struct slice name) {
    struct http_header *h = find_header(r, name);
    if (h == NULL) return;
    r->header_count--;
    memmove(h, h + 1, (size_t)(r->headers + r->header_count - h) * sizeof(*h));
}

static int set_tenant(perilune_request *r, const char *value) {
    const char *own = value == NULL ? NULL : arena_dup(&r->arena, slice_str(value));
    if (value != NULL && strlen(value) > 127)
        return refuse(r, PERILUNE_ERR_INVAL, "the name of the tenant is longer than 127 bytes");
    if (value != NULL && own == NULL) return refuse(r, PERILUNE_ERR_NOMEM, "out of memory");
    r->tenant = value != NULL ? slice_str(own) : slice_of(NULL, 0);
    return 0;
}

PERILUNE_API int perilune_request_set(perilune_request *r, const char *name, const char *value) {
    char why[200];
    int refused = LOOK(r);
    if (refused != 0) return refused;
    if (name == NULL) return refuse(r, PERILUNE_ERR_INVAL, "a name is missing (NULL)");
    if (r->state != REQUEST_NEW) return refuse(r, PERILUNE_ERR_STATE, "the request was started already");
    struct slice n = slice_str(name), v = slice_str(value != NULL ? value : "");
    const char *problem = http_field_problem(n, v);
    if (problem == NULL && http_field_is_framing(n)) problem = "is not the program's to set: nothing is framed here";
    if (problem != NULL) {
        snprintf(why, sizeof(why), "\"%.60s\" %s", name, problem);
        return refuse(r, PERILUNE_ERR_INVAL, why);
    }
    if (strcmp(name, "tenant") == 0) return set_tenant(r, value);
    if (value != NULL) return set_header(r, n, v);
    take_back(r, n);
    return 0;
}

/* -- Start, pause, stop -------------------------------------------------------------------------------- */

PERILUNE_API int perilune_request_start(perilune_request *r, perilune_event_cb cb, void *ud) {
    int refused = LOOK(r);
    if (refused != 0) return refused;
    perilune *g = r->library->g;
    if (r->state != REQUEST_NEW) return refuse(r, PERILUNE_ERR_STATE, "the request was started already");
    if (g == NULL || g->closing) return refuse(r, PERILUNE_ERR_STATE, "the gateway is closed");
    refused = gateway_refuses(g); /* while it loads */
    if (refused != 0) return refuse(r, refused, perilune_errmsg(g));
    if (g->draining) return refuse(r, PERILUNE_ERR_STATE, "the gateway drains: nothing is started any more");
    int rc;
    struct worker *w = library_worker(g, &rc);
    if (w == NULL) return refuse(r, rc, g->errmsg);
    static const struct slice type = SLICE("content-type");
    if (buf_len(&r->body) > 0 && find_header(r, type) == NULL &&
        (rc = add_header(r, type, SLICE("application/json"))) != 0)
        return rc;
    r->worker = w;
    r->cb = cb;
    r->ud = ud;
    r->state = REQUEST_STARTED;
    if (atomic_load(&r->cancel) != CANCEL_NOT_ASKED) end_with(r, PERILUNE_ERR_CANCELED, "the request was canceled");
    else loop_next(&g->loop, &r->turn, turn);
    return 0;
}

PERILUNE_API void perilune_request_pause(perilune_request *r, int paused) {
    if (LOOK_AND_SAY(r) != 0) return;
    r->paused = paused != 0;
    if (!r->paused && r->state > REQUEST_STARTED) ready(r);
}

/* The owner's thread. */
static void cancel_opened(struct letter *m, void *owner) {
    perilune_request *r = container_of(m, perilune_request, letter);
    (void)owner;
    atomic_store(&r->cancel, CANCEL_HEARD);
    if (r->dropped) {
        destroy(r);
    } else if (!r->freed && (r->state == REQUEST_STARTED || r->state == REQUEST_ASKING)) {
        event_queue_drop(&r->queue);
        end_with(r, PERILUNE_ERR_CANCELED, "the request was canceled");
    } else if (!r->freed) {
        ready(r);
    }
}

PERILUNE_API void perilune_request_cancel(perilune_request *r) {
    int none = CANCEL_NOT_ASKED;
    if (r == NULL || r->library->pid != getpid()) return; /* in another thread: no sentence, no husks */
    if (!atomic_compare_exchange_strong(&r->cancel, &none, CANCEL_SENT)) return;
    if (!mailbox_send(&r->library->mail, &r->letter, cancel_opened)) atomic_store(&r->cancel, CANCEL_HEARD);
}

PERILUNE_API void perilune_request_free(perilune_request *r) {
    if (LOOK_AND_SAY(r) != 0) return;
    perilune *g = r->library->g;
    r->freed = true;
    if (r->held) return;
    if (g != NULL && (r->running || r->state == REQUEST_STARTED)) loop_soon(&g->loop, &r->turn, turn);
    else drop(r);
}

/* -- Taking events ----------------------------------------------------------------------------------------- */

/* Turns the loop once; r may be free for good afterwards. */
static int turn_loop(perilune_request *r, int timeout_ms) {
    r->held = true;
    int rc = perilune_poll(r->library->g, timeout_ms);
    r->held = false;
    if (r->freed) return PERILUNE_ERR_STATE;
    if (rc < 0) return refuse(r, rc, r->library->g->errmsg);
    bool came = !event_queue_is_empty(&r->queue) || r->state >= REQUEST_ANSWERED;
    return rc == 0 || came ? 0 : refuse(r, PERILUNE_ERR_STATE, "the gateway was stopped before the answer was there");
}

static const char *why_nothing_comes(const perilune_request *r) {
    if (r->state == REQUEST_NEW) return "the request was not started";
    if (r->cb != NULL) return "its events go to a callback";
    return "the request is over: its last event was taken";
}

static int lend(perilune_request *r, const perilune_event *ev) {
    perilune *g = r->library->g;
    if (r->e.stopped && g != NULL && event_queue_is_empty(&r->queue)) loop_soon(&g->loop, &r->turn, turn);
    if (ev->type != PERILUNE_EV_ERROR) return 0;
    snprintf(r->errmsg, sizeof(r->errmsg), "%.*s", (int)ev->text.len, ev->text.ptr);
    return ev->error;
}

/* May free r: *gone. */
static int next(perilune_request *r, const perilune_event **ev, int timeout_ms, bool *gone) {
    uint64_t until = loop_hrtime_us() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000, now = 0;
    for (bool first = true;; first = false) {
        if (r->state == REQUEST_NEW || r->state == REQUEST_OVER || r->cb != NULL)
            return refuse(r, PERILUNE_ERR_STATE, why_nothing_comes(r));
        if ((*ev = take(r)) != NULL) return lend(r, *ev);
        now = first ? now : loop_hrtime_us();
        if (!first && timeout_ms >= 0 && now >= until)
            return refuse(r, PERILUNE_ERR_AGAIN, "nothing came in that time");
        int left = timeout_ms <= 0 ? timeout_ms : first ? timeout_ms : (int)((until - now + 999) / 1000);
        int rc = turn_loop(r, left);
        if (r->freed) {
            *gone = true;
            drop(r);
            return PERILUNE_ERR_STATE;
        }
        if (rc != 0) return rc;
    }
}

PERILUNE_API int perilune_request_next(perilune_request *r, const perilune_event **ev, int timeout_ms) {
    bool gone = false;
    if (ev != NULL) *ev = NULL;
    int refused = LOOK(r);
    if (refused != 0) return refused;
    if (ev == NULL) return refuse(r, PERILUNE_ERR_INVAL, "perilune_request_next() needs a place for the event");
    return next(r, ev, timeout_ms, &gone);
}

/* What of an event is text, for who wants nothing else. */
static perilune_str text_of(const perilune_request *r, const perilune_event *ev) {
    if (ev->type == PERILUNE_EV_TEXT && ev->choice == 0) return ev->text;
    if (ev->type == PERILUNE_EV_DATA && !r->is_chat) return ev->raw;
    return (perilune_str){ "", 0 };
}

PERILUNE_API int perilune_request_text(perilune_request *r, perilune_str *text) {
    const perilune_event *ev = NULL;
    bool gone = false;
    int rc = 0;
    if (text != NULL) *text = (perilune_str){ "", 0 };
    int refused = LOOK(r);
    if (refused != 0) return refused;
    if (text == NULL) return refuse(r, PERILUNE_ERR_INVAL, "perilune_request_text() needs a place for the text");
    if (r->cb != NULL) return refuse(r, PERILUNE_ERR_STATE, why_nothing_comes(r));
    while (r->text_error == 0 && r->state != REQUEST_OVER && rc == 0 && (rc = next(r, &ev, -1, &gone)) == 0) {
        perilune_str s = text_of(r, ev);
        buf_put(&r->whole, s.ptr, s.len);
        r->text_error = r->whole.error;
    }
    if (gone) return rc;
    /* Again and again: what comes behind it would close the gap, and nobody would see it. */
    if (r->text_error == PERILUNE_ERR_LIMITED)
        rc = refuse(r, r->text_error, "the text is larger than may be kept (upstreams.*.max_body)");
    else if (r->text_error != 0) rc = refuse(r, r->text_error, "out of memory");
    if (rc == 0) rc = r->last.error;
    r->whole.error = 0;
    struct slice s = buf_get(&r->whole);
    *text = (perilune_str){ s.ptr, s.len };
    return rc;
}

PERILUNE_API int perilune_event_header(const perilune_event *ev, const char *name, perilune_str *value) {
    if (value != NULL) *value = (perilune_str){ "", 0 };
    if (ev == NULL || name == NULL || value == NULL) return PERILUNE_ERR_INVAL;
    struct slice found = headers_find(slice_of(ev->headers.ptr, ev->headers.len), slice_str(name));
    if (found.ptr == NULL) return PERILUNE_ERR_INVAL;
    *value = (perilune_str){ found.ptr, found.len };
    return 0;
}
