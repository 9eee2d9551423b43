/* test_post.c -- two nodes and a broker between them, on one loop. */
#include "broker_world.h"
#include "jobs/batch_object.h"
#include "jobs_world.h"
#include "jobs/courier.h"

/* -- Nodes ------------------------------------------ */

struct node {
    struct world  home, guests;  /* their loops are one */
    struct jobs  *courier_home, *courier_guests;
    struct courier  *courier;
    char          results[16];
};

static struct loop loop;

static bool stays(const struct job *j) { return slice_eq(j->path, SLICE(BATCH_PATH)); }

static void open_queue(struct world *w, const struct jobs_limits *l) {
    memset(w, 0, sizeof(*w));
    jobs_settings_init(&w->settings);
    w->settings.wall_ms = wall_ms;
    w->settings.steady_ms = steady_ms;
    open_store(w, l);
    w->jobs = jobs_open(w->store, &loop);
    CHECK(w->jobs != NULL);
    w->jobs->ud = w->jobs->hook_ud = w;
    w->jobs->due = due;
}

static struct courier_settings settings_of(const struct node *n) {
    return (struct courier_settings){ .broker = { .kind = "fake", .work = "work", .results = n->results, .dead = "dead",
                                               .work_most = 4, .results_most = 16, .timeout_ms = 10000 },
                                   .lease_ms = 300, .lost_ms = 100000, .max_tries = 2 };
}

#define TIMES(n) (unit_fault_fired() ? 4 : (n)) /* of waiting: without memory, pauses are long */

static struct log quiet = { .write = NULL };

static void node_begin(struct node *n, const char *results) {
    char why[300];
    memset(n, 0, sizeof(*n));
    snprintf(n->results, sizeof(n->results), "%s", results);
    open_queue(&n->home, NULL);
    open_queue(&n->guests, NULL);
    n->courier_home = jobs_open(n->home.store, &loop);
    n->courier_guests = jobs_open(n->guests.store, &loop);
    CHECK(n->courier_home != NULL && n->courier_guests != NULL);
    struct courier_settings s = settings_of(n);
    n->courier = courier_new(&(struct courier_options){ .loop = &loop, .log = &quiet, .home = n->courier_home,
                                               .guests = n->courier_guests, .stays = stays }, &fake_ops, &s, why, sizeof(why));
    CHECK(n->courier != NULL);
}

static void node_end(struct node *n) {
    courier_free(n->courier);
    struct jobs *const ends[] = { n->courier_home, n->courier_guests, n->home.jobs, n->guests.jobs };
    for (int i = 0; i < 4; i++) jobs_close(ends[i]);
    jobs_store_close(n->home.store);
    jobs_store_close(n->guests.store);
}

static void world_begin(void) {
    server_begin();
    CHECK_INT(loop_init(&loop), 0);
}

static void world_end(void) {
    loop_deinit(&loop);
    server_end();
    done_asking();
}

/* Some turns of everything. */
static void run(unsigned turns) {
    for (unsigned i = 0; i < turns; i++) {
        server_step();
        if (uv_run(&loop.uv, UV_RUN_NOWAIT) != 0 && !loop.active) usleep(1000);
        loop.active = false;
    }
}

/* ask() of a world whose loop is this one. */
static int ask_node(struct world *w, const struct jobs_ask *a) {
    arena_deinit(&reply.texts);
    memset(&reply, 0, sizeof(reply));
    int rc = jobs_begin(w->jobs, &reply.op, a, answered);
    if (rc != 0) return rc;
    for (int i = 0; i < TIMES(1000) && !reply.done; i++) run(1);
    CHECK(reply.done);
    return reply.rc;
}

static void submit_at(struct node *n, struct job j) {
    CHECK_INT(ask_node(&n->home, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }), 0);
    memcpy(last_id, reply.jobs[0].id, JOB_ID_SIZE);
}

static enum job_status status_at(struct world *w, const char *id) {
    CHECK_INT(ask_node(w, &(struct jobs_ask){ .verb = JOBS_GET, .id = slice_str(id) }), 0);
    CHECK(reply.count == 1);
    return reply.jobs[0].status;
}

