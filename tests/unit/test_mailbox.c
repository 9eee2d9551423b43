/* test_mailbox.c -- letters between threads. */
#include "sys/mailbox.h"

#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

struct note {
    struct letter letter;
    unsigned      sender, number;
};

#define SENDERS 4
#define EACH    5000

struct office {
    struct loop    loop;
    struct mailbox mail;
    unsigned       next[SENDERS]; /* number of the next letter of each */
    unsigned       opened;
    bool           over;
    struct note   *answer; /* sent from within a letter */
};

static bool open_office(struct office *o) {
    memset(o, 0, sizeof(*o));
    int rc = loop_init(&o->loop);
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    CHECK_INT(mailbox_open(&o->mail, &o->loop, o), 0);
    return true;
}

static void close_office(struct office *o) {
    mailbox_close(&o->mail);
    mailbox_close(&o->mail); /* twice is once */
    loop_deinit(&o->loop);
    mailbox_deinit(&o->mail);
}

/* The order of each sender is kept, and each letter is opened once. */
static void on_open(struct letter *m, void *owner) {
    struct note *n = container_of(m, struct note, letter);
    struct office *o = owner;
    CHECK_UINT(n->number, o->next[n->sender]);
    o->next[n->sender]++;
    if (++o->opened == SENDERS * EACH) o->over = true;
    mem_free(n);
}

struct sender { struct office *o; unsigned number; };

static void *send_all(void *arg) {
    struct sender *s = arg;
    for (unsigned i = 0; i < EACH; i++) {
        struct note *n = mem_zalloc(sizeof(*n));
        CHECK(n != NULL);
        n->sender = s->number;
        n->number = i;
        list_init(&n->letter.link);
        CHECK(mailbox_send(&s->o->mail, &n->letter, on_open));
    }
    return NULL;
}

TEST_NOFAULT(letters_of_several_threads) {
    struct office o;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    CHECK(open_office(&o));
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &o, i };
        CHECK_INT(thread_start(&threads[i], "sender", send_all, &senders[i]), 0);
    }
    while (!o.over) uv_run(&o.loop.uv, UV_RUN_ONCE);
    for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    CHECK_UINT(o.opened, SENDERS * EACH);
    close_office(&o);
}

static void on_last(struct letter *m, void *owner) {
    struct office *o = owner;
    o->opened++;
    if (o->answer != NULL && m != &o->answer->letter) /* the door is closing: it stays the sender's */
        CHECK(!mailbox_send(&o->mail, &o->answer->letter, on_last));
}

TEST_FAULT(closing_opens_what_is_there_and_refuses_the_rest) {
    struct office o;
    struct note one = { .number = 0 }, two = { .number = 1 };
    if (!open_office(&o)) return;
    list_init(&one.letter.link);
    list_init(&two.letter.link);
    o.answer = &two;
    CHECK(mailbox_send(&o.mail, &one.letter, on_last));
    mailbox_close(&o.mail);
    CHECK_UINT(o.opened, 1);
    CHECK(!mailbox_send(&o.mail, &two.letter, on_last));
    mailbox_ring(&o.mail); /* nobody there: nothing happens */
    CHECK_UINT(o.opened, 1);
    close_office(&o);
}

static void on_chain(struct letter *m, void *owner) {
    struct office *o = owner;
    if (++o->opened < 10) CHECK(mailbox_send(&o->mail, m, on_chain));
}

TEST_NOFAULT(a_letter_may_send_itself_again) {
    struct office o;
    struct note one = { .number = 0 };
    CHECK(open_office(&o));
    list_init(&one.letter.link);
    CHECK(mailbox_send(&o.mail, &one.letter, on_chain));
    for (int i = 0; i < 20 && o.opened < 10; i++) uv_run(&o.loop.uv, UV_RUN_NOWAIT);
    CHECK_UINT(o.opened, 10);
    close_office(&o);
}

static void *ring(void *arg) {
    mailbox_ring(arg);
    return NULL;
}

TEST_NOFAULT(a_ring_turns_the_loop) {
    struct office o;
    pthread_t t;
    CHECK(open_office(&o));
    CHECK_INT(thread_start(&t, "a name of sixteen bytes and more", ring, &o.mail), 0);
    uv_run(&o.loop.uv, UV_RUN_ONCE); /* for ever, without it */
    CHECK(o.loop.active);
    pthread_join(t, NULL);
    close_office(&o);
}

/* -- In two steps ------------------------------------------------------------------------- */

static void count_letter(struct letter *m, void *owner) {
    (void)m;
    ((struct office *)owner)->opened++;
}

/* Only the first of several owes a ring, and all are opened by it; the next owes one again. */
TEST_NOFAULT(letters_put_together_ring_once) {
    struct office o;
    struct letter letters[3];
    bool owes[3];
    CHECK(open_office(&o));
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 3; i++) {
            list_init(&letters[i].link);
            CHECK(mailbox_put(&o.mail, &letters[i], count_letter, &owes[i]));
        }
        CHECK(owes[0] && !owes[1] && !owes[2]);
        uv_run(&o.loop.uv, UV_RUN_NOWAIT);
        CHECK_UINT(o.opened, 3u * (unsigned)(round - 1)); /* it has not been rung */
        mailbox_pay(&o.mail);
        while (o.opened < 3u * (unsigned)round) uv_run(&o.loop.uv, UV_RUN_ONCE);
        CHECK_UINT(o.opened, 3u * (unsigned)round);
    }
    mailbox_close(&o.mail);
    CHECK(!mailbox_put(&o.mail, &letters[0], count_letter, &owes[0]));
    CHECK(!owes[0]);
    close_office(&o);
}

static void *pay_late(void *arg) {
    struct office *o = arg;
    usleep(1000); /* whenever: closing waits for it */
    o->over = true;
    mailbox_pay(&o->mail);
    return NULL;
}

TEST_NOFAULT(closing_waits_for_who_is_about_to_ring) {
    struct office o;
    struct letter letter;
    pthread_t thread;
    bool owes;
    CHECK(open_office(&o));
    list_init(&letter.link);
    CHECK(mailbox_put(&o.mail, &letter, count_letter, &owes) && owes);
    CHECK_INT(thread_start(&thread, "late", pay_late, &o), 0);
    mailbox_close(&o.mail);
    CHECK(o.over);
    CHECK_UINT(o.opened, 1);
    pthread_join(thread, NULL);
    close_office(&o);
}
