/* test_runner.c -- a model and its thread, with an engine that needs none. */
#include "local/resident.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "fake_engine.h"
#include "local/engines.h"
#include "unit.h"

#define TALKS 64

/* Who asks: the test's own thread. */
static struct desk {
    struct loop     loop;
    struct mailbox  mail;
    struct resident  *resident;
    unsigned        open, overs; /* talks that are not over, and those that are */
} desk;

struct asked {
    struct turn *turn; /* NULL: over, or left */
    struct buf   taken, thought, text[4];
    char         prompt[FAKE_ROW];
    uint32_t     most;
    bool         over, failed;
    enum turn_end  end;
    enum turn_code code;
    bool     at_least;
    uint32_t     prompt_tokens, said, cached, limit;
    unsigned     events, vectors, order; /* order: the how-manyth that was over */
    float        vector[4];
};
static struct asked asked[TALKS];

static void open_desk(const struct resident_settings *s) {
    char why[200];
    memset(asked, 0, sizeof(asked));
    CHECK_INT(loop_init(&desk.loop), 0);
    CHECK_INT(mailbox_open(&desk.mail, &desk.loop, &desk), 0);
    CHECK_INT(resident_new(&desk.resident, s, why, sizeof(why)), 0);
    desk.open = desk.overs = 0;
}

static void put_away(struct asked *a) {
    if (a->turn != NULL) turn_leave(a->turn, desk.resident);
    a->turn = NULL;
    buf_deinit(&a->taken);
    buf_deinit(&a->thought);
    for (int i = 0; i < 4; i++) buf_deinit(&a->text[i]);
    *a = (struct asked){ .turn = NULL };
}

static void close_desk(void) {
    for (int i = 0; i < TALKS; i++) put_away(&asked[i]);
    resident_free(desk.resident);
    mailbox_close(&desk.mail);
    loop_deinit(&desk.loop);
    mailbox_deinit(&desk.mail);
    CHECK_UINT(fake.wrong, 0);
}

static struct resident_settings settings(unsigned active, unsigned batch) {
    memset(&fake, 0, sizeof(fake));
    return (struct resident_settings){ .engine = &fake_engine, .active = active, .batch = batch, .waiting = 1000 };
}

static void told(void *ud) {
    struct asked *a = ud;
    struct turn_event ev;
    CHECK(turn_take(a->turn, &a->taken));
    struct slice all = buf_get(&a->taken);
    while (turn_next(&all, &ev)) {
        CHECK(!a->over);
        a->events++;
        if (ev.type == TURN_TEXT) buf_slice(&a->text[ev.choice & 3], ev.text);
        if (ev.type == TURN_THOUGHT) buf_slice(&a->thought, ev.text);
        if (ev.type == TURN_ENDED) a->end = ev.end;
        if (ev.type == TURN_VECTOR) {
            a->vectors++;
            memcpy(a->vector, ev.text.ptr, ev.text.len < sizeof(a->vector) ? ev.text.len : sizeof(a->vector));
        }
        if (ev.type == TURN_OVER || ev.type == TURN_FAILED) {
            a->over = true;
            desk.open--;
            a->order = ++desk.overs;
            a->failed = ev.type == TURN_FAILED;
            a->code = ev.code;
            a->at_least = ev.at_least;
            a->prompt_tokens = ev.prompt;
            a->said = ev.completion;
            a->cached = ev.cached;
            a->limit = ev.limit;
        }
    }
    buf_clear(&a->taken);
}

static struct turn_ask question(const char *prompt, struct slice *text, uint32_t most) {
    *text = slice_str(prompt);
    struct turn_ask q = { .kind = TURN_CHAT, .texts = text, .text_count = 1, .choices = 1, .most = most,
                          .sampling = SAMPLING_DEFAULTS, .tenant = { 1, 1 } };
    q.sampling.temperature = 0;
    return q;
}

static struct asked *ask_with(struct asked *a, const struct turn_ask *q) {
    snprintf(a->prompt, sizeof(a->prompt), "%.*s", SLICE_ARG(q->texts[0]));
    a->most = q->most;
    buf_init(&a->taken, 0);
    buf_init(&a->thought, 0);
    for (int i = 0; i < 4; i++) buf_init(&a->text[i], 0);
    a->turn = turn_new(desk.resident, q, &desk.mail, told, a);
    CHECK(a->turn != NULL);
    desk.open++;
    return a;
}

static struct asked *ask(struct asked *a, const char *prompt, uint32_t most) {
    struct slice text;
    struct turn_ask q = question(prompt, &text, most);
    return ask_with(a, &q);
}

static void wait_all(void) {
    while (desk.open > 0) uv_run(&desk.loop.uv, UV_RUN_ONCE);
}

/* It is what a run of its own says. */
static void check_answer(const struct asked *a) {
    char want[FAKE_ROW];
    size_t n = fake_answer(a->prompt, strlen(a->prompt), a->most, want);
    CHECK(a->over && !a->failed);
    CHECK_SLICE(buf_get(&a->text[0]), slice_str(want));
    CHECK_INT(a->end, n == a->most ? TURN_LENGTH : TURN_STOP);
    CHECK_UINT(a->said, n == a->most ? n : n + 1); /* the end is a token */
    CHECK_UINT(a->prompt_tokens, strlen(a->prompt));
}

