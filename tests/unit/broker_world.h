/* broker_world.h -- a message broker inside the test: queues by name, nodes that are connected to it, and whatever may
 * go wrong between them. */
#ifndef PERILUNE_TESTS_BROKER_WORLD_H
#define PERILUNE_TESTS_BROKER_WORLD_H

#include "jobs/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "unit.h"

#define PLACES   8
#define MESSAGES 64
#define NODES    4

struct fake_message {
    char        *body, *reason;
    size_t       len;
    struct broker *given;    /* to whom; NULL: it waits */
    uint64_t     token;
    bool         again;
};

struct fake_place {
    char                name[BROKER_NAME_MAX + 1];
    struct fake_message list[MESSAGES];
    unsigned            count;
    unsigned            ever; /* how many came */
};

/* What was published and is not confirmed. */
struct fake_flight {
    struct broker *from;
    uint64_t       token;
    int            rc;
};

struct fake_server {
    struct fake_place  places[PLACES];
    unsigned           place_count;
    struct fake_flight flights[256];
    unsigned           flight_count;
    struct broker     *nodes[NODES];
    uint64_t           tokens;
    bool               down;      /* nobody can connect */
    bool               without;   /* its library is gone: none can be opened */
    bool               silent;    /* takes messages, and confirms none until it is not */
    int                refuse;    /* what is published to `refused` is answered with this */
    const char        *refused;
};

static struct fake_server server;

struct broker {
    struct broker_user user;
    char               work[BROKER_NAME_MAX + 1], results[BROKER_NAME_MAX + 1];
    unsigned           most, unsettled;
    bool               connected, paused, told_down;
};

static __attribute__((unused)) struct fake_place *place(const char *name) {
    for (unsigned i = 0; i < server.place_count; i++)
        if (strcmp(server.places[i].name, name) == 0) return &server.places[i];
    struct fake_place *p = &server.places[server.place_count++];
    CHECK(server.place_count <= PLACES);
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "%s", name);
    return p;
}

static __attribute__((unused)) void server_put(const char *to, const char *body, size_t len, struct slice reason) {
    struct fake_place *p = place(to);
    CHECK(p->count < MESSAGES);
    struct fake_message *m = &p->list[p->count++];
    *m = (struct fake_message){ .body = malloc(len + 1), .len = len, .reason = strndup(reason.ptr ? reason.ptr : "", reason.len) };
    memcpy(m->body, body, len);
    m->body[len] = '\0';
    p->ever++;
}

static __attribute__((unused)) void drop(struct fake_place *p, unsigned i) {
    free(p->list[i].body);
    free(p->list[i].reason);
    memmove(&p->list[i], &p->list[i + 1], (p->count - i - 1) * sizeof(p->list[0]));
    p->count--;
}

static __attribute__((unused)) void server_begin(void) { memset(&server, 0, sizeof(server)); }

static __attribute__((unused)) void server_end(void) {
    for (unsigned i = 0; i < server.place_count; i++)
        while (server.places[i].count > 0) drop(&server.places[i], 0);
}

/* -- The driver ------------------------------------------ */

static int fake_check(const struct broker_settings *s, bool connect, char *why, size_t size) {
    (void)s;
    (void)connect;
    (void)why;
    (void)size;
    return 0;
}

static int fake_open(struct broker **out, const struct broker_settings *s, const struct broker_user *u, char *why,
                     size_t size) {
    if (server.without) {
        snprintf(why, size, "there is no library");
        return PERILUNE_ERR_CONFIG;
    }
    struct broker *b = calloc(1, sizeof(*b));
    b->user = *u;
    b->most = s->work_most;
    snprintf(b->work, sizeof(b->work), "%s", s->work);
    snprintf(b->results, sizeof(b->results), "%s", s->results);
    unsigned i = 0;
    while (i < NODES && server.nodes[i] != NULL) i++;
    CHECK(i < NODES);
    server.nodes[i] = b;
    *out = b;
    return 0;
}

static int fake_publish(struct broker *b, const struct broker_publish *p) {
    char to[BROKER_NAME_MAX + 1];
    CHECK(server.flight_count < 256);
    struct fake_flight *f = &server.flights[server.flight_count++];
    slice_copy(to, sizeof(to), p->to);
    *f = (struct fake_flight){ .from = b, .token = p->token };
    if (!b->connected) f->rc = PERILUNE_ERR_IO;
    else if (server.refused != NULL && strcmp(to, server.refused) == 0 && server.refuse != 0) f->rc = server.refuse;
    else server_put(to, p->body.ptr, p->body.len, p->reason);
    return 0;
}

