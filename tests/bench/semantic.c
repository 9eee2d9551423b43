/* semantic.c -- questions that were asked before in other words: how long finding them takes and how often it
 * is right, for semantic.lua.
 *
 *     bench_semantic speed COUNT              of made-up questions in English and Chinese
 *     bench_semantic pairs FILE               lines "origin TAB similar TAB group"
 *
 * One line for each figure: a name without spaces, a number.  ROWS in the environment names another table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "semantic/embedding.h"
#include "semantic/guard.h"
#include "semantic/normal.h"
#include "semantic/pair.h"
#include "semantic/steady.h"
#include "store/index.h"

#define CANDIDATES 8
#define ASKED      2000

static const struct hash128 part = { 1, 2 };
static const uint64_t scope = 1;

static struct embedder *embedder;
static struct gram_counts *counts;

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void figure(const char *name, double value) { printf("%s %.4f\n", name, value); }

static _Noreturn void give_up(const char *why) {
    fprintf(stderr, "semantic: %s\n", why);
    exit(1);
}

static struct slice read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) give_up(path);
    long size = ftell(f);
    char *data = malloc((size_t)size + 1);
    rewind(f);
    if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size) give_up(path);
    fclose(f);
    return slice_of(data, (size_t)size);
}

static struct static_table *table_of_user(void) {
    struct static_table *t;
    struct failure f;
    const char *path = getenv("ROWS");
    if (path == NULL) return NULL;
    failure_init(&f);
    if (static_table_open(&t, read_file(path), &f) != 0) give_up(f.message);
    return t;
}

/* -- Made-up questions -------------------------------------------------------------------- */

static const char *const verbs[] = {
    "reset", "cancel", "renew", "install", "deploy", "compare", "measure", "repair", "translate", "explain", "export",
    "migrate", "encrypt", "schedule", "monitor", "restore", "configure", "print", "share", "record",
};
static const char *const things[] = {
    "password", "subscription", "database", "kernel module", "passport", "washing machine", "invoice", "mortgage",
    "container", "spreadsheet", "bicycle", "thermostat", "router", "playlist", "contract", "vaccine", "telescope",
    "recipe", "battery", "driving licence", "presentation", "newsletter", "balance sheet", "compiler", "garden",
};
static const char *const places[] = {
    "my account", "the office", "linux", "germany", "a small company", "production", "the kitchen", "python", "winter",
    "an old phone", "the cloud", "a hospital", "the app", "singapore", "my new house", "the browser",
};
static const char *const zh_verbs[] = { "重置", "取消", "更新", "安装", "部署", "比较", "测量", "修理", "翻译", "解释",
                                        "导出", "迁移", "加密", "安排", "监控", "恢复", "设置", "打印", "分享", "记录" };
static const char *const zh_things[] = { "密码", "订阅", "数据库", "内核模块", "护照", "洗衣机", "发票", "贷款", "容器",
                                         "表格", "自行车", "温控器", "路由器", "歌单", "合同", "疫苗", "望远镜", "菜谱",
                                         "电池", "驾照", "演示文稿", "邮件", "资产负债表", "编译器", "花园" };
static const char *const zh_places[] = { "我的账户", "办公室", "手机上", "德国", "小公司", "生产环境", "厨房", "网站上",
                                         "冬天", "旧电脑", "云端", "医院", "应用里", "新加坡", "新房子", "浏览器" };
/* Two ways to ask the same.  The last word is a name that nobody else has. */
static const char *const forms[][2] = {
    { "how do i %s the %s of %s with %s %s?", "how can i %s the %s of %s with %s %s" },
    { "what is the best way to %s a %s in %s by %s %s?", "best way to %s a %s in %s by %s %s" },
    { "can you %s the %s for %s and its %s %s", "please %s the %s for %s and its %s %s" },
    { "why should one %s a %s at %s without %s %s?", "what is the reason to %s a %s at %s without %s %s" },
};
static const char *const zh_forms[][2] = {
    { "如何%s%s在%s和%s%s？", "怎么%s%s在%s和%s%s" },
    { "请问%s%s的%s要不要%s%s吗", "%s%s的%s需要不需要%s%s？" },
};
static const char *const syllables[] = { "ka", "lo", "mi", "ter", "ban", "sho", "vel", "dor",
                                         "rin", "pax", "gul", "zem", "fi", "ost", "quen", "hy" };
static const char *const zh_syllables[] = { "卡", "罗", "米", "特", "班", "肖", "维", "多",
                                            "林", "帕", "古", "泽", "菲", "奥", "昆", "海" };

