/* courier_out.c -- jobs of this node that go out: the outbox.
 *
 *     home: READY --GIVE--> WAITS for hold_ms --publish--> (in the air) --confirmed--> WAITS lost_ms
 *             ^                                              |
 *             +---- GIVE again, a pause later <--not---------+---refused for good--> FAILED
 *
 * The outbox is the queue at home itself: what is READY there was not handed on, or is not known to be.  A job is taken
 * out of it for hold_ms, published, and when the broker has confirmed it, left alone for lost_ms.  A process that dies
 * in between leaves a job that is READY again after hold_ms, and is published a second time at worst.
 *
 * Jobs are taken out only while there is a connection, and only WINDOW of them at once or WINDOW_BYTES: a broker that
 * is away costs nothing but room at home, where quotas are.  While it is away nothing is asked; a broker that is there
 * and confirms nothing is asked again with pauses that double.
 *
 * A job that only this node can do (a batch, whose files are here) becomes a guest of its own house. */
#include "jobs/courier_int.h"

#include "base/json.h"

#define WINDOW       256
#define WINDOW_BYTES (16u << 20)
#define GIVE_MOST    64
#define POLL_MS      5000 /* without a hint */

struct parcel {
    struct list    link;
    struct courier   *courier;
    struct flight  flight;
    struct jobs_op op;
    struct timer   retry;
    struct buf     error;    /* of one that is refused */
    size_t         bytes;
    uint64_t       wait_ms;  /* what is to be noted: left alone for so long */
    char           id[JOB_ID_SIZE];
};

static void pump_due(struct timer *t) { courier_out_pump(container_of(t, struct courier, pump)); }

static void pump_in(struct courier *p, uint64_t ms) {
    if (timer_is_running(&p->pump) && p->pump.at_ms <= loop_now(p->opt.loop) + ms) return;
    timer_start(p->opt.loop, &p->pump, ms, pump_due);
}

static void parcel_free(struct parcel *k) {
    struct courier *p = k->courier;
    timer_stop(p->opt.loop, &k->retry);
    jobs_cancel(&k->op);
    list_remove(&k->link);
    p->parcel_count--;
    p->parcel_bytes -= k->bytes;
    stats_add(&p->stats.handing_on, (uint64_t)-1);
    buf_deinit(&k->error);
    mem_free(k);
}

/* -- What is noted at home ------------------------------------------ */

static void note(struct parcel *k);
static void go_on(struct courier *p);

static void note_due(struct timer *t) { note(container_of(t, struct parcel, retry)); }

static void on_noted(struct jobs_op *op, const struct jobs_answer *a) {
    struct parcel *k = container_of(op, struct parcel, op);
    struct courier *p = k->courier;
    if (a->rc < 0 && a->rc != PERILUNE_ERR_CANCELED && !p->ending) { /* else hold_ms end, and it goes out once more */
        timer_start(p->opt.loop, &k->retry, COURIER_RETRY_MS, note_due);
        return;
    }
    parcel_free(k);
    go_on(p);
}

static void note(struct parcel *k) {
    struct courier *p = k->courier;
    struct job_end end = { .status = JOB_FAILED, .result_type = SLICE(""), .result = SLICE(""),
                           .error = buf_get(&k->error) };
    struct jobs_ask give = { .verb = JOBS_GIVE, .id = slice_str(k->id), .lease_ms = k->wait_ms };
    struct jobs_ask fail = { .verb = JOBS_FINISH, .id = slice_str(k->id), .lease = JOBS_ELSEWHERE, .end = &end };
    int rc = jobs_begin(p->opt.home, &k->op, buf_len(&k->error) > 0 ? &fail : &give, on_noted);
    if (rc != 0 && timer_start(p->opt.loop, &k->retry, COURIER_RETRY_MS, note_due) != 0) parcel_free(k);
}

/* It never goes out: too large, or there is no such queue. */
static void refuse(struct parcel *k) {
    buf_puts(&k->error, "{\"message\":");
    json_write_string(&k->error, slice_str(k->flight.why[0] ? k->flight.why : "the message broker refuses the job"));
    buf_puts(&k->error, ",\"type\":\"server_error\",\"code\":\"job_refused_by_broker\"}");
    if (buf_failed(&k->error)) buf_clear(&k->error); /* then it is tried once more, later */
    k->wait_ms = COURIER_RETRY_MAX_MS;
    log_line(k->courier->opt.log, PERILUNE_LOG_WARN, "job %s: the broker refuses it: %s", k->id, k->flight.why);
}