static bool becomes(struct world *w, const char *id, enum job_status s) {
    for (int i = 0; i < TIMES(1500); i++) {
        if (status_at(w, id) == s) return true;
        run(1);
    }
    return false;
}

/* A runner in one line: takes one job of the guests; false, there is none. */
static bool take_guest(struct node *n, char id[JOB_ID_SIZE], uint64_t *lease) {
    for (int i = 0; i < TIMES(600); i++) {
        CHECK_INT(ask_node(&n->guests, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 60000 }), 0);
        if (reply.count == 1) {
            memcpy(id, reply.jobs[0].id, JOB_ID_SIZE);
            *lease = reply.jobs[0].lease;
            return true;
        }
        run(1);
    }
    return false;
}

static int end_guest(struct node *n, const char *id, uint64_t lease, struct job_end end_) {
    return ask_node(&n->guests, &(struct jobs_ask){ .verb = JOBS_FINISH, .id = slice_str(id), .lease = lease,
                                                    .end = &end_ });
}

static bool settles(const char *name) {
    for (int i = 0; i < TIMES(1500) && place(name)->count > 0; i++) run(1);
    return place(name)->count == 0;
}

static bool comes(const char *name, unsigned count) {
    for (int i = 0; i < TIMES(1500) && place(name)->count < count; i++) run(1);
    return place(name)->count >= count;
}

/* A is at home, B works: nobody but B is given work. */
static void two_begin(struct node *a, struct node *b) {
    world_begin();
    node_begin(a, "a");
    node_begin(b, "b");
    server.nodes[0]->paused = true;
    run(5);
}

static void two_end(struct node *a, struct node *b) {
    node_end(a);
    node_end(b);
    world_end();
}

/* -- Cases ------------------------------------------ */

TEST(a_job_is_done_elsewhere_and_its_end_comes_home) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    struct job j = a_job("acme", "{\"n\":1}");
    j.headers = SLICE("x-trace: 7\r\n");
    submit_at(&a, j);
    CHECK_INT(status_at(&a.home, last_id), JOB_QUEUED);
    CHECK(take_guest(&b, id, &lease));
    CHECK_STR(id, last_id);
    CHECK_SLICE(reply.jobs[0].body, SLICE("{\"n\":1}"));
    CHECK_SLICE(reply.jobs[0].headers, SLICE("x-perilune-guard: *\r\nx-trace: 7\r\n"));
    CHECK_SLICE(reply.jobs[0].tenant, SLICE("acme"));
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    CHECK_UINT(reply.jobs[0].tries, 1);
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease,
                                                      .event = { 0, SLICE("progress"), SLICE("{\"done\":3}") } }), 0);
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease,
                                                      .event = { 0, SLICE(""), SLICE("data: {}\n\n") } }), 0);
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "{\"a\":2}", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(reply.jobs[0].keep_ms, a.home.settings.keep_ms);
    CHECK_SLICE(reply.jobs[0].result, SLICE("{\"a\":2}"));
    CHECK_SLICE(reply.jobs[0].progress, SLICE("{\"done\":3}"));
    CHECK_UINT(reply.jobs[0].last_event, 2);
    CHECK(settles("work"));
    CHECK(settles("a"));
    CHECK_UINT(place("work")->ever, 1);
    CHECK_UINT(place("dead")->ever, 0);
    CHECK(courier_is_idle(a.courier) && courier_is_idle(b.courier));
    CHECK_UINT(stats_get(&courier_stats_of(a.courier)->handed_on), 1);
    CHECK_UINT(stats_get(&courier_stats_of(b.courier)->done), 1);
    two_end(&a, &b);
}

TEST(a_broker_that_is_away) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    server.down = true;
    run(3);
    submit_at(&a, a_job("acme", "x"));
    run(20);
    CHECK_INT(status_at(&a.home, last_id), JOB_QUEUED);
    CHECK_UINT(place("work")->ever, 0);
    server.down = false;
    CHECK(take_guest(&b, id, &lease));
    server.down = true; /* and again, when it ends */
    run(5);
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    run(20);
    CHECK(status_at(&a.home, last_id) != JOB_COMPLETED);
    server.nodes[1]->paused = true; /* the message waits: nobody has settled it */
    server.down = false;
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(place("work")->count, 1);
    server.nodes[1]->paused = false; /* it comes once more, and its end is there already */
    CHECK(settles("work"));
    CHECK(settles("a"));
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 1000 }), 0);
    CHECK_UINT(reply.count, 0);
    two_end(&a, &b);
}