#define PICK(array, n) (array)[(n) % (sizeof(array) / sizeof(*(array)))]

static void make_name(uint64_t n, bool zh, char *out, size_t size) {
    size_t len = 0;
    for (int i = 0; i < (zh ? 4 : 5) && len < size; i++, n >>= 4)
        len += (size_t)snprintf(out + len, size - len, "%s", zh ? zh_syllables[n & 15] : syllables[n & 15]);
}

/* The n-th, in one of two ways; every fourth in Chinese. */
static struct slice make_question(uint64_t n, int way, char *out, size_t size) {
    uint64_t x = (n + 1) * 0x9E3779B97F4A7C15u;
    char name[40];
    bool zh = n % 4 == 3;
    int len;
    x ^= x >> 29;
    make_name(x >> 40, zh, name, sizeof(name));
    if (zh)
        len = snprintf(out, size, PICK(zh_forms, x)[way], PICK(zh_verbs, x >> 8), PICK(zh_things, x >> 16),
                       PICK(zh_places, x >> 24), PICK(zh_things, x >> 32), name);
    else
        len = snprintf(out, size, PICK(forms, x)[way], PICK(verbs, x >> 8), PICK(things, x >> 16),
                       PICK(places, x >> 24), PICK(things, x >> 32), name);
    return slice_of(out, (size_t)len);
}

/* -- Speed ----------------------------------------------------------------------------------- */

static struct buf normals; /* one after the other */
static size_t *starts;
static struct index *vectors;

static struct slice normal_of(uint64_t n) {
    return slice_of(normals.data + starts[n], starts[n + 1] - starts[n]);
}

static void add_all(uint64_t count) {
    struct embedded_text t;
    double embed = 0, count_ns = 0, add = 0;
    char text[200];
    embedded_text_init(&t);
    for (uint64_t n = 0; n < count; n++) {
        starts[n] = normals.len;
        normal_write(make_question(n, 0, text, sizeof(text)), &normals);
        starts[n + 1] = normals.len;
        double at = cpu_ns();
        if (embedder_embed(embedder, scope, normal_of(n), &t) != 0) give_up("no memory");
        double embedded = cpu_ns();
        gram_counts_add(counts, scope, &t.grams, 1);
        double counted = cpu_ns();
        if (index_add(vectors, part, (struct hash128){ n, n }, t.vector) != 0) give_up("the index is full");
        add += cpu_ns() - counted;
        count_ns += counted - embedded;
        embed += embedded - at;
    }
    figure("add.embed", embed / (double)count / 1e3);
    figure("add.count", count_ns / (double)count / 1e3);
    figure("add.index", add / (double)count / 1e3);
    embedded_text_deinit(&t);
}

/* The best of the candidates, whose texts are embedded again, since only texts are kept; UINT64_MAX: none. */
static uint64_t look_up(struct slice text, float slack, struct buf *normal, struct embedded_text *asked,
                        struct embedded_text *other) {
    struct index_hit hits[CANDIDATES];
    uint64_t best = UINT64_MAX;
    float most = -1;
    buf_clear(normal);
    normal_write(text, normal);
    if (embedder_embed(embedder, scope, buf_get(normal), asked) != 0) give_up("no memory");
    unsigned n = index_search(vectors, part, asked->vector, hits, CANDIDATES);
    for (unsigned i = 0; i < n && hits[i].score + slack > most; i++) {
        if (embedder_embed(embedder, scope, normal_of(hits[i].key.low), other) != 0) give_up("no memory");
        float s = embedder_similarity(embedder, asked, other);
        if (s > most) most = s, best = hits[i].key.low;
    }
    return best;
}

