/* broker_amqp.c -- RabbitMQ as a broker of jobs: a thread, its connection, and what waits for it.
 *
 *     publish, settle, pause --> [ orders, bounded ] --bell--> thread --publish--> [ sent, by number ] --ack-->
 * confirmed
 *                                      |                                               |
 *                                      +--- no connection for timeout_ms -------------+--- no ack, or it broke --> IO
 *
 *     AWAY --connect--> THERE --broke, closed--> AWAY, a pause that doubles (1 s to 10 s; a fatal one: 30 s)
 *
 * The thread sleeps in poll() on the socket and on a bell that orders ring.  It reads what has come before it writes
 * what is to go, TURN orders at a time, so that neither side waits for the other with full buffers.
 *
 * A token of a message that came holds the number of its connection: one that is settled after another connection was
 * made means a message that the broker has taken back, and is dropped.
 *
 * When the broker takes a message for too large, it closes the channel and does not say which: of those that are under
 * way it can only be the largest, and that one is refused for good; the others are sent again by who published them.
 *
 * Closing: what was ordered is sent and waited for within the time that is given; then the thread is woken by shutting
 * its socket down, whatever it is doing.
 *
 * LOCK: orders, state.  All else is the thread's. */
#include "jobs/broker_amqp.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "include/perilune.h"
#include "jobs/amqp_conn.h"
#include "jobs/amqp_library.h"
#include "sys/mailbox.h"

#define TURN         64     /* orders between two looks at what came */
#define PAUSE_MS     1000
#define PAUSE_MAX_MS 10000
#define FATAL_MS     30000
#define EPOCH_SHIFT  48     /* of a token: which connection */

struct order {
    struct list link;
    enum { PUBLISH, SETTLE } kind;
    enum broker_settling how;
    uint64_t    token;      /* of whom it is confirmed to; of what is settled */
    uint64_t    number;     /* sent: of the connection */
    uint64_t    until_ms;
    bool        returned;
    size_t      to, key, reason, body; /* lengths, in this order in text */
    char        text[];
};

struct broker {
    struct broker_settings   s;
    struct broker_user       user;
    const struct amqp_calls *calls;
    struct arena             arena;      /* of the settings */
    pthread_t                thread;
    pthread_mutex_t          lock;
    int                      bell;
    struct list              orders;     /* LOCK */
    unsigned                 waiting;    /* LOCK: publications, sent ones too */
    size_t                   bytes;      /* LOCK: of these */
    bool                     paused;     /* LOCK */
    bool                     over;       /* LOCK */
    uint64_t                 over_ms;    /* LOCK: until when */
    struct broker_state      state;      /* LOCK */
    atomic_int               fd;         /* of the connection, for who ends it; -1: none */
    /* The thread's. */
    struct amqp_conn        *conn;
    struct list              sent;
    uint64_t                 epoch, next_ms, pause_ms;
    bool                     was_there;
};

static uint64_t clock_ms(void) { return stamp_ms(CLOCK_MONOTONIC); }

/* -- Orders: any thread ------------------------------------------ */

static void ring(struct broker *b) {
    uint64_t one = 1;
    ssize_t n = write(b->bell, &one, sizeof(one)); /* full: it rings already */
    (void)n;
}

static void put_text(struct order *o, size_t *at, struct slice s) {
    if (s.len > 0) memcpy(o->text + *at, s.ptr, s.len);
    *at += s.len;
}