/* The confirmation is lost with the connection: it is there, and is published once more. */
TEST(what_is_not_confirmed_is_published_again) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    server.nodes[1]->paused = true;
    server.silent = true;
    submit_at(&a, a_job("acme", "x"));
    CHECK(comes("work", 1));
    cut(server.nodes[0]);
    server.silent = false;
    run(3);
    for (int i = 0; i < 100 && place("work")->ever < 2; i++) {
        pass(&a.home, 100);
        run(5);
    }
    CHECK_UINT(place("work")->ever, 2);
    server.nodes[1]->paused = false;
    CHECK(take_guest(&b, id, &lease));
    run(20);
    CHECK_UINT(place("work")->count, 1); /* two messages, one job */
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK(settles("work"));
    CHECK_UINT(stats_get(&courier_stats_of(a.courier)->results), 1);
    two_end(&a, &b);
}

TEST(a_connection_that_breaks_while_it_works) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    cut(server.nodes[1]);
    run(10); /* the message comes again, to the same node */
    CHECK_UINT(place("work")->count, 1);
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 1000 }), 0);
    CHECK_UINT(reply.count, 0);
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK(settles("work"));
    two_end(&a, &b);
}

/* Given, lost and given again before anybody had time to look: the first token is nothing, the second is not settled
 * before the end. */
TEST(a_connection_that_breaks_and_is_there_again_unseen) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    server.nodes[1]->paused = true;
    submit_at(&a, a_job("acme", "x"));
    CHECK(comes("work", 1));
    server.nodes[1]->paused = false;
    server.nodes[1]->user.changed(server.nodes[1]->user.ud, true);
    server_step();
    CHECK_UINT(server.nodes[1]->unsettled, 1);
    cut(server.nodes[1]);
    server_step();
    CHECK_UINT(server.nodes[1]->unsettled, 1);
    CHECK(take_guest(&b, id, &lease));
    run(20);
    CHECK_UINT(place("work")->count, 1);
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK(settles("work"));
    two_end(&a, &b);
}

/* Its node is gone, another one does it. */
TEST(a_node_that_dies_while_it_works) {
    struct node a, b, c;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    node_end(&b);
    node_begin(&c, "c");
    CHECK(take_guest(&c, id, &lease));
    CHECK_STR(id, last_id);
    CHECK_INT(end_guest(&c, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK(settles("work"));
    two_end(&a, &c);
}

TEST(canceled_while_it_waits_or_runs) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    for (int runs = 0; runs < 2; runs++) {
        server.nodes[1]->paused = true;
        submit_at(&a, a_job("acme", "x"));
        CHECK(comes("work", 1));
        server.nodes[1]->paused = !runs;
        if (runs) CHECK(take_guest(&b, id, &lease));
        if (runs) CHECK(becomes(&a.home, last_id, JOB_RUNNING));
        CHECK_INT(ask_node(&a.home, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id) }), 0);
        CHECK_INT(reply.jobs[0].status, runs ? JOB_RUNNING : JOB_CANCELED);
        server.nodes[1]->paused = false;
        if (!runs) CHECK(take_guest(&b, id, &lease));
        CHECK(becomes(&a.home, last_id, JOB_CANCELED));
        int rc = 0;
        for (int i = 0; i < TIMES(1000) && rc != JOBS_WAS_CANCELED; i++) /* who works on it hears of it */
            rc = ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_BEAT, .id = slice_str(id), .lease = lease,
                                                         .lease_ms = 60000 });
        CHECK_INT(rc, JOBS_WAS_CANCELED);
        CHECK(settles("work"));
        CHECK_INT(status_at(&a.home, last_id), JOB_CANCELED);
    }
    two_end(&a, &b);
}

/* It was refused and is to come later: it says on that it is there, so its home does not take it for lost, and hears
 * that nobody wants it any more. */
