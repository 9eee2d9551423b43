/* guard_han.c -- who does what to whom, in Chinese.
 *
 *     张三 欠 李四 的钱怎么办            X M Y
 *     李四 欠 张三 的钱怎么办            Y M X      the same around the same: parts are exchanged
 *
 * Chinese puts no spaces between words and says by place who is who, so rows of characters are compared: where both
 * texts have a row M, and what stands before it in one stands behind it in the other and the other way round, two
 * have exchanged their parts.  Most of what may be said in another order has nothing between (明天北京,
 * 北京明天) and is no exchange.  Nor is a list or a choice (猫和狗, 甲好还是乙好, X N Y N), nor what is
 * asked for (什么是苹果, 苹果是什么).
 *
 * Who says it in other words may say it in another order (动态的搞笑图片, 搞笑的动态图片), so texts
 * that differ besides are told apart only where M has a deed that is listed (欠, 借, 批评) and X and Y are two
 * characters, a word in other letters, or one character that stands for somebody (我, 甲, 妈).
 *
 * What it does not see: parts that are said in other words, and two words that have been exchanged without anything
 * between.  Texts of more than HAN_MOST tokens are looked at from both ends only.
 *
 * No allocation; quadratic, in HAN_MOST tokens at most.  Thread: any; works on the caller's structs alone. */
#include <string.h>

#include "semantic/guard_int.h"

#define HAN_MOST 96 /* tokens of a text whose rows are compared, each with each */
#define ROW_MOST 12 /* tokens of M */
#define ONE_MOST 6  /* tokens of X, of Y */

/* A row of tokens. */
struct row {
    const struct guard_text *t;
    unsigned at, count;
};

/* -- What characters are ------------------------------------------------------------------- */

/* Is token i one of these characters? */
static bool is_among(const struct guard_text *t, unsigned i, const char *characters) {
    const struct token *k = &t->tokens[i];
    if (k->kind != TOKEN_HAN) return false;
    for (const char *p = characters; *p != '\0'; p += 3)
        if (memcmp(p, t->text + k->at, 3) == 0) return true;
    return false;
}

static bool has_among(struct row r, const char *characters) {
    for (unsigned i = 0; i < r.count; i++)
        if (is_among(r.t, r.at + i, characters)) return true;
    return false;
}

static bool all_among(struct row r, const char *characters) {
    for (unsigned i = 0; i < r.count; i++)
        if (!is_among(r.t, r.at + i, characters)) return false;
    return true;
}

static bool has_text(struct row r, const char *what) {
    const struct token *first = &r.t->tokens[r.at], *last = first + r.count - 1;
    return memmem(r.t->text + first->at, (size_t)(last->at + last->len - first->at), what, strlen(what)) != NULL;
}

static bool is_equal(const struct token *a, const struct token *b) { return a->hash == b->hash && a->kind == b->kind; }

static bool is_same(struct row a, struct row b) {
    for (unsigned i = 0; i < a.count; i++)
        if (!is_equal(&a.t->tokens[a.at + i], &b.t->tokens[b.at + i])) return false;
    return a.count == b.count;
}

/* -- What parts are -------------------------------------------------------------------------- */

/* What asks, or says nothing of its own. */
#define ASKS  "什么怎哪几何吗呢吧啥多少为"
#define EMPTY "的了着过地得也都就还又很太最不没是"
/* Which have a side that acts, and one that suffers. */
#define DEEDS "欠借打骂爱恨评扬告诉追咬杀害骗教送寄娶嫁赢输胜克除辞购赶举抢绑救"
#define SOMEBODY "我你您他她它谁甲乙丙丁爸妈爷奶哥姐弟妹夫妻男女儿父母猫狗人"

/* Can it be one of two who have exchanged their parts?  any: the rest of both texts is the same. */
static bool is_one(struct row r, bool any) {
    if (has_among(r, ASKS)) return false;
    if (r.t->tokens[r.at].kind == TOKEN_SIGN || all_among(r, EMPTY)) return false;
    if (r.count > 1 || r.t->tokens[r.at].kind != TOKEN_HAN) return true;
    return any || is_among(r.t, r.at, SOMEBODY);
}

/* Is all that stands between x and y said of each of them, so that they are two of a list (买猫粮好买狗粮好)?
 * How m begins, y is followed, and how it ends, x begins.  Between 甲方 and 乙方 there is a part of a
 * name, too, but something else behind it. */
static bool is_parallel(struct row x, struct row m, struct row y) {
    const struct token *all = m.t->tokens, *behind = all + y.at + y.count;
    unsigned left = m.t->token_count - (y.at + y.count), named = 0, called = 0;
    while (named < m.count && named < left && is_equal(&behind[named], &all[m.at + named])) named++;
    while (called < m.count && called < x.at && is_equal(&all[x.at - 1 - called], &all[m.at + m.count - 1 - called]))
        called++;
    return named > 0 && named + called >= m.count;
}

/* Does m say what x does to y, and join them to no list? */
static bool is_deed(struct row x, struct row m, struct row y) {
    static const char *const lists[] = { "和", "与", "跟", "及", "或", "还是", "又", "且", ",",
                                        /* deeds that have no sides: */
                                        "绑", "连接", "关联", "搭配", "匹配", "对接", NULL };
    for (const char *const *p = lists; *p != NULL; p++)
        if (has_text(m, *p)) return false;
    for (unsigned i = 0; i < m.count; i++)
        if (m.t->tokens[m.at + i].kind == TOKEN_STOP) return false;
    return !is_parallel(x, m, y) && m.t->tokens[m.at].kind != TOKEN_SIGN && !all_among(m, ASKS);
}