static int publish(struct broker *b, const struct broker_publish *p) {
    size_t len = p->to.len + p->key.len + p->reason.len + p->body.len, at = 0;
    struct order *o = mem_alloc(sizeof(*o) + len);
    if (o == NULL) return PERILUNE_ERR_NOMEM;
    *o = (struct order){ .kind = PUBLISH, .token = p->token, .until_ms = clock_ms() + b->s.timeout_ms, .to = p->to.len,
                         .key = p->key.len, .reason = p->reason.len, .body = p->body.len };
    put_text(o, &at, p->to);
    put_text(o, &at, p->key);
    put_text(o, &at, p->reason);
    put_text(o, &at, p->body);
    pthread_mutex_lock(&b->lock);
    bool room = b->waiting < BROKER_WAITING && (b->waiting == 0 || b->bytes + len <= BROKER_WAITING_BYTES) && !b->over;
    if (room) {
        list_append(&b->orders, &o->link);
        b->waiting++;
        b->bytes += len;
    }
    pthread_mutex_unlock(&b->lock);
    if (!room) {
        mem_free(o);
        return PERILUNE_ERR_LIMITED;
    }
    ring(b);
    return 0;
}

/* Without memory it is not settled, and comes again with the next connection. */
static void settle(struct broker *b, uint64_t token, enum broker_settling how) {
    struct order *o = mem_alloc(sizeof(*o));
    if (o == NULL) return;
    *o = (struct order){ .kind = SETTLE, .token = token, .how = how };
    pthread_mutex_lock(&b->lock);
    list_append(&b->orders, &o->link);
    pthread_mutex_unlock(&b->lock);
    ring(b);
}

static void pause_work(struct broker *b, bool paused) {
    pthread_mutex_lock(&b->lock);
    b->paused = paused;
    pthread_mutex_unlock(&b->lock);
    ring(b);
}

static void get_state(struct broker *b, struct broker_state *out) {
    pthread_mutex_lock(&b->lock);
    *out = b->state;
    out->waiting = b->waiting;
    pthread_mutex_unlock(&b->lock);
}

/* -- Ends of orders: the thread ------------------------------------------ */

/* LOCK is not held: the user may publish. */
static void end(struct broker *b, struct order *o, int rc, const char *why) {
    list_remove(&o->link);
    if (o->kind == PUBLISH) {
        pthread_mutex_lock(&b->lock);
        b->waiting--;
        b->bytes -= o->to + o->key + o->reason + o->body;
        pthread_mutex_unlock(&b->lock);
        b->user.confirmed(b->user.ud, o->token, rc, why);
    }
    mem_free(o);
}

static void confirmed(void *ud, uint64_t number, bool up_to, bool ok) {
    struct broker *b = ud;
    for (struct list *l = b->sent.next, *next; l != &b->sent; l = next) {
        struct order *o = container_of(l, struct order, link);
        next = l->next;
        if (o->number > number) return;
        if (o->number < number && !up_to) continue;
        char why[BROKER_NAME_MAX + 40];
        snprintf(why, sizeof(why), "there is no queue %.*s", (int)o->to, o->text);
        if (o->returned) end(b, o, PERILUNE_ERR_INVAL, why);
        else if (ok) end(b, o, 0, NULL);
        else end(b, o, PERILUNE_ERR_IO, "RabbitMQ could not keep it");
    }
}

static void returned(void *ud, uint64_t number) {
    struct broker *b = ud;
    for (struct list *l = b->sent.next; l != &b->sent; l = l->next) {
        struct order *o = container_of(l, struct order, link);
        if (o->number == number) o->returned = true;
    }
}

static void came(void *ud, const struct broker_message *m) {
    struct broker *b = ud;
    struct broker_message own = *m;
    own.token |= b->epoch << EPOCH_SHIFT;
    pthread_mutex_lock(&b->lock);
    b->state.unsettled++;
    pthread_mutex_unlock(&b->lock);
    b->user.came(b->user.ud, &own);
}

/* -- The connection: the thread ------------------------------------------ */

static void set_state(struct broker *b, bool connected, bool fatal, const char *why) {
    pthread_mutex_lock(&b->lock);
    bool changes = b->state.connected != connected;
    b->state.connected = connected;
    b->state.fatal = fatal;
    if (changes) b->state.since_ms = clock_ms();
    if (connected) b->state.reconnects += b->was_there;
    if (!connected) b->state.unsettled = 0;
    snprintf(b->state.why, sizeof(b->state.why), "%s", why);
    pthread_mutex_unlock(&b->lock);
}