/* Of another version everything behind the first two words may be anything. */
TEST_NOFAULT(engine_of_another_version_is_not_used) {
    struct perilune_engine older = { .version = PERILUNE_ENGINE_VERSION - 1, .name = "older" };
    struct resident_settings s = settings(4, 64);
    struct resident *r;
    char why[200];
    s.engine = &older;
    CHECK_INT(resident_new(&r, &s, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    CHECK(r == NULL && strstr(why, "'older'") != NULL && strstr(why, "one release") != NULL);
}

/* -- Answers ------------------------------------------------------------------------------ */

TEST_NOFAULT(one_answer_and_its_counts) {
    struct resident_settings s = settings(4, 64);
    open_desk(&s);
    ask(&asked[0], "hello", 40);
    wait_all();
    check_answer(&asked[0]);
    CHECK_UINT(asked[0].cached, 0);
    ask(&asked[1], "hello", 7);
    wait_all();
    check_answer(&asked[1]);
    CHECK_UINT(asked[1].cached, 4); /* all but the last, which brings the first token */
    close_desk();
}

TEST_NOFAULT(tenants_share_nothing) {
    struct resident_settings s = settings(4, 64);
    struct slice text;
    open_desk(&s);
    struct turn_ask q = question("a long text that both of them have in front", &text, 5);
    ask_with(&asked[0], &q);
    wait_all();
    q.tenant = (struct hash128){ 1, 2 };
    ask_with(&asked[1], &q);
    wait_all();
    CHECK_UINT(asked[1].cached, 0);
    CHECK_UINT(fake.copies, 0);
    q.tenant = (struct hash128){ 1, 1 };
    ask_with(&asked[2], &q);
    wait_all();
    CHECK_UINT(asked[2].cached, strlen("a long text that both of them have in front") - 1);
    for (int i = 0; i < 3; i++) check_answer(&asked[i]);
    close_desk();
}

static const char *long_prompt(unsigned n, const char *end) {
    static char text[FAKE_ROW];
    for (unsigned i = 0; i < n; i++) text[i] = (char)('A' + i % 26);
    snprintf(text + n, sizeof(text) - n, "%s", end);
    return text;
}

/* Wherever in a step the end of what they share falls. */
TEST_NOFAULT(a_prompt_that_many_share_is_read_once) {
    for (unsigned common = 900; common <= 1000; common += 20) {
        struct resident_settings s = settings(8, 128);
        char end[16];
        open_desk(&s);
        for (int i = 0; i < 8; i++) {
            snprintf(end, sizeof(end), " %d?", i);
            ask(&asked[i], long_prompt(common, end), 10);
        }
        wait_all();
        unsigned said = 0;
        for (int i = 0; i < 8; i++) check_answer(&asked[i]), said += asked[i].said;
        NOTE("%u tokens in common: %u computed, %u said", common, fake.computed, said);
        CHECK(fake.computed <= common + 8 * 3 + said);
        close_desk();
    }
}

TEST_NOFAULT(choices_read_their_prompt_once) {
    struct resident_settings s = settings(8, 128);
    struct slice text;
    open_desk(&s);
    struct turn_ask q = question(long_prompt(500, ""), &text, 9);
    q.choices = 4;
    ask_with(&asked[0], &q);
    wait_all();
    char want[FAKE_ROW];
    size_t n = fake_answer(asked[0].prompt, 500, 9, want);
    for (int i = 0; i < 4; i++) CHECK_SLICE(buf_get(&asked[0].text[i]), slice_str(want));
    CHECK_UINT(asked[0].said, 4 * (n == 9 ? n : n + 1));
    CHECK_UINT(asked[0].prompt_tokens, 500); /* a prompt is paid once */
    CHECK(fake.computed <= 500 + 3 + asked[0].said);
    close_desk();
}

/* What is not read again costs every step: with others in, few of them stay. */
TEST_NOFAULT(idle_rows_that_are_of_no_use_go) {
    struct resident_settings s = settings(4, 128);
    char end[16];
    open_desk(&s);
    for (unsigned round = 0; round < 16; round++) {
        for (int i = 0; i < 4; i++) {
            char prompt[FAKE_ROW];
            memset(prompt, 'a' + (char)((round * 4 + (unsigned)i) % 26), 200); /* no two in a row begin alike */
            snprintf(prompt + 200, sizeof(prompt) - 200, "%u", round);
            ask(&asked[i], prompt, 30);
        }
        wait_all();
        for (int i = 0; i < 4; i++) check_answer(&asked[i]), put_away(&asked[i]);
    }
    NOTE("%u cells", (unsigned)resident_stats(desk.resident)->cells);
    CHECK(resident_stats(desk.resident)->cells <= 4 * 240 + 240); /* of 8 rows */
    for (int i = 0; i < 2; i++) { /* and once they are of use they stay */
        snprintf(end, sizeof(end), " %d", i);
        ask(&asked[i], long_prompt(300, end), 5);
        wait_all();
        check_answer(&asked[i]);
    }
    CHECK(asked[1].cached >= 300);
    close_desk();
}

/* Rows with memory of their own: the same, by copies. */
TEST_NOFAULT(rows_that_are_apart_copy_what_they_share) {
    struct resident_settings s = settings(4, 128);
    char end[16];
    s.options.context_each = 600;
    open_desk(&s);
    for (int i = 0; i < 4; i++) {
        snprintf(end, sizeof(end), " %d?", i);
        ask(&asked[i], long_prompt(500, end), 10);
    }
    ask(&asked[4], long_prompt(600, ""), 10);
    wait_all();
    unsigned said = 0;
    for (int i = 0; i < 4; i++) check_answer(&asked[i]), said += asked[i].said;
    CHECK(fake.computed <= 500 + 4 * 8 + said);
    CHECK(fake.copies >= 1);
    CHECK(asked[4].failed && asked[4].code == TURN_TOO_LONG && asked[4].limit == 599);
    close_desk();
}

static uint32_t lowest, highest; /* rows of a step */
static unsigned gaps;
static uint64_t in_step;
static unsigned last_step;

static void see_rows(unsigned step, const struct perilune_engine_token *t) {
    if (step != last_step) {
        gaps += in_step != 0 && highest - lowest + 1 != (unsigned)__builtin_popcountll(in_step);
        in_step = 0;
        lowest = UINT32_MAX;
        highest = 0;
        last_step = step;
    }
    in_step |= UINT64_C(1) << t->seq;
    if (t->seq < lowest) lowest = t->seq;
    if (t->seq > highest) highest = t->seq;
}

/* A gap between busy rows is a second pass over the weights. */
TEST_NOFAULT(rows_that_are_apart_stand_side_by_side) {
    struct resident_settings s = settings(16, 128);
    char prompt[40];
    s.options.context_each = 256;
    open_desk(&s);
    fake.seen = see_rows;
    gaps = 0;
    for (int round = 0; round < 50; round++) { /* one after the other, four, one, ... of 16 rows */
        for (int i = 0; i < (round % 2 ? 4 : 1); i++) {
            snprintf(prompt, sizeof(prompt), "%d %d", i, round);
            ask(&asked[i], prompt, 20);
        }
        wait_all();
        for (int i = 0; i < 4; i++) put_away(&asked[i]);
    }
    NOTE("%u of %u steps", gaps, (unsigned)fake.steps);
    CHECK(gaps * 4 < fake.steps); /* one that ends in the middle leaves one */
    fake.seen = NULL;
    close_desk();
}

/* -- Who goes when ------------------------------------------------------------------------ */

static unsigned asked_at, first_at;

static void ask_second(unsigned step) {
    if (step != 3) return;
    asked_at = step;
    struct slice text;
    struct turn_ask q = question("short?", &text, 3);
    /* From the resident's thread; its news goes to the test's. */
    asked[1].turn = turn_new(desk.resident, &q, &desk.mail, told, &asked[1]);
}

static void see_second(unsigned step, const struct perilune_engine_token *t) {
    if (t->wanted && t->at == 5 && first_at == 0) first_at = step;
}

TEST_NOFAULT(a_short_prompt_waits_two_steps_for_a_long_one) {
    struct resident_settings s = settings(4, 64);
    asked_at = first_at = 0;
    open_desk(&s);
    for (int i = 0; i < 4; i++) buf_init(&asked[1].text[i], 0);
    buf_init(&asked[1].taken, 0);
    snprintf(asked[1].prompt, sizeof(asked[1].prompt), "short?");
    asked[1].most = 3;
    fake.before = ask_second;
    fake.seen = see_second;
    desk.open = 1;
    ask(&asked[0], long_prompt(3000, ""), 3);
    wait_all();
    NOTE("asked at step %u, first token at %u", asked_at, first_at);
    CHECK(first_at > 0 && first_at <= asked_at + 2);
    check_answer(&asked[0]);
    check_answer(&asked[1]);
    close_desk();
}

/* A step is held while the one client of it leaves; what is in the next one? */
static struct {
    atomic_uint held, of_first, of_second; /* the step; tokens in the next one */
    atomic_bool open;
} leaving;

static void hold_a_step(unsigned step) {
    if (step != 5) return;
    leaving.held = step;
    while (!leaving.open) usleep(100);
}

static int order[8], order_len;

static void see_first(unsigned step, const struct perilune_engine_token *t) {
    (void)step;
    if (t->at == 0 && order_len < 8) order[order_len++] = t->token;
}

TEST_NOFAULT(priority_then_deadline_then_arrival) {
    struct resident_settings s = settings(1, 64);
    static const struct { const char *text; int priority; uint64_t until; } all[] = {
        { "x first, and it takes long", 0, 0 }, { "d", 0, 0 }, { "c", 0, 900 }, { "b", 0, 800 }, { "a", 5, 0 }, { "e", 0, 0 } };
    struct slice text;
    order_len = 0;
    memset(&leaving, 0, sizeof(leaving));
    open_desk(&s);
    fake.before = hold_a_step; /* until all have asked */
    fake.seen = see_first;
    fake.never_ends = true;
    for (int i = 0; i < 6; i++) {
        struct turn_ask q = question(all[i].text, &text, i == 0 ? 400 : 2);
        q.priority = all[i].priority;
        q.deadline_ms = all[i].until;
        ask_with(&asked[i], &q);
        if (i == 0) while (leaving.held == 0) usleep(100);
    }
    leaving.open = true;
    wait_all();
    for (int i = 0; i < 6; i++) check_answer(&asked[i]);
    CHECK_INT(order_len, 6);
    CHECK(order[0] == 'x' && order[1] == 'a' && order[2] == 'b' && order[3] == 'c' && order[4] == 'd' && order[5] == 'e');
    close_desk();
}

/* -- Limits --------------------------------------------------------------------------------- */

TEST_NOFAULT(too_long_too_many_and_of_the_wrong_kind) {
    struct resident_settings s = settings(1, 64);
    struct slice text;
    s.waiting = 3;
    fake.cells = 256;
    open_desk(&s);
    ask(&asked[0], long_prompt(300, ""), 5);
    ask(&asked[1], long_prompt(255, ""), 5); /* room for one token */
    ask(&asked[2], "", 5);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_TOO_LONG && asked[0].prompt_tokens == 300 && asked[0].limit == 255);
    CHECK(asked[0].at_least); /* of bytes, not of tokens */
    CHECK(!asked[1].failed && asked[1].said == 1);
    CHECK(asked[2].failed && asked[2].code == TURN_BAD);
    struct turn_ask q = question("many", &text, 1);
    q.choices = 4;
    ask_with(&asked[3], &q);
    q.choices = 1;
    q.kind = TURN_EMBED;
    ask_with(&asked[4], &q);
    wait_all();
    CHECK(asked[3].failed && asked[3].code == TURN_BAD); /* it would never fit */
    CHECK(asked[4].failed && asked[4].code == TURN_BAD);
    close_desk();
}

TEST_NOFAULT(without_memory_the_youngest_waits_and_nothing_is_lost) {
    struct resident_settings s = settings(8, 64);
    char end[16];
    fake.cells = 600;
    fake.never_ends = true;
    open_desk(&s);
    for (int i = 0; i < 8; i++) {
        snprintf(end, sizeof(end), "%d %d %d", i * 7, i * 13, i * 17);
        ask(&asked[i], end, 190); /* eight times 200 do not fit */
    }
    wait_all();
    for (int i = 0; i < 8; i++) check_answer(&asked[i]);
    CHECK(resident_stats(desk.resident)->preempted > 0);
    ask(&asked[8], "alone it fills the context", 0);
    wait_all();
    CHECK_UINT(asked[8].said, 600 - strlen("alone it fills the context"));
    CHECK_INT(asked[8].end, TURN_LENGTH);
    close_desk();
}

/* -- Ends ------------------------------------------------------------------------------------- */

TEST_NOFAULT(who_leaves_is_gone_within_a_step) {
    struct resident_settings s = settings(2, 64);
    open_desk(&s);
    fake.never_ends = true;
    for (int i = 0; i < 6; i++) ask(&asked[i], "on and on", 3000);
    while (resident_stats(desk.resident)->said < 20) usleep(100);
    for (int i = 0; i < 6; i++) put_away(&asked[i]);
    const struct resident_stats *now = resident_stats(desk.resident);
    while (now->left < 6 || now->active + now->waiting > 0) usleep(50);
    unsigned after = fake.steps; /* the one under way, and what ran until the letter was opened */
    usleep(20000);
    CHECK_UINT(fake.steps, after);
    desk.open = 0;
    ask(&asked[0], "still here", 5);
    wait_all();
    check_answer(&asked[0]);
    close_desk();
}

static void see_who_is_next(unsigned step, const struct perilune_engine_token *t) {
    if (leaving.held == 0 || step != leaving.held + 1) return;
    if (t->token == 'S') leaving.of_second++;
    else leaving.of_first++;
}

/* The room of who leaves is another's in the step behind the one under way: with its prompt, which brings its first
 * token. */
TEST_NOFAULT(the_next_step_is_that_of_who_waits) {
    struct resident_settings s = settings(1, 64);
    memset(&leaving, 0, sizeof(leaving));
    open_desk(&s);
    fake.never_ends = true;
    fake.before = hold_a_step;
    fake.seen = see_who_is_next;
    ask(&asked[0], "FF", 3000);
    while (leaving.held == 0) usleep(100);
    ask(&asked[1], "SSSSSSSS", 1);
    put_away(&asked[0]);
    desk.open--;
    leaving.open = true;
    wait_all();
    check_answer(&asked[1]);
    CHECK_UINT(leaving.of_second, 8);
    CHECK_UINT(leaving.of_first, 0);
    CHECK_UINT(fake.steps, leaving.held + 1);
    close_desk();
}

TEST_NOFAULT(who_leaves_before_his_letter_is_opened_is_counted) {
    struct resident_settings s = settings(1, 64);
    memset(&leaving, 0, sizeof(leaving));
    open_desk(&s);
    fake.never_ends = true;
    fake.before = hold_a_step;
    ask(&asked[0], "FF", 3000);
    while (leaving.held == 0) usleep(100);
    ask(&asked[1], "SS", 1);
    for (int i = 0; i < 2; i++) put_away(&asked[i]);
    desk.open -= 2;
    leaving.open = true;
    ask(&asked[2], "still here", 1); /* its letter stands behind theirs */
    wait_all();
    CHECK_UINT(resident_stats(desk.resident)->turns, 3);
    CHECK_UINT(resident_stats(desk.resident)->left, 2);
    close_desk();
}

TEST_NOFAULT(an_engine_that_fails_fails_everybody_once) {
    struct resident_settings s = settings(4, 64);
    open_desk(&s);
    fake.fail_at = 5;
    fake.never_ends = true;
    for (int i = 0; i < 8; i++) ask(&asked[i], "until it breaks", 100);
    wait_all();
    for (int i = 0; i < 8; i++) CHECK(asked[i].failed && asked[i].code == TURN_BROKEN);
    ask(&asked[8], "and later, too", 5);
    wait_all();
    CHECK(asked[8].failed && asked[8].code == TURN_BROKEN);
    close_desk();
}

/* -- No memory to compute with ------------------------------------------------------------------------ */

static void expect_answers(unsigned from, unsigned to, unsigned fits) {
    struct resident_settings s = settings(6, 64);
    char prompt[80];
    open_desk(&s);
    fake.short_from = from;
    fake.short_to = to;
    fake.fits = fits;
    for (int i = 0; i < 12; i++) {
        snprintf(prompt, sizeof(prompt), "%d: a prompt of some forty letters, and some more", i);
        ask(&asked[i], prompt, 30);
    }
    wait_all();
    NOTE("steps %u to %u, of %u tokens", from, to, fits);
    for (int i = 0; i < 12; i++) check_answer(&asked[i]);
    CHECK_UINT(resident_stats(desk.resident)->failures, 0);
    close_desk();
}

TEST_NOFAULT(steps_are_smaller_while_memory_is_short) {
    expect_answers(1, 2, 0);         /* once, in the first step */
    expect_answers(5, 100000, 20);   /* less than the prompts want */
    expect_answers(3, 100000, 3);    /* less than those who speak */
    expect_answers(1, 100000, 1);
    expect_answers(4, 9, 2);         /* and then there is enough again */
}

TEST_NOFAULT(whose_token_finds_no_memory_is_told_so) {
    struct resident_settings s = settings(4, 64);
    open_desk(&s);
    fake.short_from = 1;
    fake.short_to = 100000;
    ask(&asked[0], "x", 5);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_MEMORY);
    fake.short_to = 0;
    ask(&asked[1], "and there is some again", 5);
    wait_all();
    check_answer(&asked[1]);
    CHECK_UINT(resident_stats(desk.resident)->failures, 0);
    close_desk();
}