static void time_lookups(uint64_t count) {
    struct embedded_text asked, other;
    struct buf normal;
    struct index_hit hits[CANDIDATES];
    double few = 0, all = 0, search = 0, embed[2] = { 0 }, asked_of[2] = { 0 };
    unsigned found = 0;
    embedded_text_init(&asked);
    embedded_text_init(&other);
    buf_init(&normal, 0);
    for (uint64_t i = 0; i < ASKED; i++) {
        char text[200];
        uint64_t n = i * 7919 % count;
        struct slice s = make_question(n, 1, text, sizeof(text));
        double at = cpu_ns();
        found += look_up(s, EMBEDDER_SLACK, &normal, &asked, &other) == n;
        few += cpu_ns() - at;
        at = cpu_ns();
        look_up(s, 2, &normal, &asked, &other);
        all += cpu_ns() - at;
        at = cpu_ns();
        index_search(vectors, part, asked.vector, hits, CANDIDATES);
        search += cpu_ns() - at;
    }
    for (uint64_t i = 0; i < ASKED; i++) {
        char text[200];
        uint64_t n = i * 104729 % count;
        struct slice s = make_question(n, 1, text, sizeof(text));
        double at = cpu_ns();
        buf_clear(&normal);
        normal_write(s, &normal);
        if (embedder_embed(embedder, scope, buf_get(&normal), &asked) != 0) give_up("no memory");
        embed[n % 4 == 3] += cpu_ns() - at;
        asked_of[n % 4 == 3]++;
    }
    figure("lookup", few / ASKED / 1e3);
    figure("lookup.all", all / ASKED / 1e3);
    figure("search", search / ASKED / 1e3);
    figure("embed.en", embed[0] / asked_of[0] / 1e3);
    figure("embed.zh", embed[1] / asked_of[1] / 1e3);
    figure("not_found", (ASKED - found) * 1000.0 / ASKED);
    embedded_text_deinit(&asked);
    embedded_text_deinit(&other);
    buf_deinit(&normal);
}

static void remove_some(uint64_t count) {
    struct grams g;
    double uncount = 0, remove = 0;
    grams_init(&g);
    for (uint64_t n = 0; n < count; n++) {
        double at = cpu_ns();
        if (grams_read(&g, normal_of(n)) != 0) give_up("no memory");
        gram_counts_add(counts, scope, &g, -1);
        double counted = cpu_ns();
        index_remove(vectors, part, (struct hash128){ n, n });
        remove += cpu_ns() - counted;
        uncount += counted - at;
    }
    figure("remove.count", uncount / (double)count / 1e3);
    figure("remove.index", remove / (double)count / 1e3);
    grams_deinit(&g);
}

static void speed(uint64_t count) {
    buf_init(&normals, 0);
    vectors = index_new(embedder_dims(embedder), (size_t)8 << 30);
    starts = malloc((count + 1) * sizeof(*starts));
    if (vectors == NULL || starts == NULL || count == 0) give_up("no memory");
    add_all(count);
    time_lookups(count);
    remove_some(count / 2);
    index_free(vectors);
    buf_deinit(&normals);
    free(starts);
}

/* -- Pairs -------------------------------------------------------------------------------------- */

struct question {
    struct slice         written;
    struct buf           normal;
    struct embedded_text text;
    struct grams         plain; /* of TF-IDF as textbooks have it */
};

struct pair {
    struct question origin, similar;
    unsigned        group;
    bool            present;
};

/* What one question found. */
struct found {
    float score;
    bool  right, present;
};

static struct pair *pairs;
static size_t pair_count;

static void question_init(struct question *q, struct slice text) {
    q->written = text;
    buf_init(&q->normal, 0);
    normal_write(text, &q->normal);
    embedded_text_init(&q->text);
    grams_init(&q->plain);
}

static void read_pairs(const char *path) {
    struct slice file = read_file(path);
    const char *p = file.ptr, *end = p + file.len;
    for (const char *q = p; q < end; q++) pair_count += *q == '\n';
    pairs = calloc(pair_count, sizeof(*pairs));
    if (pairs == NULL) give_up("no memory");
    for (size_t i = 0; i < pair_count; i++) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        const char *tab = memchr(p, '\t', (size_t)(line - p)), *last = memchr(tab + 1, '\t', (size_t)(line - tab - 1));
        question_init(&pairs[i].origin, slice_of(p, (size_t)(tab - p)));
        question_init(&pairs[i].similar, slice_of(tab + 1, (size_t)(last - tab - 1)));
        pairs[i].group = (unsigned)strtoul(last + 1, NULL, 10);
        pairs[i].present = true;
        p = line + 1;
    }
}

static void embed_question(struct question *q) {
    if (embedder_embed(embedder, scope, buf_get(&q->normal), &q->text) != 0 ||
        grams_read(&q->plain, buf_get(&q->normal)) != 0)
        give_up("no memory");
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void weigh_plain(struct grams *g, const uint32_t *all, size_t n, size_t texts) {
    float sum = 0;
    for (unsigned i = 0; i < g->count; i++) {
        size_t low = 0, high = n, with = 0;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (all[mid] < g->items[i].hash) low = mid + 1;
            else high = mid;
        }
        while (low + with < n && all[low + with] == g->items[i].hash) with++;
        g->items[i].weight *= logf((float)(texts + 1) / (float)(with + 1)) + 1;
        sum += g->items[i].weight * g->items[i].weight;
    }
    for (unsigned i = 0; i < g->count; i++) g->items[i].weight /= sqrtf(sum);
}

