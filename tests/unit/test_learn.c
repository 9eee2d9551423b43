/* test_learn.c -- a classifier of prompts: features, training, its file, what scores mean, what a choice is worth. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "learn/curve.h"
#include "learn/fit.h"
#include "unit.h"

/* -- Features -------------------------------------------------------------------------------- */

static struct features one, other;

static bool has(const struct features *f, uint32_t hash) {
    for (unsigned i = 0; i < f->count; i++)
        if (f->hashes[i] == hash) return true;
    return false;
}

static unsigned shared(const char *a, const char *b) {
    unsigned n = 0;
    features_read(&one, slice_str(a), 1);
    features_read(&other, slice_str(b), 1);
    for (unsigned i = 0; i < one.count; i++) n += has(&other, one.hashes[i]);
    return n;
}

TEST_NOFAULT(words_pairs_and_letters) {
    features_read(&one, slice_str("to be"), 1);
    CHECK_UINT(one.count, 3); /* two words, a pair */
    features_read(&one, slice_str("better"), 1);
    CHECK_UINT(one.count, 4); /* the word; bett, ette, tter */
    CHECK_UINT(shared("SORT it", "sort It"), 3);
    CHECK_UINT(shared("gr\xc3\x9c\xc3\x9f", "gr\xc3\xbc\xc3\x9f"), 4); /* of two bytes a letter: a word, its letters */
    CHECK(shared("sorting", "sorted") >= 1);
    CHECK_UINT(shared("one two", "three four"), 0);
    features_read(&one, slice_str("\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97"), 1); /* three words, two pairs */
    CHECK_UINT(one.count, 5);
    features_read(&one, slice_str("a?b"), 1);
    CHECK_UINT(one.count, 5);
}

TEST_NOFAULT(any_bytes_and_any_length) {
    static char text[64 * 1024];
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)(i * 131 + i / 256);
    for (size_t len = 0; len < 300; len++) features_read(&one, slice_of(text, len), 1);
    features_read(&one, slice_of(text, sizeof(text)), 1u << 31);
    CHECK(one.count <= FEATURES_WORDS);
    for (unsigned i = 0; i < FEATURES_SHAPE; i++) CHECK(isfinite(one.shape[i]));
    for (size_t i = 0; i < sizeof(text); i++) text[i] = i % 2 == 0 ? 'a' : '?';
    features_read(&one, slice_of(text, sizeof(text)), 0);
    CHECK(one.count <= FEATURES_WORDS);
    memset(text, 'x', sizeof(text));
    features_read(&one, slice_of(text, sizeof(text)), 1);
    CHECK(one.count <= FEATURES_WORDS);
    features_read(&one, slice_of(NULL, 0), 1);
    CHECK_UINT(one.count, 0);
}

TEST_NOFAULT(of_a_long_text_both_ends_count) {
    static char text[20000];
    memset(text, ' ', sizeof(text));
    memcpy(text, "begin", 5);
    memcpy(text + 10000, "middle", 6);
    memcpy(text + sizeof(text) - 3, "end", 3);
    features_read(&one, slice_of(text, sizeof(text)), 1);
    features_read(&other, slice_str("begin"), 1);
    CHECK(has(&one, other.hashes[other.count - 1]));
    features_read(&other, slice_str("end"), 1);
    CHECK(has(&one, other.hashes[0]));
    features_read(&other, slice_str("middle"), 1);
    CHECK(!has(&one, other.hashes[other.count - 1]));
}

/* -- What scores mean ----------------------------------------------------------------------------- */