TEST_NOFAULT(vectors_are_computed_singly_while_memory_is_short) {
    struct resident_settings s = settings(4, 64);
    struct slice texts[4] = { SLICE("a text"), SLICE("another"), SLICE("a third text"), SLICE("of twenty-one letters") };
    fake.width = 4;
    fake.short_from = 1;
    fake.short_to = 100000;
    fake.fits = 12;
    open_desk(&s);
    struct turn_ask q = { .kind = TURN_EMBED, .texts = texts, .text_count = 3, .tenant = { 1, 1 } };
    ask_with(&asked[0], &q);
    wait_all();
    CHECK(asked[0].over && !asked[0].failed);
    CHECK_UINT(asked[0].vectors, 3);
    q.texts = texts + 3;
    q.text_count = 1;
    ask_with(&asked[1], &q);
    wait_all();
    CHECK(asked[1].failed && asked[1].code == TURN_MEMORY);
    close_desk();
}

/* -- An engine that recovers ------------------------------------------------------------------------ */

static struct {
    atomic_uint agains, refusals; /* answers before it is there again */
    atomic_uint asked, done;
} cure;

static int fake_recover(struct perilune_engine_model *m, char *why, size_t size) {
    cure.asked++;
    if (cure.refusals > 0) {
        cure.refusals--;
        snprintf(why, size, "not yet");
        return PERILUNE_ERR_ENGINE;
    }
    if (cure.agains > 0) {
        cure.agains--;
        return PERILUNE_ERR_AGAIN;
    }
    for (uint32_t i = 0; i < m->facts.sequences; i++) fake_seq_cut(m, i, 0);
    cure.done++;
    return 0;
}