/* TF-IDF of character n-grams, exactly counted: what the rest is compared with. */
static void weigh_all_plainly(void) {
    size_t n = 0, texts = 0;
    for (size_t i = 0; i < pair_count; i++) n += pairs[i].origin.plain.count;
    uint32_t *all = malloc((n + 1) * sizeof(*all));
    if (all == NULL) give_up("no memory");
    n = 0;
    for (size_t i = 0; i < pair_count; i++) {
        const struct grams *g = &pairs[i].origin.plain;
        if (!pairs[i].present) continue;
        for (unsigned k = 0; k < g->count; k++) all[n++] = g->items[k].hash;
        texts++;
    }
    qsort(all, n, sizeof(*all), by_number);
    for (size_t i = 0; i < pair_count; i++) {
        weigh_plain(&pairs[i].origin.plain, all, n, texts);
        weigh_plain(&pairs[i].similar.plain, all, n, texts);
    }
    free(all);
}

/* The present ones are counted and, `into` an index if there is one, added. */
static void cache_present(struct index *into) {
    struct grams g;
    grams_init(&g);
    for (size_t i = 0; i < pair_count; i++) {
        if (!pairs[i].present) continue;
        if (grams_read(&g, buf_get(&pairs[i].origin.normal)) != 0) give_up("no memory");
        gram_counts_add(counts, scope, &g, 1);
    }
    for (size_t i = 0; i < pair_count; i++) {
        embed_question(&pairs[i].origin);
        embed_question(&pairs[i].similar);
        if (into != NULL && pairs[i].present)
            index_add(into, part, (struct hash128){ i, i }, pairs[i].origin.text.vector);
    }
    weigh_all_plainly();
    grams_deinit(&g);
}

static void forget_present(void) {
    struct grams g;
    grams_init(&g);
    for (size_t i = 0; i < pair_count; i++) {
        if (!pairs[i].present) continue;
        if (grams_read(&g, buf_get(&pairs[i].origin.normal)) != 0) give_up("no memory");
        gram_counts_add(counts, scope, &g, -1);
    }
    grams_deinit(&g);
}

enum method { TFIDF, GRAMS, TABLE, BOTH, JUDGED, GUARDED };

/* crowd: how near the other candidates are. */
static float score_of(enum method m, const struct question *a, const struct question *b, float crowd) {
    float sum = 0;
    switch (m) {
    case TFIDF: return grams_cosine(&a->plain, &b->plain);
    case GRAMS: return grams_cosine(&a->text.grams, &b->text.grams);
    case TABLE:
        for (unsigned k = 0; k < embedder_meaning(embedder); k++) sum += a->text.meaning[k] * b->text.meaning[k];
        return sum;
    case GUARDED:
        if (guard_compare(a->written, b->written, embedder) != GUARD_SAME) return -2;
        /* fallthrough */
    case JUDGED:
        return steady_score(pair_score(pair_model_builtin(), &a->text, &b->text, NULL, NULL, 0),
                            embedder_similarity(embedder, &a->text, &b->text), crowd, buf_len(&a->normal),
                            buf_len(&b->normal));
    default: return embedder_similarity(embedder, &a->text, &b->text);
    }
}

static void consider(enum method m, size_t asked, size_t i, float crowd, struct found *best) {
    float s = score_of(m, &pairs[asked].similar, &pairs[i].origin, crowd);
    if (s <= best->score) return;
    best->score = s;
    best->right = slice_eq(buf_get(&pairs[i].origin.normal), buf_get(&pairs[asked].origin.normal));
}

/* The best of all, or of the candidates of an index. */
static struct found find(enum method m, struct index *x, size_t asked) {
    struct found best = { .score = -2, .present = pairs[asked].present };
    struct index_hit hits[CANDIDATES];
    float near[CANDIDATES];
    if (x != NULL) {
        unsigned n = index_search(x, part, pairs[asked].similar.text.vector, hits, CANDIDATES);
        for (unsigned i = 0; i < n; i++) near[i] = hits[i].score;
        for (unsigned i = 0; i < n; i++) consider(m, asked, hits[i].key.low, steady_crowd(near, n, i), &best);
        return best;
    }
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].present) consider(m, asked, i, 0, &best);
    return best;
}

static int by_score(const void *a, const void *b) {
    float x = ((const struct found *)a)->score, y = ((const struct found *)b)->score;
    return x > y ? -1 : x < y;
}

static struct found *find_all(enum method m, struct index *x) {
    struct found *all = malloc(pair_count * sizeof(*all));
    if (all == NULL) give_up("no memory");
    for (size_t i = 0; i < pair_count; i++) all[i] = find(m, x, i);
    qsort(all, pair_count, sizeof(*all), by_score);
    return all;
}

