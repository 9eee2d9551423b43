/* test_far.c -- entries as bytes that another process reads. */
#include "store/far.h"

#include <string.h>

#include "base/mem.h"
#include "unit.h"

static const struct slice KEY = SLICE("0123");
static const struct slice TAGS[] = { SLICE("name:x"), SLICE("tenant:"), SLICE("tag:x:a\0b") };

static struct cache_item item_of(struct slice data) {
    return (struct cache_item){ .meta = SLICE("meta"), .data = data, .tags = TAGS, .tag_count = 3, .fresh_ms = 7,
                                .keep_ms = 9 };
}

static void round_trip(struct slice data) {
    struct far_codec a, b;
    struct buf out;
    struct slice tags[CACHE_MAX_TAGS];
    struct cache_item in = item_of(data), got = { .age_ms = 3 };
    far_codec_init(&a, SLICE("secret"));
    far_codec_init(&b, SLICE("secret"));
    buf_init(&out, 0);
    far_value_write(&a, KEY, &in, 1 << 22, &out);
    if (!buf_failed(&out)) {
        CHECK(far_value_read(&b, KEY, buf_get(&out), 1 << 22, tags, &got));
        CHECK_SLICE(got.meta, in.meta);
        CHECK_SLICE(got.data, in.data);
        CHECK_UINT(got.tag_count, 3);
        for (int i = 0; i < 3; i++) CHECK_SLICE(got.tags[i], TAGS[i]);
        CHECK(got.fresh_ms == 7 && got.keep_ms == 9 && got.age_ms == 3);
    }
    buf_deinit(&out);
    far_codec_deinit(&a);
    far_codec_deinit(&b);
}

TEST(a_value_comes_back) {
    static char text[100000];
    round_trip(SLICE(""));
    round_trip(SLICE("x\0y"));
    memset(text, 'a', sizeof(text));
    round_trip(slice_of(text, sizeof(text)));
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)(i * 2654435761u >> 13);
    round_trip(slice_of(text, sizeof(text)));
}

TEST_NOFAULT(a_long_one_is_packed) {
    static char text[100000];
    struct far_codec c;
    struct buf out;
    struct cache_item in = item_of(slice_of(text, sizeof(text)));
    far_codec_init(&c, SLICE("s"));
    buf_init(&out, 0);
    far_value_write(&c, KEY, &in, 1 << 22, &out);
    CHECK(buf_len(&out) < 1000);
    buf_clear(&out);
    far_value_write(&c, KEY, &in, sizeof(text), &out); /* over its limit */
    CHECK(buf_failed(&out));
    buf_deinit(&out);
    far_codec_deinit(&c);
}

/* Whatever is changed, cut, or from elsewhere is no value. */
TEST_NOFAULT(damage_is_a_miss) {
    struct far_codec c, other;
    struct buf out;
    struct slice tags[CACHE_MAX_TAGS];
    struct cache_item got;
    static char text[2000];
    far_codec_init(&c, SLICE("s"));
    far_codec_init(&other, SLICE("t"));
    buf_init(&out, 0);
    for (int long_one = 0; long_one < 2; long_one++) {
        struct cache_item in = item_of(slice_of(text, long_one ? sizeof(text) : 20));
        buf_clear(&out);
        far_value_write(&c, KEY, &in, 1 << 20, &out);
        struct slice all = buf_get(&out);
        CHECK(far_value_read(&c, KEY, all, 1 << 20, tags, &got));
        for (size_t i = 0; i < all.len; i++) {
            out.data[i] ^= 1;
            CHECK(!far_value_read(&c, KEY, all, 1 << 20, tags, &got));
            out.data[i] ^= 1;
            CHECK(!far_value_read(&c, KEY, slice_of(all.ptr, i), 1 << 20, tags, &got));
        }
        CHECK(!far_value_read(&c, SLICE("0124"), all, 1 << 20, tags, &got));
        CHECK(!far_value_read(&other, KEY, all, 1 << 20, tags, &got));
        CHECK(!far_value_read(&c, KEY, all, 16, tags, &got)); /* larger than may be */
        CHECK(far_value_read(&c, KEY, all, 1 << 20, tags, &got));
    }
    buf_deinit(&out);
    far_codec_deinit(&c);
    far_codec_deinit(&other);
}

TEST_NOFAULT(keys_depend_on_the_secret) {
    struct loop loop;
    struct log log = { .write = NULL };
    struct far_process process;
    struct far f;
    struct far_key a, b;
    struct far_settings s = { .path = "/nowhere", .prefix = "p:", .secret = "one", .timeout_ms = 50 };
    struct cache *cache = cache_new(1 << 20);
    CHECK_INT(loop_init(&loop), 0);
    far_process_init(&process);
    far_init(&f, &loop, &log, &process, cache);
    CHECK(!far_is_ready(&f) && !far_is_ready(NULL));
    CHECK(far_configure(&f, &s, true));
    struct redis *r = f.redis;
    far_key(&f, SLICE("text"), &a);
    far_key(&f, SLICE("text"), &b);
    CHECK_STR(a.hex, b.hex);
    CHECK_UINT(strlen(a.hex), 64);
    CHECK(far_configure(&f, &s, true)); /* the same: the connection stays */
    CHECK_PTR(f.redis, r);
    s.secret = "two";
    CHECK(far_configure(&f, &s, true));
    far_key(&f, SLICE("text"), &b);
    CHECK(strcmp(a.hex, b.hex) != 0);
    far_put(&f, &b, &(struct cache_item){ .data = SLICE("x"), .fresh_ms = 1 }); /* not connected: nothing */
    far_invalidate(&f, SLICE("tag")); /* kept until there is a connection */
    CHECK_UINT(f.order_count, 1);
    for (int i = 0; i < 9; i++) far_delete(&f, SLICE("text")); /* one order does for all */
    CHECK_UINT(f.order_count, 2);
    for (int i = 0; i < 5000; i++) {
        char text[16];
        snprintf(text, sizeof(text), "text %d", i);
        far_delete(&f, slice_str(text));
        CHECK_INT(f.overflowed, i >= 4094); /* the oldest gives way, which is said */
    }
    CHECK_UINT(f.order_count, 4096);
    CHECK(far_configure(&f, NULL, true));
    CHECK_PTR(f.redis, NULL);
    far_deinit(&f);
    loop_deinit(&loop);
    cache_free(cache);
}