static void refuse_largest(struct broker *b, const char *why) {
    struct order *largest = NULL;
    for (struct list *l = b->sent.next; l != &b->sent; l = l->next) {
        struct order *o = container_of(l, struct order, link);
        if (largest == NULL || o->body > largest->body) largest = o;
    }
    if (largest != NULL) end(b, largest, PERILUNE_ERR_INVAL, why);
}

static void away(struct broker *b, bool fatal, const char *why) {
    uint64_t now = clock_ms();
    b->pause_ms = b->pause_ms == 0 ? PAUSE_MS : b->pause_ms * 2 < PAUSE_MAX_MS ? b->pause_ms * 2 : PAUSE_MAX_MS;
    b->next_ms = now + (fatal ? FATAL_MS : b->pause_ms);
    set_state(b, false, fatal, why);
}

static void drop(struct broker *b) {
    char why[BROKER_WHY_SIZE];
    struct amqp_conn *c = b->conn;
    snprintf(why, sizeof(why), "%s", amqp_conn_why(c));
    atomic_store(&b->fd, -1);
    b->conn = NULL;
    if (amqp_conn_was_too_large(c)) refuse_largest(b, why);
    while (!list_is_empty(&b->sent)) end(b, container_of(b->sent.next, struct order, link), PERILUNE_ERR_IO, why);
    away(b, false, why);
    b->next_ms = clock_ms() + (amqp_conn_was_too_large(c) ? 0 : PAUSE_MS / 4); /* it was there a moment ago */
    amqp_conn_close(c, false);
    b->user.changed(b->user.ud, false);
}

static void try_to_connect(struct broker *b) {
    char why[BROKER_WHY_SIZE] = "";
    bool fatal;
    pthread_mutex_lock(&b->lock);
    bool paused = b->paused;
    pthread_mutex_unlock(&b->lock);
    b->conn = amqp_conn_open(b->calls, &b->s, true, paused, &fatal, why, sizeof(why));
    if (b->conn == NULL) {
        away(b, fatal, why);
        b->user.changed(b->user.ud, false);
        return;
    }
    b->pause_ms = 0;
    b->epoch = (b->epoch + 1) & 0x7fff;
    atomic_store(&b->fd, amqp_conn_fd(b->conn));
    set_state(b, true, false, "");
    b->was_there = true;
    b->user.changed(b->user.ud, true);
}

/* -- Doing orders: the thread ------------------------------------------ */

static int send_one(struct broker *b, struct order *o) {
    const char *at = o->text;
    struct broker_publish p = { .to = slice_of(at, o->to), .key = slice_of(at + o->to, o->key),
                                .reason = slice_of(at + o->to + o->key, o->reason),
                                .body = slice_of(at + o->to + o->key + o->reason, o->body) };
    list_append(&b->sent, &o->link);
    return amqp_conn_publish(b->conn, &p, &o->number);
}

static int settle_one(struct broker *b, struct order *o) {
    uint64_t token = o->token & ((UINT64_C(1) << EPOCH_SHIFT) - 1);
    bool ours = b->conn != NULL && o->token >> EPOCH_SHIFT == b->epoch;
    enum broker_settling how = o->how;
    mem_free(o);
    if (!ours) return 0;
    pthread_mutex_lock(&b->lock);
    if (b->state.unsettled > 0) b->state.unsettled--;
    pthread_mutex_unlock(&b->lock);
    return amqp_conn_settle(b->conn, token, how);
}

/* Those that may be done now; the rest stays where it is. */
static void take_orders(struct broker *b, struct list *out) {
    unsigned n = 0;
    bool may_publish = b->conn != NULL && !amqp_conn_is_blocked(b->conn);
    list_init(out);
    pthread_mutex_lock(&b->lock);
    for (struct list *l = b->orders.next, *next; l != &b->orders && n < TURN; l = next) {
        struct order *o = container_of(l, struct order, link);
        next = l->next;
        if (o->kind == PUBLISH && !may_publish) continue;
        list_remove(l);
        list_append(out, l);
        n++;
    }
    pthread_mutex_unlock(&b->lock);
}