static char last_said[800];
static atomic_uint errors_said;

static void heard(void *ud, int level, const char *sentence) {
    (void)ud;
    snprintf(last_said, sizeof(last_said), "%s", sentence);
    if (level == PERILUNE_LOG_ERROR) errors_said++;
}

static struct resident_settings curable(unsigned active, struct perilune_engine *e) {
    struct resident_settings s = settings(active, 64);
    memset(&cure, 0, sizeof(cure));
    *e = fake_engine;
    e->recover = fake_recover;
    s.engine = e;
    s.say = heard;
    return s;
}

TEST_NOFAULT(an_engine_recovers_and_who_waited_is_answered) {
    struct perilune_engine e;
    struct resident_settings s = curable(4, &e);
    unsigned failed = 0;
    open_desk(&s);
    cure.agains = 5;
    fake.fail_at = 5;
    fake.never_ends = true;
    for (int i = 0; i < 12; i++) ask(&asked[i], "until it breaks", 100);
    wait_all();
    for (int i = 0; i < 12; i++) {
        if (asked[i].failed) CHECK_INT(asked[i].code, TURN_BROKEN);
        else check_answer(&asked[i]);
        failed += asked[i].failed;
    }
    CHECK(failed >= 1 && failed <= 4); /* who was in the batch */
    CHECK_UINT(cure.done, 1);
    CHECK_UINT(resident_stats(desk.resident)->failures, 1);
    CHECK_UINT(resident_stats(desk.resident)->recoveries, 1);
    CHECK(strstr(last_said, "there again") != NULL);
    ask(&asked[12], "and later", 5);
    wait_all();
    check_answer(&asked[12]);
    CHECK_UINT(resident_stats(desk.resident)->up, 1);
    close_desk();
}

TEST_NOFAULT(without_any_memory_the_model_is_made_anew) {
    struct perilune_engine e;
    struct resident_settings s = curable(4, &e);
    open_desk(&s);
    fake.short_from = 1;
    fake.short_to = 40;
    for (int i = 0; i < 6; i++) ask(&asked[i], "while there is none", 5);
    wait_all();
    for (int i = 0; i < 6; i++) {
        if (asked[i].failed) CHECK(asked[i].code == TURN_MEMORY || asked[i].code == TURN_BROKEN || asked[i].code == TURN_DOWN);
        else check_answer(&asked[i]);
    }
    CHECK(cure.done > 0);
    fake.short_to = 0;
    ask(&asked[6], "and later", 5);
    wait_all();
    check_answer(&asked[6]);
    close_desk();
}

static void ask_while_it_is_down(unsigned step) {
    struct slice text;
    struct turn_ask q = question("came while it was down", &text, 5);
    if (step == 3) asked[1].turn = turn_new(desk.resident, &q, &desk.mail, told, &asked[1]);
}

static atomic_uint texts_lost; /* how many are answered by nobody */