static void on_landed(struct flight *f) {
    struct parcel *k = container_of(f, struct parcel, flight);
    struct courier *p = k->courier;
    if (p->ending) {
        parcel_free(k);
        return;
    }
    if (f->rc == 0) {
        stats_add(&p->stats.handed_on, 1);
        k->wait_ms = p->lost_ms;
        p->pump_pause_ms = 0;
    } else if (f->rc == PERILUNE_ERR_INVAL) refuse(k);
    else k->wait_ms = courier_pause(&p->pump_pause_ms);
    note(k);
}

/* -- Handing on ------------------------------------------ */

static void publish(struct parcel *k, const struct job *j) {
    struct courier *p = k->courier;
    struct courier_message m = { .type = COURIER_JOB, .job = *j, .reply_to = slice_str(p->results) };
    struct buf text;
    int rc = PERILUNE_ERR_NOMEM;
    buf_init(&text, 0);
    courier_write(&text, &m);
    if (!buf_failed(&text))
        rc = courier_fly(p, &k->flight, &(struct broker_publish){ .to = slice_str(p->work), .key = slice_str(k->id),
                                                               .body = buf_get(&text) }, on_landed);
    buf_deinit(&text);
    if (rc == 0) return;
    k->wait_ms = courier_pause(&p->pump_pause_ms);
    note(k);
}

static void hand_on(struct courier *p, const struct job *j) {
    struct parcel *k = mem_zalloc(sizeof(*k));
    if (k == NULL) return; /* again when hold_ms are over */
    k->courier = p;
    k->bytes = j->body.len + j->headers.len;
    buf_init(&k->error, 0);
    memcpy(k->id, j->id, JOB_ID_SIZE);
    list_append(&p->parcels, &k->link);
    p->parcel_count++;
    p->parcel_bytes += k->bytes;
    stats_add(&p->stats.handing_on, 1);
    publish(k, j);
}

static void on_given(struct jobs_op *op, const struct jobs_answer *a) {
    struct courier *p = container_of(op, struct courier, give_op);
    for (unsigned i = 0; a->rc == 0 && i < a->count; i++) {
        const struct job *j = &a->jobs[i];
        if (!p->opt.stays(j)) hand_on(p, j);
        else if (!p->draining && !courier_guest_stays(p, j))
            log_line(p->opt.log, PERILUNE_LOG_WARN, "job %s waits: out of memory", j->id);
    }
    if (a->rc != 0)
        log_line(p->opt.log, PERILUNE_LOG_WARN, "jobs cannot be handed on: %s",
                 a->why ? a->why : perilune_strerror(a->rc));
    p->more |= a->rc == 0 && a->count > 0;
    if (a->rc != 0) pump_in(p, COURIER_RETRY_MS);
    go_on(p);
}

/* There may be more, and there is room for it. */
static void go_on(struct courier *p) {
    bool full = p->parcel_count >= WINDOW || p->parcel_bytes >= WINDOW_BYTES;
    if (!p->more || full || !p->connected || p->ending || p->give_op.jobs != NULL) return;
    unsigned room = WINDOW - p->parcel_count;
    p->more = false;
    int rc = jobs_begin(p->opt.home, &p->give_op,
                        &(struct jobs_ask){ .verb = JOBS_GIVE, .lease_ms = p->hold_ms,
                                            .count = room < GIVE_MOST ? room : GIVE_MOST }, on_given);
    if (rc != 0) pump_in(p, COURIER_RETRY_MS);
}

void courier_out_pump(struct courier *p) {
    p->more = true;
    pump_in(p, POLL_MS);
    go_on(p);
}

void courier_out_init(struct courier *p) {
    list_init(&p->parcels);
    p->more = true;
}

void courier_out_deinit(struct courier *p) {
    timer_stop(p->opt.loop, &p->pump);
    jobs_cancel(&p->give_op);
    while (!list_is_empty(&p->parcels)) parcel_free(container_of(p->parcels.next, struct parcel, link));
}