TEST(isotonic_regression_rises) {
    const float scores[] = { 5, 1, 2, 3, 4, 4 }, targets[] = { 1, 0, 1, 0, 1, 0.5f };
    struct calibrated c;
    int rc = calibrated_fit(&c, scores, targets, 6);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK(calibrated_is_sound(&c));
    CHECK_DOUBLE(calibrated_value(&c, 0), 0);
    CHECK_DOUBLE(calibrated_value(&c, 1), 0);
    CHECK_DOUBLE(calibrated_value(&c, 2), 0.5);
    CHECK_DOUBLE(calibrated_value(&c, 3), 0.5);
    CHECK_DOUBLE(calibrated_value(&c, 4), 0.75);
    CHECK_DOUBLE(calibrated_value(&c, 9), 1);
    CHECK_DOUBLE(calibrated_value(&c, 4.5f), 0.875);
    CHECK(calibrated_value(&c, NAN) == 0);
}

TEST(of_many_scores_there_are_few_knots) {
    static float scores[5000], targets[5000];
    struct calibrated c;
    for (int i = 0; i < 5000; i++) {
        scores[i] = (float)((i * 7919) % 5000);
        targets[i] = scores[i] / 5000;
    }
    int rc = calibrated_fit(&c, scores, targets, 5000);
    if (FAULTED(rc)) return;
    CHECK(c.count <= CALIBRATED_KNOTS && calibrated_is_sound(&c));
    CHECK(fabsf(calibrated_value(&c, 2500) - 0.5f) < 0.01f);
    rc = calibrated_fit_quantiles(&c, scores, 5000);
    if (FAULTED(rc)) return;
    CHECK(calibrated_is_sound(&c));
    CHECK(fabsf(calibrated_value(&c, 1250) - 0.25f) < 0.01f);
    CHECK_INT(calibrated_fit(&c, scores, targets, 0), 0);
    CHECK_DOUBLE(calibrated_value(&c, 1), 0);
}

/* -- Training -------------------------------------------------------------------------------------- */

#define ITEMS 240

static char texts[ITEMS][64];
static float targets[ITEMS];
static struct fit_item items[ITEMS];

/* Proofs are hard; of ten groups. */
static void make_items(void) {
    static const char *const nouns[] = { "rivers", "sets", "birds", "groups", "colours", "rings" };
    for (unsigned i = 0; i < ITEMS; i++) {
        bool hard = i % 2 == 0;
        snprintf(texts[i], sizeof(texts[i]), hard ? "Prove the theorem of %s and %s" : "Tell me a story of %s and %s",
                 nouns[i / 2 % 6], nouns[i / 12 % 6]);
        targets[i] = hard;
        items[i] = (struct fit_item){ .text = slice_str(texts[i]), .turns = 1, .group = i / 24, .targets = &targets[i] };
    }
}

static const struct fit_options how = { .bits = 10, .outputs = 1, .epochs = 5, .folds = 5, .words = 0.5f, .seed = 1 };

static float score_of(const struct trainer *t, const char *text) {
    float score;
    features_read(&one, slice_str(text), 1);
    trainer_scores(t, &one, &score);
    return score;
}

TEST(it_learns_what_is_hard) {
    struct trainer *t;
    make_items();
    int rc = fit_train(&t, items, ITEMS, &how);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK(score_of(t, "Prove the theorem of clouds") > score_of(t, "Tell me a story of clouds") + 1);
    trainer_free(t);
}

TEST(no_group_is_on_both_sides) {
    static float scores[ITEMS];
    struct fit_options o = how;
    struct trainer *t;
    make_items();
    for (unsigned i = 0; i < ITEMS; i++) { /* each group has a word of its own, which says all */
        snprintf(texts[i], sizeof(texts[i]), "%c%c", 'a' + items[i].group, 'k' + items[i].group);
        items[i].text = slice_str(texts[i]);
        targets[i] = items[i].group % 2;
    }
    int rc = fit_train(&t, items, ITEMS, &o);
    if (FAULTED(rc)) return;
    CHECK(score_of(t, texts[24]) > score_of(t, texts[0]) + 0.5f);
    trainer_free(t);
    rc = fit_out_of_fold(scores, items, ITEMS, &o);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    double apart = 0;
    for (unsigned i = 0; i < ITEMS; i++) apart += (targets[i] > 0 ? 1 : -1) * (double)scores[i] / (ITEMS / 2);
    CHECK(apart < 0.3); /* who judged a word has never seen it */
    o.folds = 11;
    CHECK_INT(fit_out_of_fold(scores, items, ITEMS, &o), PERILUNE_ERR_INVAL);
}