/* How many are right above the score from which on more than `wrong` are wrong. */
static unsigned right_at(const struct found *all, unsigned wrong) {
    unsigned right = 0;
    for (size_t i = 0; i < pair_count; i++) {
        if (all[i].right) right++;
        else if (wrong-- == 0) break;
    }
    return right;
}

static void report(const char *name, enum method m, struct index *x) {
    char line[80];
    struct found *all = find_all(m, x);
    static const unsigned wrongs[] = { 20, 40, 100000 };
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof(line), "%s.right.%u", name, wrongs[i]);
        figure(line, right_at(all, wrongs[i]));
    }
    free(all);
}

/* The share of those present that are answered when at most this share of the absent are. */
static double present_at(const struct found *all, double share) {
    size_t present = 0, absent = 0, answered = 0, wrongly = 0;
    for (size_t i = 0; i < pair_count; i++) *(all[i].present ? &present : &absent) += 1;
    for (size_t i = 0; i < pair_count; i++) {
        if (all[i].present) answered++;
        else if ((double)++wrongly > share * (double)absent) break;
    }
    return (double)answered / (double)present;
}

/* A group is present or absent as a whole.  0: the first half, which are about other things than the second. */
static void choose_present(uint64_t seed) {
    unsigned groups = 0;
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].group >= groups) groups = pairs[i].group + 1;
    for (size_t i = 0; i < pair_count; i++) {
        uint64_t x = (pairs[i].group + 1) * 0x9E3779B97F4A7C15u ^ seed * 0xBF58476D1CE4E5B9u;
        x = (x ^ x >> 30) * 0x94D049BB133111EBu;
        pairs[i].present = seed == 0 ? pairs[i].group < groups / 2 : x >> 63;
    }
}

#define SPLITS 10

static const struct {
    const char *name;
    enum method m;
} methods[] = { { "tfidf", TFIDF }, { "grams", GRAMS }, { "table", TABLE }, { "both", BOTH },
                { "judged", JUDGED }, { "guarded", GUARDED } };

#define METHODS (sizeof(methods) / sizeof(*methods))

/* The mean of these splits. */
static void half_absent(const char *how, uint64_t first, uint64_t last) {
    static const double shares[] = { 0.005, 0.01, 0.05 };
    double sums[METHODS][3] = { { 0 } };
    for (uint64_t split = first; split <= last; split++) {
        struct index *x = index_new(embedder_dims(embedder), (size_t)1 << 30);
        if (x == NULL) give_up("no memory");
        choose_present(split);
        cache_present(x);
        for (size_t m = 0; m < METHODS; m++) {
            struct found *all = find_all(methods[m].m, methods[m].m >= JUDGED ? x : NULL);
            for (int i = 0; i < 3; i++) sums[m][i] += present_at(all, shares[i]) / (double)(last - first + 1);
            free(all);
        }
        forget_present();
        index_free(x);
    }
    for (size_t m = 0; m < METHODS; m++)
        for (int i = 0; i < 3; i++) {
            char line[80];
            snprintf(line, sizeof(line), "%s.%s.%g", methods[m].name, how, shares[i] * 100);
            figure(line, 100 * sums[m][i]);
        }
}

static void compare_pairs(const char *path) {
    read_pairs(path);
    struct index *x = index_new(embedder_dims(embedder), (size_t)1 << 30);
    if (x == NULL) give_up("no memory");
    cache_present(x);
    report("tfidf", TFIDF, NULL);
    report("grams", GRAMS, NULL);
    report("table", TABLE, NULL);
    report("both", BOTH, NULL);
    report("index", BOTH, x); /* candidates as the cache has them */
    report("judged", JUDGED, x);
    report("guarded", GUARDED, x); /* as the cache does it when its threshold is "auto" */
    forget_present();
    half_absent("first", 0, 0);
    half_absent("random", 1, SPLITS);
    index_free(x);
}

int main(int argc, char **argv) {
    if (argc < 3) give_up("speed COUNT | pairs FILE");
    struct static_table *t = table_of_user();
    counts = gram_counts_new(20);
    embedder = counts != NULL ? embedder_new(t, counts) : NULL;
    if (embedder == NULL) give_up("no memory");
    if (strcmp(argv[1], "speed") == 0) speed(strtoull(argv[2], NULL, 10));
    else compare_pairs(argv[2]);
    embedder_free(embedder);
    gram_counts_free(counts);
    static_table_close(t);
    return 0;
}