/* In a text that asks which of them, the order of two is that of a list, but for 比. */
static bool chooses(const struct guard_text *t, struct row m) {
    static const char *const words[] = { "哪个", "哪款", "哪种", "哪家", "谁更",
                                        "区别", "对比", "比较", "相比", NULL };
    if (has_text(m, "比") && !has_text(m, "比较")) return false;
    for (const char *const *p = words; *p != NULL; p++)
        if (memmem(t->text, t->len, *p, strlen(*p)) != NULL) return true;
    return false;
}

static bool has_comma(struct row r) {
    unsigned from = r.t->tokens[r.at].at, to = r.t->tokens[r.at + r.count - 1].at;
    return memchr(r.t->text + from, ',', to - from) != NULL;
}

static bool has_number(struct row r) {
    for (unsigned i = 0; i < r.count; i++)
        if (r.t->tokens[r.at + i].kind == TOKEN_NUMBER) return true;
    return false;
}

/* One of the two texts has x, m, y behind each other; can it be that these exchanged their parts in the other? */
static bool can_exchange(struct row x, struct row m, struct row y, bool any) {
    if (!is_one(x, any) || !is_one(y, any) || is_same(x, y)) return false;
    if (all_among(m, "的") && (has_number(x) || has_number(y))) return false; /* 100的百分之二十 */
    if (has_among(x, "谁") != has_among(y, "谁") && has_text(m, "是")) return false; /* 谁是老板, 老板是谁 */
    if (!any && !has_among(m, DEEDS)) return false;
    return is_deed(x, m, y) && !chooses(x.t, m) &&
           !has_comma((struct row){ x.t, x.at, x.count + m.count + y.count });
}

/* a has x, m, y from i on, and b has y, m, x from k on. */
static bool is_exchange(const struct guard_text *a, unsigned i, const struct guard_text *b, unsigned k, unsigned x,
                        unsigned m, unsigned y, bool any) {
    struct row ax = { a, i, x }, am = { a, i + x, m }, ay = { a, i + x + m, y };
    struct row by = { b, k, y }, bm = { b, k + y, m }, bx = { b, k + y + m, x };
    return can_exchange(ax, am, ay, any) && can_exchange(by, bm, bx, any);
}

/* -- The same but for two ------------------------------------------------------------------------ */

enum found { FOUND_NOTHING, FOUND_EXCHANGE, FOUND_OTHER_ORDER };

/* Is the core of a, from `from` on, x m y, and that of b y m x?  Without m it is another order. */
static enum found look_at_cores(const struct guard_text *a, const struct guard_text *b, unsigned from, unsigned count) {
    enum found found = FOUND_NOTHING;
    for (unsigned n = 1; n < count && n <= ONE_MOST; n++) {
        struct row x = { a, from, n };
        if (!is_same(x, (struct row){ b, from + count - n, n })) continue;
        for (unsigned k = 1; n + k <= count && k <= count - n; k++) {
            struct row y = { a, from + count - k, k }, m = { a, from + n, count - n - k };
            if (!is_same(y, (struct row){ b, from, k })) continue;
            if (m.count == 0) return FOUND_OTHER_ORDER;
            if (k <= ONE_MOST && is_same(m, (struct row){ b, from + k, m.count }) &&
                is_exchange(a, from, b, from, n, m.count, k, true))
                found = FOUND_EXCHANGE;
        }
    }
    return found;
}

static enum found look_at_ends(const struct guard_text *a, const struct guard_text *b) {
    unsigned from = 0, end = a->token_count;
    if (end != b->token_count) return FOUND_NOTHING;
    while (from < end && is_equal(&a->tokens[from], &b->tokens[from])) from++;
    while (end > from && is_equal(&a->tokens[end - 1], &b->tokens[end - 1])) end--;
    bool small = end - from >= 2 && end - from <= 2 * ONE_MOST + ROW_MOST;
    return small ? look_at_cores(a, b, from, end - from) : FOUND_NOTHING;
}

/* -- In texts that are not the same ---------------------------------------------------------------- */

/* How many tokens in front of i of a are those from k of b on; the longest row of ONE_MOST that is. */
static unsigned before(const struct guard_text *a, unsigned i, const struct guard_text *b, unsigned k) {
    for (unsigned n = ONE_MOST; n > 0; n--)
        if (n <= i && k + n <= b->token_count && is_same((struct row){ a, i - n, n }, (struct row){ b, k, n }))
            return n;
    return 0;
}

/* Is there a row from i of a and k of b on around which two have exchanged their places? */
static bool exchanges_at(const struct guard_text *a, unsigned i, const struct guard_text *b, unsigned k) {
    for (unsigned n = 1; n <= ROW_MOST; n++) {
        if (i + n >= a->token_count || k + n >= b->token_count) return false;
        if (!is_equal(&a->tokens[i + n - 1], &b->tokens[k + n - 1])) return false;
        unsigned x = before(a, i, b, k + n), y = x > 0 ? before(b, k, a, i + n) : 0;
        if (y > 0 && is_exchange(a, i - x, b, k - y, x, n, y, false)) return true;
    }
    return false;
}

bool guard_han_differs(const struct guard_text *a, const struct guard_text *b) {
    if (a->han == 0 || b->han == 0) return false;
    enum found found = look_at_ends(a, b);
    if (found != FOUND_NOTHING) return found == FOUND_EXCHANGE;
    if (a->token_count > HAN_MOST || b->token_count > HAN_MOST) return false;
    for (unsigned i = 1; i < a->token_count; i++)
        for (unsigned k = 1; k < b->token_count; k++)
            if (exchanges_at(a, i, b, k)) return true;
    return false;
}