TEST(canceled_while_it_waits_to_be_tried_again) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease,
        .event = { 0, SLICE("status"), SLICE("{\"status\":\"queued\",\"tries\":0}") } }), 0);
    struct job_end later = an_end(JOB_QUEUED, "", "{\"code\":\"busy\"}");
    later.tries = 0;
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_FINISH, .id = slice_str(id), .lease = lease,
                                                      .end = &later, .delay_ms = 3600000 }), 0);
    run(20);
    CHECK_INT(status_at(&b.guests, id), JOB_QUEUED);
    CHECK_INT(ask_node(&a.home, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id) }), 0);
    CHECK(becomes(&a.home, last_id, JOB_CANCELED));
    CHECK(becomes(&b.guests, id, JOB_CANCELED));
    CHECK(settles("work"));
    two_end(&a, &b);
}

TEST(messages_that_are_no_jobs) {
    static const char *const bad[] = { "", "{", "[1]", "{\"path\":\"nowhere\"}", "{\"path\":\"/x\",\"max_tries\":-1}" };
    struct node a, b;
    two_begin(&a, &b);
    for (unsigned i = 0; i < 5; i++) server_put("work", bad[i], strlen(bad[i]), SLICE(""));
    CHECK(comes("dead", 5));
    CHECK(settles("work"));
    for (unsigned i = 0; i < 5; i++) CHECK(place("dead")->list[i].reason[0] != '\0');
    server_put("b", "{\"type\":\"nonsense\"}", 19, SLICE(""));
    CHECK(comes("dead", 6));
    CHECK(settles("b"));
    CHECK_UINT(stats_get(&courier_stats_of(b.courier)->refused), 6);
    two_end(&a, &b);
}

TEST(a_stranger_s_job_and_where_its_end_goes) {
    static const char job[] = "{\"id\":\"order 7\",\"path\":\"/v1/x\",\"body\":{\"a\":1},\"reply_to\":\"theirs\"}";
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    server_put("work", job, strlen(job), SLICE(""));
    CHECK(take_guest(&b, id, &lease));
    CHECK_UINT(reply.jobs[0].max_tries, 2); /* as the node says */
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "{\"b\":2}", "")), 0);
    CHECK(settles("work"));
    CHECK(place("theirs")->count >= 1);
    struct fake_message *m = &place("theirs")->list[place("theirs")->count - 1];
    CHECK(strstr(m->body, "\"id\":\"order 7\"") != NULL);
    CHECK(strstr(m->body, "\"result\":{\"b\":2}") != NULL);
    two_end(&a, &b);
}

/* However little later it is asked for there. */
TEST(how_long_an_end_is_kept_is_said_abroad) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    static const uint64_t keep[] = { 1500, 60000 };
    for (int i = 0; i < 2; i++) {
        submit_at(&a, a_job("acme", "x"));
        CHECK(take_guest(&b, id, &lease));
        struct job_end soon = an_end(JOB_COMPLETED, "1", "");
        soon.keep_ms = keep[i];
        CHECK_INT(end_guest(&b, id, lease, soon), 0);
        CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
        CHECK_UINT(reply.jobs[0].keep_ms, keep[i]);
        CHECK(settles("work"));
    }
    two_end(&a, &b);
}

/* The end is in the queue of guests for longer than its words take on their way, and nothing is done again. */
TEST(a_broker_that_confirms_more_slowly_than_events_come) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    server.silent = true;
    unsigned before = place("a")->ever;
    for (int i = 0; i < 20; i++)
        CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease,
                                                          .event = { 0, SLICE(""), SLICE("data: {}\n\n") } }), 0);
    struct job_end soon = an_end(JOB_COMPLETED, "1", "");
    soon.keep_ms = 5000;
    CHECK_INT(end_guest(&b, id, lease, soon), 0);
    run(5);
    pass(&a.home, 25000);
    run(20);
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 1000 }), 0);
    server.silent = false;
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(reply.jobs[0].keep_ms, 5000);
    CHECK(settles("work"));
    CHECK(settles("a"));
    CHECK_UINT(place("work")->ever, 1);
    CHECK(place("a")->ever - before < 8); /* what came meanwhile is one message */
    CHECK_INT(ask_node(&b.guests, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 1000 }), 0);
    CHECK_UINT(reply.count, 0);
    CHECK_INT(ask_node(&a.home, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 40 }), 0);
    size_t len = 0;
    for (unsigned i = 0; i < reply.count; i++) len += reply.events[i].data.len;
    CHECK_UINT(len, 20 * 10);
    two_end(&a, &b);
}