/* True: there are more. */
static bool do_orders(struct broker *b) {
    struct list now;
    take_orders(b, &now);
    bool any = !list_is_empty(&now);
    while (!list_is_empty(&now)) {
        struct order *o = container_of(now.next, struct order, link);
        list_remove(&o->link);
        if (b->conn == NULL && o->kind == PUBLISH) { /* it broke with the order before */
            pthread_mutex_lock(&b->lock);
            list_append(&b->orders, &o->link);
            pthread_mutex_unlock(&b->lock);
            continue;
        }
        if ((o->kind == PUBLISH ? send_one(b, o) : settle_one(b, o)) != 0) drop(b);
    }
    return any && b->conn != NULL;
}

static void give_up(struct broker *b, struct list *late, const char *why, int rc) {
    while (!list_is_empty(late)) end(b, container_of(late->next, struct order, link), rc, why);
}

/* Whoever waited too long hears of it: for a connection, or for a confirmation. */
static void look_at_time(struct broker *b, uint64_t now) {
    struct list late;
    list_init(&late);
    pthread_mutex_lock(&b->lock);
    for (struct list *l = b->orders.next, *next; l != &b->orders; l = next) {
        struct order *o = container_of(l, struct order, link);
        next = l->next;
        if (o->kind != PUBLISH || o->until_ms > now) continue;
        list_remove(l);
        list_append(&late, l);
    }
    pthread_mutex_unlock(&b->lock);
    for (struct list *l = b->sent.next, *next; l != &b->sent; l = next) {
        struct order *o = container_of(l, struct order, link);
        next = l->next;
        if (o->until_ms > now) continue;
        list_remove(l);
        list_append(&late, l);
    }
    give_up(b, &late, "RabbitMQ did not confirm it in time", PERILUNE_ERR_IO);
}

/* -- The thread ------------------------------------------ */