static int64_t tokenize_or_not(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                               int32_t *out, size_t room) {
    if (texts_lost > 0) {
        texts_lost--;
        return PERILUNE_ERR_IO;
    }
    return fake_tokenize(m, text, len, flags, out, room);
}

/* It is gone, and whose text is cut is the first to see it. */
TEST_NOFAULT(who_is_the_first_to_see_that_it_is_gone_waits_like_those_behind) {
    struct perilune_engine e;
    struct resident_settings s = curable(4, &e);
    e.tokenize = tokenize_or_not;
    open_desk(&s);
    texts_lost = 1;
    cure.agains = 3;
    ask(&asked[0], "the first", 5);
    ask(&asked[1], "behind it", 5);
    wait_all();
    check_answer(&asked[0]);
    check_answer(&asked[1]);
    CHECK_UINT(cure.done, 1);
    texts_lost = 1;
    cure.refusals = 100; /* nobody is kept waiting for ever */
    ask(&asked[2], "the last", 5);
    wait_all();
    CHECK(asked[2].failed && asked[2].code == TURN_DOWN);
    close_desk();
}

TEST_NOFAULT(who_comes_while_it_recovers_waits_or_is_told_how_long) {
    struct perilune_engine e;
    struct resident_settings s = curable(4, &e);
    open_desk(&s);
    for (int i = 0; i < 4; i++) buf_init(&asked[1].text[i], 0);
    buf_init(&asked[1].taken, 0);
    snprintf(asked[1].prompt, sizeof(asked[1].prompt), "came while it was down");
    asked[1].most = 5;
    desk.open = 1;
    fake.before = ask_while_it_is_down;
    fake.fail_at = 3;
    cure.agains = 3;
    cure.refusals = 1; /* tried again after 200 ms */
    ask(&asked[0], "until it breaks", 50);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BROKEN);
    check_answer(&asked[1]);
    /* The sixth failure in a row is tried again after more than anybody waits for. */
    fake.fail_at = fake.steps + 1;
    cure.refusals = 100;
    ask(&asked[2], "breaks it again", 5);
    while (cure.refusals > 94) uv_run(&desk.loop.uv, UV_RUN_NOWAIT), usleep(1000);
    ask(&asked[3], "too late", 5);
    wait_all();
    CHECK(asked[3].failed && asked[3].code == TURN_DOWN && asked[3].limit > 5000);
    CHECK(errors_said > 0 && strstr(last_said, "not yet; failure") != NULL);
    CHECK_UINT(resident_stats(desk.resident)->up, 0);
    close_desk();
}

TEST_NOFAULT(nobody_waits_for_ever_for_an_engine) {
    struct perilune_engine e;
    struct resident_settings s = curable(1, &e);
    s.waiting = 3;
    open_desk(&s);
    cure.agains = UINT32_MAX; /* it hangs */
    fake.fail_at = 1;
    ask(&asked[0], "breaks it", 5);
    ask(&asked[1], "waits", 5);
    while (desk.open > 1) uv_run(&desk.loop.uv, UV_RUN_ONCE);
    for (int i = 2; i < 6; i++) ask(&asked[i], "comes later", 5);
    put_away(&asked[3]); /* and leaves */
    desk.open--;
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BROKEN);
    CHECK(asked[1].failed && asked[1].code == TURN_DOWN && asked[1].limit == 1000); /* after five seconds */
    unsigned busy = 0;
    for (int i = 2; i < 6; i++) {
        if (i == 3) continue;
        CHECK(asked[i].failed && (asked[i].code == TURN_DOWN || asked[i].code == TURN_BUSY));
        busy += asked[i].code == TURN_BUSY;
    }
    CHECK(busy >= 1); /* three wait at most */
    cure.agains = 3;
    ask(&asked[8], "good again", 5);
    wait_all();
    check_answer(&asked[8]);
    close_desk();
}

TEST_NOFAULT(vectors_come_from_an_engine_that_recovered) {
    struct perilune_engine e;
    struct resident_settings s = curable(4, &e);
    struct slice texts[2] = { SLICE("aaaa"), SLICE("bb") };
    fake.width = 4;
    open_desk(&s);
    fake.fail_at = 1;
    ask_with(&asked[0], &(struct turn_ask){ .kind = TURN_EMBED, .texts = texts, .text_count = 2 });
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BROKEN);
    ask_with(&asked[1], &(struct turn_ask){ .kind = TURN_EMBED, .texts = texts, .text_count = 2 });
    wait_all();
    CHECK(!asked[1].failed && asked[1].vectors == 2);
    close_desk();
}

TEST_NOFAULT(numbers_that_are_none_fail_their_own_answer) {
    struct resident_settings s = settings(1, 64);
    open_desk(&s);
    fake.none_at = 1;
    ask(&asked[0], "bad luck", 10);
    ask(&asked[1], "good luck", 10);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BROKEN);
    check_answer(&asked[1]);
    close_desk();
}

TEST_NOFAULT(a_runner_that_is_freed_fails_its_talks) {
    struct resident_settings s = settings(2, 64);
    open_desk(&s);
    fake.never_ends = true;
    for (int i = 0; i < 4; i++) ask(&asked[i], "never to be ended", 3000);
    while (resident_stats(desk.resident)->said < 10) usleep(100);
    resident_free(desk.resident);
    wait_all();
    for (int i = 0; i < 4; i++) {
        CHECK(asked[i].failed && asked[i].code == TURN_CLOSED);
        turn_put(asked[i].turn);
        asked[i].turn = NULL;
    }
    CHECK_INT(resident_new(&desk.resident, &s, (char[200]){ 0 }, 200), 0);
    close_desk();
}

/* -- Many -------------------------------------------------------------------------------------------- */

static atomic_bool all_are_here;

static void hold_until_all_are_here(unsigned step) {
    (void)step;
    while (!all_are_here) usleep(100);
}

TEST_NOFAULT(a_thousand_at_one_slot_are_answered_or_refused) {
    struct resident_settings s = settings(1, 64);
    static struct asked many[1000];
    unsigned refused = 0, answered = 0;
    s.waiting = 300;
    all_are_here = false;
    fake.before = hold_until_all_are_here;
    open_desk(&s);
    memset(many, 0, sizeof(many));
    for (int i = 0; i < 1000; i++) ask(&many[i], "a question", 3);
    for (int i = 0; i < 1000; i += 7) { /* some do not wait */
        if (many[i].over) continue;
        put_away(&many[i]);
        desk.open--;
    }
    all_are_here = true;
    wait_all();
    for (int i = 0; i < 1000; i++) {
        if (many[i].taken.cap == 0 && many[i].prompt[0] == '\0') continue; /* left */
        if (!many[i].failed) check_answer(&many[i]);
        else CHECK_INT(many[i].code, TURN_BUSY);
        refused += many[i].failed;
        answered += !many[i].failed;
        put_away(&many[i]);
    }
    NOTE("%u answered, %u refused", answered, refused);
    CHECK(answered >= 250 && refused >= 1 && answered + refused >= 850);
    close_desk();
}