TEST(what_counts_is_chosen) {
    struct fit_options o = how;
    make_items();
    o.words = -1;
    o.epochs = 1;
    int rc = fit_choose(&o, items, ITEMS);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK(o.words > 0); /* length says little here, words all */
    for (unsigned i = 0; i < ITEMS; i++) items[i].group = 0;
    rc = fit_choose(&o, items, ITEMS);
    if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_INVAL);
}

/* -- The file --------------------------------------------------------------------------------------- */

static const char names[2][MODEL_NAME] = { "small", "big" };
static const struct calibrated line = { .count = 2, .score = { -3, 3 }, .value = { 0, 1 } };

static int write_file(struct buf *file, struct trainer **t) {
    struct model_parts p = { .kind = MODEL_ROUTE, .names = names, .value = &line, .rank = &line, .examples = ITEMS };
    make_items();
    int rc = fit_train(t, items, ITEMS, &how);
    if (rc != 0) return rc;
    trainer_parts(*t, &p);
    model_write(&p, file);
    if (!buf_failed(file)) return 0;
    trainer_free(*t);
    *t = NULL;
    return PERILUNE_ERR_NOMEM;
}

TEST(a_file_says_what_was_learned) {
    struct buf file;
    struct trainer *t, *more;
    struct model *m;
    struct failure why;
    float score;
    buf_init(&file, 0);
    failure_init(&why);
    int rc = write_file(&file, &t);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    rc = model_open(&m, buf_get(&file), &why);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK_STR(model_name(m, 1), "big");
        CHECK_STR(model_name(m, 2), "");
        CHECK_UINT(model_examples(m), ITEMS);
        float want = score_of(t, "Prove the theorem of sets and rings");
        model_scores(m, &one, &score);
        CHECK(fabsf(score - want) < 0.15f); /* rounded */
        CHECK(model_value(m, 0, 0) == 0.5f && model_rank(m, 9) == 1);
        more = trainer_from(m, 0);
        if (!FAULTED(more)) {
            CHECK(fabsf(score_of(more, "Prove the theorem of sets and rings") - score) < 1e-4f);
            for (int i = 0; i < 20; i++) trainer_step(more, &one, &(float){ 0 });
            CHECK(score_of(more, "Prove the theorem of sets and rings") < score); /* online, it changes its mind */
        }
        trainer_free(more);
        model_close(m);
    }
    trainer_free(t);
done:
    buf_deinit(&file);
    failure_deinit(&why);
}

static void expect_refused(struct slice bytes, const char *what) {
    struct model *m = NULL;
    struct failure why;
    failure_init(&why);
    int rc = model_open(&m, bytes, &why);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, PERILUNE_ERR_INVAL);
        CHECK(m == NULL);
        NOTE("%s", why.message);
        CHECK(strstr(why.message, what) != NULL);
    }
    failure_deinit(&why);
}

TEST_NOFAULT(a_damaged_file_is_refused) {
    struct buf file;
    struct trainer *t;
    buf_init(&file, 0);
    CHECK_INT(write_file(&file, &t), 0);
    struct slice all = buf_get(&file);
    expect_refused(SLICE(""), "no model");
    expect_refused(SLICE("PERILRN\n"), "no model");
    for (size_t len = 40; len < all.len; len += 97) expect_refused(slice_of(all.ptr, len), "damaged");
    for (size_t at = 12; at < all.len; at += 53) {
        file.data[at] ^= 0x10;
        expect_refused(all, "damaged");
        file.data[at] ^= 0x10;
    }
    file.data[8] = 9;
    expect_refused(all, "version 9");
    trainer_free(t);
    buf_deinit(&file);
}

