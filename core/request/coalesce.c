/* coalesce.c -- calls that ask the same at the same time share one answer.
 *
 * What is shared is the upstream's answer, before any policy has seen it: each request's own policies
 * map it, count it, fail it.  "The same" is what fingerprint.c says, of one tenant; as a stream and as a
 * whole, with usage and without, are different answers here, because they are shared as they come.  An error is
 * shared among those only whose metadata, user and the like are the same, too: it may be about these.
 *
 * Whoever leads makes the call, maybe later, when another who led has failed: so each keeps what it needs
 * for a call.  The call belongs to all, and has no deadline but the upstream's own; each request still
 * has its own.  One of them pays for it, as if it had asked alone: who led, or when that one left before the
 * end another who stayed (flight.c).  Of the others usage and money are what was saved.  Only chats and
 * embeddings are shared: of other paths nobody knows whether asking twice does the same as asking once.
 */
#include "request/coalesce.h"

#include <string.h>

#include "request/attempt.h"
#include "request/fingerprint.h"

#define MAX_BODY (1u << 20) /* bytes: a longer question is hardly asked twice at once */

struct ask {
    const struct services *v; /* as long as the request lives */
    struct outgoing o; /* with shares of request and body */
    void          (*over)(void *ud); /* who counts calls: a seat is one, whoever makes the call */
    void           *over_ud;
    struct bill    *bill;     /* a share */
    struct outgoing_form form;
};

bool coalesce_suits(const struct services *v, const struct outgoing *o) {
    return o->request->coalesces && v->stores != NULL && o->body != NULL && o->body->dialect != NULL &&
           o->timeout_ms == 0 && o->body->doc.text.len <= MAX_BODY;
}

static struct source *make(void *ud) {
    const struct ask *a = ud;
    if (!a->o.request->live) return NULL; /* it cannot lead any more; its response is gone, too */
    return outgoing_answer(a->v, &a->o, &a->form);
}

static void drop(void *ud) {
    struct ask *a = ud;
    if (a->over != NULL) a->over(a->over_ud);
    bill_put(a->bill);
    request_put(a->o.request);
    body_put(a->o.body);
    mem_free(a);
}

void coalesce_bill(struct bill *b, bool pays, const struct usage *known) {
    if (b == NULL) return;
    b->others = !pays;
    if (pays && known != NULL) b->usage = *known;
}

static void pays(void *ud, bool yes, const struct usage *known) {
    coalesce_bill(((struct ask *)ud)->bill, yes, known);
}

bool coalesce_key(struct services *v, const struct outgoing *o, const struct outgoing_form *f, struct hash128 *key,
                  struct hash128 *rest) {
    char form[3 + sizeof(o->request->since)] = { f->sent ? 's' : 'w', f->given ? 's' : 'w', f->keep_usage ? 'u' : '-' };
    memcpy(form + 3, &o->request->since, sizeof(o->request->since)); /* no call from before a purge */
    struct buf text;
    buf_init(&text, 0);
    fingerprint_write(&(struct fingerprint_ask){ .services = v, .request = o->request, .body = o->body,
                                                 .target = o->of ? o->of->target : o->pool ? o->pool->target : NULL,
                                                 .scope = SLICE("flight"),
                                                 .salt = slice_of(form, sizeof(form)) },
                      &text);
    *rest = fingerprint_rest(v->stores->cache, &o->body->doc, &text);
    bool ok = !buf_failed(&text);
    if (ok) *key = cache_key(v->stores->cache, buf_get(&text));
    buf_deinit(&text);
    return ok;
}

/* Bytes that one may lie behind: a whole answer, or an event, is never too much. */
static size_t limit_of(const struct target *t) {
    return (t->max_answer > t->max_event ? t->max_answer : t->max_event) + 65536;
}

struct source *coalesce(struct services *v, const struct outgoing *o, const struct outgoing_form *form,
                        struct bill *bill, bool *joined) {
    struct hash128 key, rest;
    *joined = false;
    struct ask *a = coalesce_key(v, o, form, &key, &rest) ? mem_zalloc(sizeof(*a)) : NULL;
    if (a == NULL) return NULL;
    *a = (struct ask){ .v = v, .o = *o, .over = o->over, .over_ud = o->ud, .bill = bill_ref(bill), .form = *form };
    a->o.shared = true;
    a->o.made = NULL;
    a->o.over = NULL;
    if (o->made != NULL) o->made(o->ud);
    request_ref(a->o.request);
    body_ref(a->o.body);
    return flight_join(&(struct flight_options){ .flights = v->stores->flights, .loop = v->loop, .mail = v->mail,
                                                 .key = key, .rest = rest, .limit = limit_of(o->pool->target),
                                                 .high_water = v->high_water, .make = make, .drop = drop, .pays = pays,
                                                 .ud = a },
                       joined);
}