/* -- Contamination ------------------------------------------------------------------------------ */

/* Joins, leaves and cancels at random, with memory for less than all of them: every answer that ends is what a run of
 * its own says.  Half of them leave behind so many bytes (at once, with 0): by what came and not by the clock, or a
 * thread that leaves faster than steps are made would see no answer. */
static void fuzz(uint64_t seed, unsigned answers, unsigned each) {
    struct rng rng;
    struct resident_settings s = settings(6, 48);
    char prompt[200];
    unsigned done = 0;
    size_t leaves[24];
    rng_seed(&rng, seed);
    fake.cells = 500;
    s.options.context_each = each;
    open_desk(&s);
    while (done < answers) {
        unsigned who = (unsigned)(rng_next(&rng) % 24);
        struct asked *a = &asked[who];
        if (a->turn != NULL && a->over) {
            check_answer(a);
            put_away(a);
            done++;
        } else if (a->turn != NULL && buf_len(&a->text[0]) >= leaves[who]) {
            put_away(a);
            desk.open--;
        } else if (a->turn == NULL) {
            struct slice text;
            unsigned n = (unsigned)(rng_next(&rng) % 4) * 30 + (unsigned)(rng_next(&rng) % 30) + 1;
            memset(prompt, 'p', sizeof(prompt)); /* most of them begin alike */
            for (unsigned i = rng_next(&rng) % n; i < n; i++) prompt[i] = (char)('a' + rng_next(&rng) % 3);
            prompt[n] = '\0';
            struct turn_ask q = question(prompt, &text, (uint32_t)(rng_next(&rng) % 60) + 1);
            q.tenant.low = rng_next(&rng) % 2;
            q.priority = (int)(rng_next(&rng) % 3);
            leaves[who] = rng_next(&rng) % 2 ? rng_next(&rng) % 40 : SIZE_MAX;
            ask_with(a, &q);
        }
        uv_run(&desk.loop.uv, UV_RUN_NOWAIT);
    }
    close_desk();
}

TEST_NOFAULT(nobody_says_what_another_was_asked) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        NOTE("seed %u", (unsigned)seed);
        fuzz(seed, 1000, seed % 4 == 0 ? 200 : 0); /* or rows with memory of their own */
    }
}

/* -- Vectors -------------------------------------------------------------------------------------- */

TEST_NOFAULT(texts_of_several_requests_go_together) {
    struct resident_settings s = settings(8, 64);
    struct slice texts[3] = { SLICE("aaaa"), SLICE("bb"), SLICE("c") };
    fake.width = 4;
    open_desk(&s);
    for (int i = 0; i < 20; i++) {
        struct turn_ask q = { .kind = TURN_EMBED, .texts = texts, .text_count = 3 };
        ask_with(&asked[i], &q);
    }
    wait_all();
    for (int i = 0; i < 20; i++) {
        CHECK(!asked[i].failed && asked[i].vectors == 3 && asked[i].prompt_tokens == 7);
        float sum = 0;
        for (int d = 0; d < 4; d++) sum += asked[i].vector[d] * asked[i].vector[d];
        CHECK(fabsf(sum - 1) < 1e-5f);
    }
    CHECK(fake.steps < 60);
    struct slice long_text = slice_str(long_prompt(65, ""));
    ask_with(&asked[20], &(struct turn_ask){ .kind = TURN_EMBED, .texts = &long_text, .text_count = 1 });
    fake.none_at = fake.steps + 1;
    ask_with(&asked[21], &(struct turn_ask){ .kind = TURN_EMBED, .texts = texts, .text_count = 2 });
    wait_all();
    CHECK(asked[20].failed && asked[20].code == TURN_TOO_LONG && asked[20].limit == 64);
    CHECK(asked[21].failed && asked[21].code == TURN_BROKEN);
    close_desk();
}

TEST_NOFAULT(texts_are_ranked_by_models_that_rank) {
    struct resident_settings s = settings(8, 64);
    struct slice texts[] = { SLICE("good q"), SLICE("bad"), SLICE("good q") };
    fake.width = 1;
    fake.ranks = true;
    open_desk(&s);
    struct turn_ask q = { .kind = TURN_RANK, .question = SLICE("q?"), .texts = texts, .text_count = 2 };
    ask_with(&asked[0], &q);
    q.kind = TURN_EMBED;
    ask_with(&asked[1], &q);
    q.kind = TURN_RANK;
    struct slice long_text = slice_str(long_prompt(63, ""));
    q.texts = &long_text;
    q.text_count = 1;
    ask_with(&asked[2], &q);
    q.texts = texts;
    q.text_count = 1;
    ask_with(&asked[3], &q);
    wait_all();
    CHECK(!asked[0].failed && asked[0].vectors == 2 && asked[0].prompt_tokens == 6 + 2 + 3 + 2);
    CHECK_DOUBLE(asked[0].vector[0], 1 / (1 + expf(4))); /* of the last text; within 0 and 1 */
    CHECK(asked[1].failed && asked[1].code == TURN_BAD);
    CHECK(asked[2].failed && asked[2].code == TURN_TOO_LONG && asked[2].prompt_tokens == 65); /* question and text */
    CHECK(!asked[3].failed && asked[3].vector[0] > 0.9f);
    close_desk();
    s = settings(8, 64);
    fake.width = 4;
    open_desk(&s);
    ask_with(&asked[0], &q); /* of a model that does not */
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BAD);
    close_desk();
}

TEST_NOFAULT(more_texts_than_may_wait_go_when_nobody_does) {
    struct resident_settings s = settings(8, 64);
    struct slice texts[40];
    for (int i = 0; i < 40; i++) texts[i] = SLICE("text");
    s.waiting = 30;
    fake.width = 4;
    open_desk(&s);
    struct turn_ask q = { .kind = TURN_EMBED, .texts = texts, .text_count = 40 };
    ask_with(&asked[0], &q);
    wait_all();
    CHECK(!asked[0].failed && asked[0].vectors == 40);
    close_desk();
}

/* -- Models of a process ---------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

/* -- Grammars ----------------------------------------------------------------------------------- */

TEST_NOFAULT(an_answer_follows_its_grammar_to_the_end) {
    struct resident_settings s = settings(4, 64);
    struct slice text;
    open_desk(&s);
    struct turn_ask q = question("say", &text, 6);
    q.grammar = "root ::= \"_\"*"; /* the least likely letter: behind all that are tried first */
    q.choices = 3;
    ask_with(&asked[0], &q);
    ask_with(&asked[1], &q);
    wait_all();
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 3; i++) CHECK_SLICE(buf_get(&asked[k].text[i]), SLICE("______"));
    for (int i = 2; i < 14; i++) { /* more than are kept */
        char grammar[40];
        snprintf(grammar, sizeof(grammar), "root ::= \"%c\"{2}", 'a' + i);
        q.grammar = grammar;
        ask_with(&asked[i], &q);
        wait_all();
        CHECK_UINT(buf_len(&asked[i].text[0]), 2); /* then nothing may follow but the end */
        CHECK_UINT(asked[i].text[0].data[0], 'a' + i);
    }
    close_desk();
}

