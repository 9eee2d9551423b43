/* test_values.c -- values of the program, notes of requests, a door to a thread. */
#include <pthread.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "request/notes.h"
#include "store/values.h"
#include "sys/door.h"
#include "unit.h"

/* -- Values ------------------------------------------------------------------------------- */

static void check_value(struct values *v, struct slice name, const char *want) {
    struct blob *text = values_get(v, name);
    if (want == NULL) CHECK(text == NULL);
    else CHECK_SLICE(blob_get(text), slice_str(want));
    blob_put(text);
}

TEST_FAULT(a_value_is_the_last_one_that_was_set) {
    struct values *v = values_new();
    if (FAULTED(v)) return;
    uint64_t before = values_version(v);
    int rc = values_set(v, SLICE("a"), SLICE("1"));
    if (FAULTED(rc)) {
        check_value(v, SLICE("a"), NULL);
        CHECK_UINT(values_version(v), before);
        goto done;
    }
    CHECK_INT(rc, 0);
    CHECK(values_version(v) != before);
    rc = values_set(v, SLICE("a"), SLICE("[2]"));
    if (FAULTED(rc)) {
        check_value(v, SLICE("a"), "1");
        goto done;
    }
    check_value(v, SLICE("a"), "[2]");
    check_value(v, SLICE("b"), NULL);
    CHECK_INT(values_set(v, SLICE("a"), (struct slice){ NULL, 0 }), 0);
    CHECK_INT(values_set(v, SLICE("b"), (struct slice){ NULL, 0 }), 0);
    check_value(v, SLICE("a"), NULL);
done:
    values_free(v);
}

TEST_NOFAULT(values_have_room_for_so_much) {
    struct values *v = values_new();
    size_t len = 9u << 20;
    char *large = mem_zalloc(len);
    CHECK_INT(values_set(v, SLICE("a"), slice_of(large, len)), 0);
    CHECK_INT(values_set(v, SLICE("b"), slice_of(large, len)), PERILUNE_ERR_LIMITED);
    CHECK_INT(values_set(v, SLICE("a"), slice_of(large, len - 1)), 0); /* in the place of the old one */
    check_value(v, SLICE("b"), NULL);
    CHECK_INT(values_set(v, SLICE("a"), (struct slice){ NULL, 0 }), 0);
    CHECK_INT(values_set(v, SLICE("b"), slice_of(large, len)), 0);
    mem_free(large);
    values_free(v);
}

static void *set_often(void *ud) {
    for (int i = 0; i < 2000; i++) values_set(ud, SLICE("a"), i % 2 ? SLICE("1") : SLICE("[22,33]"));
    return NULL;
}

TEST_NOFAULT(threads_set_and_read) {
    struct values *v = values_new();
    pthread_t t[2];
    CHECK_INT(values_set(v, SLICE("a"), SLICE("1")), 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&t[i], NULL, set_often, v) == 0);
    for (int i = 0; i < 2000; i++) {
        struct blob *text = values_get(v, SLICE("a"));
        CHECK(slice_eq(blob_get(text), SLICE("1")) || slice_eq(blob_get(text), SLICE("[22,33]")));
        blob_put(text);
    }
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    values_free(v);
}

/* -- Notes ---------------------------------------------------------------------------------- */

static void check_notes(const struct request *r, const char *want) {
    struct buf out;
    buf_init(&out, 0);
    notes_write(r, &out);
    if (!unit_fault_fired()) CHECK_SLICE(buf_get(&out), slice_str(want));
    buf_deinit(&out);
}

TEST_FAULT(notes_stay_in_order_and_change) {
    struct request *r = request_new();
    if (FAULTED(r)) return;
    check_notes(r, "");
    CHECK_NOMEM(notes_put(r, SLICE("plan"), SLICE("\"gold\"")), done);
    CHECK_NOMEM(notes_put(r, SLICE("a\"b"), SLICE("1")), done);
    CHECK_NOMEM(notes_put(r, SLICE("plan"), SLICE("5")), done);
    check_notes(r, "{\"plan\":5,\"a\\\"b\":1}");
    CHECK_NOMEM(notes_put(r, SLICE("a\"b"), SLICE("[1,2,3]")), done);
    check_notes(r, "{\"plan\":5,\"a\\\"b\":[1,2,3]}");
done:
    request_end(r);
    request_put(r);
}

TEST_NOFAULT(notes_have_bounds) {
    struct request *r = request_new();
    char name[NOTE_NAME + 2], json[NOTE_VALUE + 2];
    memset(name, 'n', sizeof(name));
    memset(json, '1', sizeof(json));
    CHECK_INT(notes_put(r, slice_of(name, NOTE_NAME + 1), SLICE("1")), PERILUNE_ERR_LIMITED);
    CHECK_INT(notes_put(r, SLICE("a"), slice_of(json, NOTE_VALUE + 1)), PERILUNE_ERR_LIMITED);
    for (size_t i = 1; i <= NOTES_MOST; i++) CHECK_INT(notes_put(r, slice_of(name, i), slice_of(json, NOTE_VALUE)), 0);
    CHECK_INT(notes_put(r, SLICE("a"), SLICE("1")), PERILUNE_ERR_LIMITED);
    CHECK_INT(notes_put(r, slice_of(name, 3), SLICE("1")), 0);
    request_end(r);
    request_put(r);
}

/* -- A door ------------------------------------------------------------------------------------ */

struct note_letter {
    struct letter letter;
    int           opened;
};

static void opened(struct letter *m, void *owner) {
    (void)owner;
    container_of(m, struct note_letter, letter)->opened++;
}

static void *send_one(void *ud) {
    struct { struct door *d; struct note_letter *l; } *s = ud;
    CHECK(!door_is_here(s->d));
    CHECK(door_send(s->d, &s->l->letter, opened));
    door_put(s->d);
    return NULL;
}

TEST_FAULT(a_door_outlives_its_mailbox) {
    struct loop loop;
    struct mailbox mail;
    struct note_letter l = { .opened = 0 };
    list_init(&l.letter.link);
    int rc = loop_init(&loop);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK_INT(mailbox_open(&mail, &loop, NULL), 0);
    struct door *d = door_new(&mail);
    if (!FAULTED(d)) {
        struct { struct door *d; struct note_letter *l; } s = { door_ref(d), &l };
        pthread_t t;
        CHECK(door_is_here(d));
        CHECK(pthread_create(&t, NULL, send_one, &s) == 0);
        pthread_join(t, NULL);
        uv_run(&loop.uv, UV_RUN_ONCE);
        CHECK_INT(l.opened, 1);
        door_close(d);
        CHECK(!door_send(d, &l.letter, opened));
    }
    mailbox_close(&mail);
    loop_deinit(&loop);
    mailbox_deinit(&mail);
    if (d != NULL) CHECK(!door_send(d, &l.letter, opened));
    door_put(d);
    door_put(NULL);
    door_close(NULL);
}