/* They have numbers, so one that is published or given twice is kept once; those of another try count anew. */
TEST(an_event_that_comes_twice) {
    static const struct { const char *from; int number; } all[] = {
        { "x", 1 }, { "x", 1 }, { "x", 2 }, { "x", 1 }, { "x", 2 }, { "x", 5 }, { "y", 1 }, { "y", 1 },
    };
    struct node a, b;
    char text[256];
    two_begin(&a, &b);
    server.nodes[1]->paused = true;
    submit_at(&a, a_job("acme", "x"));
    CHECK(comes("work", 1));
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
        int n = snprintf(text, sizeof(text), "{\"type\":\"event\",\"id\":\"%s\",\"from\":\"%s\",\"number\":%d,"
                         "\"name\":\"progress\",\"data\":%u}", last_id, all[i].from, all[i].number, i);
        server_put("a", text, (size_t)n, SLICE(""));
    }
    CHECK(settles("a"));
    CHECK_INT(ask_node(&a.home, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 20 }), 0);
    CHECK_UINT(reply.count, 4);
    static const char *const kept[] = { "0", "2", "5", "6" };
    for (unsigned i = 0; i < 4; i++) CHECK_SLICE(reply.events[i].data, slice_str(kept[i]));
    two_end(&a, &b);
}

TEST(who_fails_is_in_the_dead_letters_too) {
    struct node a, b;
    char id[JOB_ID_SIZE], made[40];
    uint64_t lease;
    two_begin(&a, &b);
    snprintf(made, sizeof(made), "\"created_at\":%llu", (unsigned long long)(wall / 1000));
    server.nodes[1]->paused = true;
    submit_at(&a, a_job("acme", "x"));
    CHECK(comes("work", 1));
    pass(&a.home, 7000);
    server.nodes[1]->paused = false;
    CHECK(take_guest(&b, id, &lease));
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_FAILED, "", "{\"code\":\"broken\"}")), 0);
    CHECK(becomes(&a.home, last_id, JOB_FAILED));
    CHECK_SLICE(reply.jobs[0].error, SLICE("{\"code\":\"broken\"}"));
    CHECK(settles("work"));
    CHECK_UINT(place("dead")->count, 1);
    CHECK(strstr(place("dead")->list[0].reason, "broken") != NULL);
    CHECK(strstr(place("dead")->list[0].body, last_id) != NULL);
    CHECK(strstr(place("dead")->list[0].body, made) != NULL); /* at its home, not when it came here */
    two_end(&a, &b);
}

TEST(what_the_broker_refuses_for_good) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    server.refuse = PERILUNE_ERR_INVAL;
    server.refused = "work";
    submit_at(&a, a_job("acme", "x"));
    CHECK(becomes(&a.home, last_id, JOB_FAILED));
    CHECK(memmem(reply.jobs[0].error.ptr, reply.jobs[0].error.len, "job_refused_by_broker", 21) != NULL);
    server.refused = NULL;
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    server.refused = "a"; /* its result is too large */
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(comes("dead", 1));
    server.refused = NULL;
    CHECK(settles("work"));
    two_end(&a, &b);
}

/* It does its own job, without the broker for what it says to itself. */
TEST(a_node_alone_with_its_broker) {
    struct node a;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    world_begin();
    node_begin(&a, "a");
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&a, id, &lease));
    CHECK_STR(id, last_id);
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    CHECK_INT(end_guest(&a, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(reply.jobs[0].keep_ms, a.home.settings.keep_ms);
    CHECK(settles("work"));
    CHECK_UINT(place("a")->ever, 0);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&a, id, &lease));
    struct job_end soon = an_end(JOB_COMPLETED, "1", "");
    soon.keep_ms = 60000; /* what its end says counts */
    CHECK_INT(end_guest(&a, id, lease, soon), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(reply.jobs[0].keep_ms, 60000);
    CHECK(settles("work"));
    server.nodes[0]->paused = true; /* canceled before it comes: it never is a guest */
    submit_at(&a, a_job("acme", "x"));
    CHECK(comes("work", 1));
    CHECK_INT(ask_node(&a.home, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id) }), 0);
    server.nodes[0]->paused = false;
    CHECK(settles("work"));
    CHECK_INT(ask_node(&a.guests, &(struct jobs_ask){ .verb = JOBS_GET, .id = slice_str(last_id) }), JOBS_NOT_FOUND);
    node_end(&a);
    world_end();
}