static void await(struct broker *b, bool more) {
    struct pollfd fds[2] = { { .fd = b->bell, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
    uint64_t now = clock_ms(), ms = 500, rung;
    if (b->conn != NULL) fds[1].fd = amqp_conn_fd(b->conn);
    else if (b->next_ms < now + ms) ms = b->next_ms > now ? b->next_ms - now : 0;
    poll(fds, 2, more ? 0 : (int)ms);
    if (fds[0].revents != 0) {
        ssize_t n = read(b->bell, &rung, sizeof(rung));
        (void)n;
    }
}

static bool is_over(struct broker *b, uint64_t now) {
    pthread_mutex_lock(&b->lock);
    bool over = b->over && (now >= b->over_ms || (b->waiting == 0 && list_is_empty(&b->orders)));
    pthread_mutex_unlock(&b->lock);
    return over || (b->conn == NULL && b->over);
}

static void set_pause(struct broker *b) {
    pthread_mutex_lock(&b->lock);
    bool paused = b->paused;
    pthread_mutex_unlock(&b->lock);
    if (b->conn != NULL && amqp_conn_pause(b->conn, paused) != 0) drop(b);
}

static void finish(struct broker *b) {
    struct list rest;
    atomic_store(&b->fd, -1);
    amqp_conn_close(b->conn, true);
    b->conn = NULL;
    list_init(&rest);
    pthread_mutex_lock(&b->lock);
    while (!list_is_empty(&b->orders)) {
        struct list *l = b->orders.next;
        list_remove(l);
        list_append(&rest, l);
    }
    pthread_mutex_unlock(&b->lock);
    give_up(b, &b->sent, "closing", PERILUNE_ERR_CANCELED);
    give_up(b, &rest, "closing", PERILUNE_ERR_CANCELED);
}

static void *amqp_main(void *arg) {
    struct broker *b = arg;
    const struct amqp_hearer hearer = { b, confirmed, returned, came };
    bool more = false;
    while (!is_over(b, clock_ms())) {
        if (b->conn == NULL && clock_ms() >= b->next_ms) try_to_connect(b);
        await(b, more);
        if (b->conn != NULL && amqp_conn_read(b->conn, &hearer) != 0) drop(b);
        set_pause(b);
        more = do_orders(b);
        look_at_time(b, clock_ms());
    }
    finish(b);
    return NULL;
}

/* -- Life ------------------------------------------ */

static bool copy_settings(struct broker *b, const struct broker_settings *s) {
    b->s = *s;
    const char **const all[] = { &b->s.kind, &b->s.library, &b->s.host, &b->s.servers, &b->s.vhost, &b->s.ca,
                                 &b->s.user, &b->s.password, &b->s.mechanism, &b->s.work, &b->s.results, &b->s.dead,
                                 &b->s.group };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (*all[i] == NULL) continue;
        *all[i] = arena_dup(&b->arena, slice_str(*all[i]));
        if (*all[i] == NULL) return false;
    }
    return true;
}

static void broker_free(struct broker *b) {
    if (b->bell >= 0) close(b->bell);
    pthread_mutex_destroy(&b->lock);
    arena_deinit(&b->arena);
    mem_free(b);
}

static int open_amqp(struct broker **out, const struct broker_settings *s, const struct broker_user *u, char *why,
                     size_t size) {
    const struct amqp_calls *calls;
    *out = NULL;
    int rc = amqp_library_get(&calls, s->library, why, size);
    if (rc != 0) return rc;
    snprintf(why, size, "out of memory");
    struct broker *b = mem_zalloc(sizeof(*b));
    if (b == NULL) return PERILUNE_ERR_NOMEM;
    if (pthread_mutex_init(&b->lock, NULL) != 0) {
        mem_free(b);
        return PERILUNE_ERR_NOMEM;
    }
    arena_init(&b->arena);
    list_init(&b->orders);
    list_init(&b->sent);
    b->calls = calls;
    b->user = *u;
    atomic_init(&b->fd, -1);
    snprintf(b->state.why, sizeof(b->state.why), "not connected yet");
    b->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = copy_settings(b, s) && b->bell >= 0 ? thread_start(&b->thread, "rabbitmq", amqp_main, b) : PERILUNE_ERR_NOMEM;
    if (rc != 0) {
        broker_free(b);
        return PERILUNE_ERR_NOMEM;
    }
    *out = b;
    return 0;
}

static void shut_down(struct broker *b) {
    int fd = atomic_load(&b->fd);
    if (fd >= 0) shutdown(fd, SHUT_RDWR); /* it may wait in the middle of a write */
}

static void close_amqp(struct broker *b, uint64_t within_ms) {
    struct timespec at;
    pthread_mutex_lock(&b->lock);
    b->over = true;
    b->over_ms = clock_ms() + within_ms;
    pthread_mutex_unlock(&b->lock);
    ring(b);
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += (time_t)(within_ms / 1000) + 1;
    if (pthread_timedjoin_np(b->thread, NULL, &at) != 0) {
        shut_down(b);
        pthread_join(b->thread, NULL);
    }
    broker_free(b);
}

static int check_amqp(const struct broker_settings *s, bool connect, char *why, size_t size) {
    const struct amqp_calls *calls;
    bool fatal;
    int rc = amqp_library_get(&calls, s->library, why, size);
    if (rc != 0 || !connect) return rc;
    struct amqp_conn *c = amqp_conn_open(calls, s, false, true, &fatal, why, size);
    if (c == NULL) return fatal ? PERILUNE_ERR_CONFIG : PERILUNE_ERR_IO;
    amqp_conn_close(c, true);
    return 0;
}

const struct broker_ops broker_amqp_ops = { "amqp", check_amqp, open_amqp, publish, settle, pause_work, get_state,
                                            close_amqp };