TEST_NOFAULT(a_grammar_that_is_none_or_allows_nothing_fails_its_request_only) {
    struct resident_settings s = settings(4, 64);
    struct slice text;
    open_desk(&s);
    struct turn_ask q = question("say", &text, 6);
    q.grammar = "!";
    q.choices = 2;
    ask_with(&asked[0], &q);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BAD);
    struct sampler_bias never = { 'x', -INFINITY };
    q.grammar = "root ::= \"x\"";
    q.sampling.biases = &never;
    q.sampling.bias_count = 1;
    ask_with(&asked[1], &q);
    ask(&asked[2], "hello", 40);
    wait_all();
    CHECK(asked[1].failed && asked[1].code == TURN_BAD);
    check_answer(&asked[2]);
    close_desk();
}

/* Ways that double with each letter: from the twelfth on there are too many, and the neighbour never hears of it. */
TEST_NOFAULT(a_grammar_that_becomes_too_dear_ends_its_own_answer) {
    struct resident_settings s = settings(4, 64);
    struct slice text;
    open_desk(&s);
    struct turn_ask q = question("say", &text, 64);
    q.grammar = "root ::= a\na ::= \"_\" a \"b\" | \"_\" a \"c\"";
    ask(&asked[1], "hello", 60);
    ask_with(&asked[0], &q);
    wait_all();
    CHECK(asked[0].failed && asked[0].code == TURN_BAD);
    check_answer(&asked[1]);
    close_desk();
}

/* -- Tenants ---------------------------------------------------------------------------------------- */

static pthread_barrier_t hang_begins, hang_over;

static void hang(unsigned step) {
    if (step != 1) return;
    pthread_barrier_wait(&hang_begins);
    pthread_barrier_wait(&hang_over);
}

TEST_NOFAULT(a_tenant_that_asks_for_much_does_not_hold_off_the_others) {
    struct resident_settings s = settings(2, 64);
    struct slice text;
    open_desk(&s);
    fake.never_ends = true;
    fake.before = hang;
    pthread_barrier_init(&hang_begins, NULL, 2);
    pthread_barrier_init(&hang_over, NULL, 2);
    for (int i = 0; i < 20; i++) {
        struct turn_ask hog = question("much", &text, 40);
        hog.choices = 4;
        ask_with(&asked[i], &hog);
    }
    pthread_barrier_wait(&hang_begins); /* two of its answers have the rows */
    for (int i = 20; i < 23; i++) {
        struct turn_ask other = question("little", &text, 4);
        other.tenant = (struct hash128){ 7, (uint64_t)i };
        ask_with(&asked[i], &other);
    }
    pthread_barrier_wait(&hang_over);
    wait_all();
    for (int i = 20; i < 23; i++) {
        check_answer(&asked[i]);
        CHECK(asked[i].order <= 4); /* before all but one of the twenty */
    }
    for (int i = 0; i < 20; i++) CHECK_UINT(asked[i].said, 4 * 40);
    close_desk();
}

TEST_NOFAULT(vectors_of_tenants_take_turns) {
    struct resident_settings s = settings(2, 64);
    struct slice texts[40];
    fake.width = 4;
    fake.before = hang;
    pthread_barrier_init(&hang_begins, NULL, 2);
    pthread_barrier_init(&hang_over, NULL, 2);
    open_desk(&s);
    for (int i = 0; i < 40; i++) texts[i] = SLICE("a text of some size");
    struct slice one;
    struct turn_ask q = question("x", &one, 0);
    q.kind = TURN_EMBED;
    q.texts = texts;
    q.text_count = 1;
    ask_with(&asked[0], &q);
    pthread_barrier_wait(&hang_begins);
    q.text_count = 40;
    ask_with(&asked[1], &q);
    q.text_count = 1;
    q.tenant = (struct hash128){ 7, 7 };
    ask_with(&asked[2], &q);
    pthread_barrier_wait(&hang_over);
    wait_all();
    CHECK_UINT(asked[2].order, 2);
    CHECK_UINT(asked[1].order, 3);
    CHECK_UINT(asked[1].vectors, 40);
    close_desk();
}

/* -- A step that hangs --------------------------------------------------------------------------- */

TEST_NOFAULT(who_looks_at_a_step_that_hangs_sees_it) {
    struct resident_settings s = settings(1, 64);
    fake.before = hang;
    pthread_barrier_init(&hang_begins, NULL, 2);
    pthread_barrier_init(&hang_over, NULL, 2);
    open_desk(&s);
    const struct resident_stats *stats = resident_stats(desk.resident);
    CHECK_UINT(stats_get(&stats->step_began_us), 0);
    ask(&asked[0], "hello", 4);
    pthread_barrier_wait(&hang_begins);
    ask(&asked[1], "again", 4);
    CHECK(stats_get(&stats->step_began_us) > 0);
    CHECK_UINT(stats_get(&stats->active), 1);
    CHECK_UINT(stats_get(&stats->waiting) + stats_get(&stats->unread), 1);
    pthread_barrier_wait(&hang_over);
    wait_all();
    CHECK_UINT(stats_get(&stats->unread), 0);
    CHECK_UINT(stats_get(&stats->step_began_us), 0);
    close_desk();
}

/* -- Stops and pieces ------------------------------------------------------------------------------- */

TEST_NOFAULT(a_stop_ends_an_answer_and_is_not_told) {
    struct resident_settings s = settings(4, 64);
    struct slice text, stop;
    char want[FAKE_ROW];
    fake.never_ends = true;
    size_t n = fake_answer("hello", 5, 40, want);
    open_desk(&s);
    CHECK_UINT(n, 40);
    stop = slice_of(want + 4, 3);
    struct turn_ask q = question("hello", &text, 40);
    q.stops = &stop;
    q.stop_count = 1;
    ask_with(&asked[0], &q);
    wait_all();
    CHECK_SLICE(buf_get(&asked[0].text[0]), slice_of(want, 4));
    CHECK_INT(asked[0].end, TURN_STOP);
    char last[] = { want[39], '!' };
    stop = slice_of(last, 2);
    ask_with(&asked[1], &q); /* the answer ends while it may begin: held back, and told then */
    wait_all();
    check_answer(&asked[1]);
    close_desk();
}