TEST(a_job_that_only_this_node_can_do) {
    struct node a, b;
    char id[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    struct job j = a_job("acme", "{}");
    j.path = SLICE(BATCH_PATH);
    submit_at(&a, j);
    CHECK(take_guest(&a, id, &lease));
    CHECK_STR(id, last_id);
    CHECK(becomes(&a.home, last_id, JOB_RUNNING));
    CHECK_INT(end_guest(&a, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK_UINT(reply.jobs[0].keep_ms, a.home.settings.keep_ms);
    CHECK_UINT(place("work")->ever, 0);
    two_end(&a, &b);
}

TEST(a_node_that_drains_gives_back_what_it_has_not_begun) {
    struct node a, b;
    char id[JOB_ID_SIZE], first[JOB_ID_SIZE];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, first, &lease));
    submit_at(&a, a_job("acme", "y"));
    for (int i = 0; i < TIMES(300) && server.nodes[1]->unsettled < 2; i++) run(1);
    CHECK_UINT(server.nodes[1]->unsettled, 2);
    courier_drain(b.courier);
    for (int i = 0; i < TIMES(300) && server.nodes[1]->unsettled > 1; i++) run(1);
    CHECK_UINT(server.nodes[1]->unsettled, 1);
    CHECK(!courier_is_idle(b.courier));
    server.nodes[0]->paused = false;
    uint64_t other;
    CHECK(take_guest(&a, id, &other));
    CHECK_STR(id, last_id);
    CHECK_INT(end_guest(&b, first, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, first, JOB_COMPLETED));
    for (int i = 0; i < TIMES(300) && !courier_is_idle(b.courier); i++) run(1);
    CHECK(courier_is_idle(b.courier));
    two_end(&a, &b);
}

TEST(another_broker_while_it_works) {
    struct node a, b;
    char id[JOB_ID_SIZE], why[300];
    uint64_t lease;
    two_begin(&a, &b);
    submit_at(&a, a_job("acme", "x"));
    CHECK(take_guest(&b, id, &lease));
    struct courier_settings s = settings_of(&b);
    CHECK_INT(courier_set(b.courier, &fake_ops, &s, why, sizeof(why)), 0);
    run(10);
    CHECK_INT(end_guest(&b, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    CHECK(settles("work"));
    two_end(&a, &b);
}

/* The one before is closed, the new one cannot be had: what was accepted waits at home, until there is one again. */
TEST(another_broker_that_cannot_be_had) {
    struct node a;
    char id[JOB_ID_SIZE], why[300];
    uint64_t lease;
    world_begin();
    node_begin(&a, "a");
    struct courier_settings s = settings_of(&a);
    CHECK(courier_has_broker(a.courier));
    server.without = true;
    CHECK_INT(courier_set(a.courier, &fake_ops, &s, why, sizeof(why)), PERILUNE_ERR_CONFIG);
    CHECK_STR(why, "there is no library");
    CHECK(!courier_has_broker(a.courier));
    submit_at(&a, a_job("acme", "x"));
    run(20);
    CHECK_INT(status_at(&a.home, last_id), JOB_QUEUED);
    server.without = false;
    CHECK_INT(courier_set(a.courier, &fake_ops, &s, why, sizeof(why)), 0);
    CHECK(courier_has_broker(a.courier));
    CHECK(take_guest(&a, id, &lease));
    CHECK_INT(end_guest(&a, id, lease, an_end(JOB_COMPLETED, "1", "")), 0);
    CHECK(becomes(&a.home, last_id, JOB_COMPLETED));
    node_end(&a);
    world_end();
}