static void fake_settle(struct broker *b, uint64_t token, enum broker_settling how) {
    for (unsigned i = 0; i < server.place_count; i++) {
        struct fake_place *p = &server.places[i];
        for (unsigned k = 0; k < p->count; k++) {
            struct fake_message *m = &p->list[k];
            if (m->token != token || m->given != b) continue;
            if (strcmp(p->name, b->work) == 0) b->unsettled--;
            m->given = NULL;
            m->again = true;
            if (how == BROKER_DONE) drop(p, k);
            return;
        }
    }
}

static void fake_pause(struct broker *b, bool paused) { b->paused = paused; }
static void fake_state(struct broker *b, struct broker_state *out) {
    *out = (struct broker_state){ .connected = b->connected };
    if (!b->connected) snprintf(out->why, sizeof(out->why), "nobody there");
}

/* What it was given waits for somebody again. */
static __attribute__((unused)) void give_up_all(struct broker *b) {
    b->unsettled = 0;
    for (unsigned i = 0; i < server.place_count; i++)
        for (unsigned k = 0; k < server.places[i].count; k++) {
            struct fake_message *m = &server.places[i].list[k];
            if (m->given == b) m->given = NULL;
            if (m->given == NULL) m->again = true;
        }
}

static void fail_flights(struct broker *b, int rc) {
    for (unsigned i = 0; i < server.flight_count;) {
        struct fake_flight f = server.flights[i];
        if (f.from != b) {
            i++;
            continue;
        }
        server.flights[i] = server.flights[--server.flight_count];
        b->user.confirmed(b->user.ud, f.token, rc, "it was lost");
    }
}

static void fake_close(struct broker *b, uint64_t within_ms) {
    (void)within_ms;
    fail_flights(b, PERILUNE_ERR_CANCELED);
    give_up_all(b);
    for (unsigned i = 0; i < NODES; i++)
        if (server.nodes[i] == b) server.nodes[i] = NULL;
    free(b);
}

static const struct broker_ops fake_ops = { "fake", fake_check, fake_open, fake_publish, fake_settle, fake_pause,
                                            fake_state, fake_close };

/* -- What the server does ------------------------------------------ */

static __attribute__((unused)) void cut(struct broker *b) {
    if (!b->connected) return;
    b->connected = false;
    fail_flights(b, PERILUNE_ERR_IO);
    give_up_all(b);
    b->user.changed(b->user.ud, false);
}

static void connect_node(struct broker *b) {
    if (server.down) {
        if (b->connected) cut(b);
        else if (!b->told_down) b->user.changed(b->user.ud, false);
        b->told_down = true;
    } else if (!b->connected) {
        b->connected = true;
        b->told_down = false;
        b->user.changed(b->user.ud, true);
    }
}

static void deliver(struct broker *b, const char *name, bool is_result) {
    struct fake_place *p = place(name);
    for (unsigned i = 0; i < p->count; i++) {
        struct fake_message *m = &p->list[i];
        if (m->given != NULL || (!is_result && (b->paused || b->unsettled >= b->most))) continue;
        m->given = b;
        m->token = ++server.tokens;
        if (!is_result) b->unsettled++;
        struct broker_message out = { .is_result = is_result, .again = m->again, .token = m->token,
                                      .body = slice_of(m->body, m->len) };
        b->user.came(b->user.ud, &out);
    }
}

static __attribute__((unused)) void server_step(void) {
    for (unsigned i = 0; i < NODES; i++)
        if (server.nodes[i] != NULL) connect_node(server.nodes[i]);
    for (unsigned i = 0; i < server.flight_count && !server.silent;) {
        struct fake_flight f = server.flights[i];
        server.flights[i] = server.flights[--server.flight_count];
        f.from->user.confirmed(f.from->user.ud, f.token, f.rc, f.rc ? "it is refused" : NULL);
    }
    for (unsigned i = 0; i < NODES; i++) {
        struct broker *b = server.nodes[i];
        if (b == NULL || !b->connected) continue;
        deliver(b, b->results, true);
        deliver(b, b->work, false);
    }
}

#endif
