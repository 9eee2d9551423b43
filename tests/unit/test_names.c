/* test_names.c -- names that clients gave, with a resolver that answers when the test says so. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "sys/loop.h"
#include "unit.h"
#include "upstream/client.h"
#include "upstream/dial.h"
#include "upstream/names.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_now;
static atomic_int asked, answered;

/* Names that begin with "hang" wait until the test lets go. */
static int resolver(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    atomic_fetch_add(&asked, 1);
    pthread_mutex_lock(&lock);
    while (strncmp(host, "hang", 4) == 0 && !open_now) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    int rc = getaddrinfo("127.0.0.1", service, hints, out);
    atomic_fetch_add(&answered, 1);
    return rc;
}

static void let_go(void) {
    pthread_mutex_lock(&lock);
    open_now = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

struct told {
    int  times, rc;
    bool any;
};

static void on_told(void *ud, int rc, const struct addrinfo *all) {
    struct told *t = ud;
    t->times++;
    t->rc = rc;
    t->any = all != NULL;
}

static void turn_until(struct loop *l, bool (*done)(void *ud), void *ud) {
    for (int i = 0; i < 5000 && !done(ud); i++) {
        uv_run(&l->uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
    uv_run(&l->uv, UV_RUN_NOWAIT);
}

static bool was_told(void *ud) { return ((struct told *)ud)->times > 0; }
static bool all_answered(void *ud) { (void)ud; return atomic_load(&answered) == atomic_load(&asked); }

/* Threads that nobody waits for give their memory back all the same. */
static void settle(struct loop *l) {
    let_go();
    turn_until(l, all_answered, NULL);
    usleep(20000);
    uv_run(&l->uv, UV_RUN_NOWAIT);
}

TEST(a_name_is_told_once) {
    struct loop l;
    struct told t = { 0, -1, false };
    name_resolver = resolver;
    CHECK_INT(loop_init(&l), 0);
    struct name_lookup *n = name_lookup_new(&l, "receiver.example", on_told, &t);
    if (n != NULL) {
        CHECK_INT(t.times, 0);
        turn_until(&l, was_told, &t);
        CHECK_INT(t.times, 1);
        CHECK_INT(t.rc, 0);
        CHECK(t.any);
    }
    settle(&l);
    loop_deinit(&l);
    CHECK(n != NULL);
}

TEST_NOFAULT(who_has_left_is_told_nothing_and_names_that_hang_are_bounded) {
    struct loop l;
    struct told t = { 0, -1, false };
    struct name_lookup *all[NAMES_MOST];
    name_resolver = resolver;
    CHECK_INT(loop_init(&l), 0);
    for (int i = 0; i < NAMES_MOST; i++) {
        all[i] = name_lookup_new(&l, "hang.example", on_told, &t);
        CHECK(all[i] != NULL);
    }
    CHECK(name_lookup_new(&l, "hang.example", on_told, &t) == NULL);
    for (int i = 0; i < NAMES_MOST; i++) name_lookup_cancel(all[i]);
    uv_run(&l.uv, UV_RUN_NOWAIT);
    CHECK(name_lookup_new(&l, "hang.example", on_told, &t) == NULL); /* their threads are not over */
    settle(&l);
    CHECK_INT(t.times, 0);
    struct name_lookup *n = name_lookup_new(&l, "again.example", on_told, &t);
    CHECK(n != NULL);
    turn_until(&l, was_told, &t);
    CHECK_INT(t.times, 1);
    settle(&l);
    loop_deinit(&l);
}

struct ended {
    bool done;
    enum failure_kind kind;
    int  fd;
};

static void on_dialed(void *ud, const struct dial_result *r) {
    struct ended *e = ud;
    *e = (struct ended){ true, r->kind, r->fd };
    if (r->fd >= 0) close(r->fd);
}

static bool has_ended(void *ud) { return ((struct ended *)ud)->done; }

TEST_NOFAULT(names_of_webhooks_that_hang_keep_no_upstream_waiting) {
    struct loop l;
    struct client c;
    struct reach reach = { .count = 0 };
    struct slice path;
    struct ended guests[8] = { { false, FAILURE_NONE, -1 } }, own = { false, FAILURE_NONE, -1 };
    name_resolver = resolver;
    CHECK_INT(loop_init(&l), 0);
    CHECK_INT(client_init(&c, &l), 0);
    struct origin *hangs = origin_take(&c, "http://hang.example/", NULL, &reach, &path);
    struct origin *good = origin_take(&c, "http://localhost:1/", NULL, NULL, &path);
    CHECK(hangs != NULL && good != NULL);
    for (int i = 0; i < 8; i++) CHECK(dial_new(hangs, 300, on_dialed, &guests[i]) != NULL);
    CHECK(dial_new(good, 2000, on_dialed, &own) != NULL);
    turn_until(&l, has_ended, &own);
    CHECK(own.done);
    CHECK_INT(own.kind, FAILURE_CONNECT); /* it was resolved; nobody listens there */
    for (int i = 0; i < 8; i++) turn_until(&l, has_ended, &guests[i]);
    CHECK_INT(guests[7].kind, FAILURE_TIMEOUT);
    settle(&l);
    origin_put(hangs);
    origin_put(good);
    client_close(&c);
    uv_run(&l.uv, UV_RUN_NOWAIT);
    client_deinit(&c);
    loop_deinit(&l);
}