/* The checksum is right, what it sums is not. */
TEST_NOFAULT(a_file_that_lies_is_refused) {
    struct buf file;
    struct trainer *t;
    buf_init(&file, 0);
    CHECK_INT(write_file(&file, &t), 0);
    struct slice all = buf_get(&file);
    for (size_t at = 12; at < 300; at++) {
        for (int bit = 0; bit < 8; bit += 3) {
            struct model *m = NULL;
            struct failure why;
            failure_init(&why);
            file.data[at] ^= (char)(1 << bit);
            uint64_t sum = hash_fnv(slice_of(all.ptr, all.len - 8));
            for (int i = 0; i < 8; i++) file.data[all.len - 8 + (size_t)i] = (char)(sum >> 8 * i);
            if (model_open(&m, all, &why) == 0) { /* then it is one, and answers */
                float score[MODEL_OUTPUTS];
                features_read(&one, slice_str("Prove it"), 1);
                model_scores(m, &one, score);
                model_value(m, 0, score[0]);
            }
            model_close(m);
            failure_deinit(&why);
            file.data[at] ^= (char)(1 << bit);
        }
    }
    trainer_free(t);
    buf_deinit(&file);
}

/* -- What a choice is worth ----------------------------------------------------------------------------- */

static struct curve_item item(float score, float small, float big, uint32_t group) {
    return (struct curve_item){ .score = score, .quality = { small, big }, .cost = { 0, 1 }, .group = group };
}

TEST(the_area_of_who_knows_and_of_who_does_not) {
    struct curve_item list[4] = { item(4, 0, 1, 0), item(3, 0, 1, 1), item(2, 1, 1, 2), item(1, 1, 1, 3) };
    struct curve c;
    int rc = curve_make(&c, list, 4, &(struct curve_options){ .draws = 0 });
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK_DOUBLE(c.apgr, 0.75); /* all of the gap in the first half */
    CHECK_DOUBLE(c.oracle, 0.75);
    CHECK_DOUBLE(c.points[CURVE_POINTS / 2].quality, 1);
    CHECK_DOUBLE(c.points[CURVE_POINTS - 1].cost, 1);
    for (int i = 0; i < 4; i++) list[i].score = 7; /* all the same: a straight line */
    curve_make(&c, list, 4, &(struct curve_options){ .draws = 0 });
    CHECK_DOUBLE(c.apgr, 0.5);
    CHECK_DOUBLE(c.points[CURVE_POINTS / 2].quality, 0.75);
    for (int i = 0; i < 4; i++) list[i].score = (list[i].quality[0] > 0) ? 2 : 1; /* the wrong way round */
    curve_make(&c, list, 4, &(struct curve_options){ .draws = 0 });
    CHECK_DOUBLE(c.apgr, 0.25);
}

TEST(without_a_gap_there_is_no_area) {
    struct curve_item list[2] = { item(1, 1, 0.5f, 0), item(2, 1, 1, 0) };
    struct curve c;
    int rc = curve_make(&c, list, 2, &(struct curve_options){ .draws = 10 });
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK(!c.is_defined);
    CHECK_INT(curve_make(&c, list, 0, &(struct curve_options){ .draws = 0 }), PERILUNE_ERR_INVAL);
}

TEST(the_interval_holds_the_area_and_is_wider_by_groups) {
    static struct curve_item list[400];
    struct curve alone, by_group;
    for (unsigned i = 0; i < 400; i++) {
        unsigned g = i / 40;
        list[i] = item((float)(i * 37 % 101), (float)(g % 2), 1, g);
        list[i].score += (float)(g % 3) * 20;
    }
    int rc = curve_make(&alone, list, 400, &(struct curve_options){ .draws = 300 });
    if (FAULTED(rc)) return;
    rc = curve_make(&by_group, list, 400, &(struct curve_options){ .groups = 10, .draws = 300 });
    if (FAULTED(rc)) return;
    CHECK(alone.low <= alone.apgr && alone.apgr <= alone.high);
    CHECK(by_group.high - by_group.low > alone.high - alone.low);
}