/* What stands between the marks of a thought is none of the text that stops are looked for in. */
TEST_NOFAULT(a_stop_in_a_thought_ends_nothing) {
    struct resident_settings s = settings(4, 64);
    struct slice text, stop;
    char want[FAKE_ROW];
    fake.never_ends = true;
    CHECK_UINT(fake_answer("hello", 5, 40, want), 40);
    open_desk(&s);
    struct turn_ask q = question("hello", &text, 40);
    stop = slice_of(want + 3, 3);
    q.stops = &stop;
    q.stop_count = 1;
    q.reading.marks = (struct think_marks){ slice_of(want, 2), slice_of(want + 7, 4) };
    ask_with(&asked[0], &q);
    wait_all();
    CHECK_SLICE(buf_get(&asked[0].thought), slice_of(want + 2, 5));
    CHECK_SLICE(buf_get(&asked[0].text[0]), slice_of(want + 11, 29));
    CHECK_INT(asked[0].end, TURN_LENGTH);
    stop = slice_of(want + 20, 3);
    ask_with(&asked[1], &q);
    wait_all();
    CHECK_SLICE(buf_get(&asked[1].text[0]), slice_of(want + 11, 9));
    CHECK_INT(asked[1].end, TURN_STOP);
    CHECK_UINT(asked[1].said, 23); /* not a token behind it */
    close_desk();
}

TEST_NOFAULT(pieces_of_a_prompt_are_one_prompt) {
    struct resident_settings s = settings(4, 64);
    struct slice pieces[] = { SLICE("he"), SLICE("l"), SLICE(""), SLICE("lo") };
    open_desk(&s);
    struct turn_ask q = question("hello", &pieces[0], 40);
    pieces[0] = SLICE("he");
    q.text_count = 4;
    ask_with(&asked[0], &q);
    wait_all();
    snprintf(asked[0].prompt, sizeof(asked[0].prompt), "hello");
    check_answer(&asked[0]);
    close_desk();
}

TEST_NOFAULT(a_model_is_loaded_once_until_its_file_is_another) {
    char path[] = "/tmp/perilune-model-XXXXXX", why[300];
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    memset(&fake, 0, sizeof(fake));
    struct engines *e = engines_new(&fake_engine, NULL, NULL);
    struct engine_settings s = { .model = path, .sequences = 2, .batch = 64, .waiting = 10, .gpu_layers = -1 };
    struct resident *a, *b, *c, *d;
    CHECK(e != NULL);
    CHECK_INT(engines_get(e, &s, &a, why, sizeof(why)), 0);
    CHECK_INT(engines_get(e, &s, &b, why, sizeof(why)), 0);
    CHECK_PTR(b, a);
    CHECK_UINT(fake.loads, 1);
    engines_hold(e); /* a reload: the new one comes before the old one goes, or after */
    engines_put(e, a);
    engines_put(e, b);
    CHECK_INT(engines_get(e, &s, &c, why, sizeof(why)), 0);
    engines_release(e);
    CHECK_PTR(c, a);
    CHECK_UINT(engines_loads(e), 1);
    write_file(path, "another one");
    CHECK_INT(engines_get(e, &s, &d, why, sizeof(why)), 0);
    CHECK(d != c);
    CHECK_UINT(fake.loads, 2);
    struct engine_settings others[5] = { s, s, s, s, s };
    others[0].device = "CUDA1";
    others[1].kv_type = "q8_0";
    others[2].flash_attention = 1;
    others[3].split_count = 1;
    others[3].split[0] = 1;
    others[4].context_each = 64;
    for (unsigned i = 0; i < 5; i++) { /* other settings: another model, once */
        struct resident *x, *y;
        CHECK_INT(engines_get(e, &others[i], &x, why, sizeof(why)), 0);
        CHECK_INT(engines_get(e, &others[i], &y, why, sizeof(why)), 0);
        CHECK(x != d && x == y && fake.loads == 3 + i);
        engines_put(e, x);
        engines_put(e, y);
    }
    engines_put(e, c);
    engines_put(e, d);
    unlink(path);
    CHECK(engines_get(e, &s, &d, why, sizeof(why)) != 0);
    CHECK_PTR(d, NULL);
    CHECK(strstr(why, "no such file") != NULL);
    engines_free(e);
}

/* -- Without memory --------------------------------------------------------------------------------------- */

static bool try_open_desk(const struct resident_settings *s) {
    char why[200];
    memset(asked, 0, sizeof(asked));
    desk.open = 0;
    CHECK_INT(loop_init(&desk.loop), 0);
    CHECK_INT(mailbox_open(&desk.mail, &desk.loop, &desk), 0);
    int rc = resident_new(&desk.resident, s, why, sizeof(why));
    if (rc == 0) return true;
    CHECK(FAULTED(rc));
    mailbox_close(&desk.mail);
    loop_deinit(&desk.loop);
    mailbox_deinit(&desk.mail);
    return false;
}

/* A turn that was lost (no memory for what is told) is over, too. */
static void told_or_lost(void *ud) {
    struct asked *a = ud;
    if (a->over) return;
    if (turn_take(a->turn, &a->taken)) {
        struct slice all = buf_get(&a->taken);
        struct turn_event ev;
        while (turn_next(&all, &ev)) a->over |= ev.type == TURN_OVER || ev.type == TURN_FAILED;
        buf_clear(&a->taken);
    } else {
        CHECK(unit_fault_fired());
        a->over = true;
    }
    desk.open -= a->over;
}

static void try_asking(struct asked *a, const struct turn_ask *q) {
    buf_init(&a->taken, 0);
    a->turn = turn_new(desk.resident, q, &desk.mail, told_or_lost, a);
    if (FAULTED(a->turn)) return;
    desk.open++;
}

TEST(any_allocation_may_fail_while_it_answers) {
    struct perilune_engine e;
    struct resident_settings s = curable(2, &e);
    struct slice text, stops[1] = { SLICE("zzz") };
    struct sampler_bias bias = { 'a', 1 };
    fake.fail_at = 9;
    if (!try_open_desk(&s)) return;
    for (int i = 0; i < 4; i++) {
        struct turn_ask q = question(i % 2 ? "one question" : "one other", &text, 8);
        q.choices = i == 0 ? 2 : 1;
        q.logprobs = i == 1;
        q.tops = i == 1 ? 3 : 0;
        q.stops = stops;
        q.stop_count = 1;
        if (i == 2) q.reading.marks = (struct think_marks){ SLICE("a"), SLICE("bc") };
        q.sampling.biases = &bias;
        q.sampling.bias_count = 1;
        try_asking(&asked[i], &q);
    }
    wait_all();
    close_desk();
}

TEST(any_allocation_may_fail_while_it_makes_vectors_or_ranks) {
    for (int ranks = 0; ranks < 2; ranks++) {
        struct resident_settings s = settings(4, 64);
        struct slice texts[3] = { SLICE("aaaa"), SLICE("bb"), SLICE("c") };
        fake.width = ranks ? 1 : 4;
        fake.ranks = ranks != 0;
        if (!try_open_desk(&s)) return;
        struct turn_ask q = { .kind = ranks ? TURN_RANK : TURN_EMBED, .question = SLICE("q"), .texts = texts, .text_count = 3 };
        for (int i = 0; i < 3; i++) try_asking(&asked[i], &q);
        wait_all();
        close_desk();
    }
}
