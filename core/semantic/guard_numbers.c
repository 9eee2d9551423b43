/* guard_numbers.c -- numbers, whatever they are written in, and the units behind them.
 *
 *     3  three  三  3.0      1,000  1000  1k  one thousand  一千      50%  fifty percent  百分之五十
 *     3万  三万  30000        15:00  3 pm                             2024-05-01  2024年5月1日  May 1, 2024
 *
 * A number is compared by its value, but for what only looks like one: 3.10 is another version than 3.1, 1.2.3 is
 * compared as it is written.  II, IV and their like are numbers (type II, World War II), and I, V and X where what
 * stands beside says so (type I, I 型).  Months and times of the day are dates; years and days are numbers.
 *
 * Small numbers that are spelled in Chinese are soft: 两大主题 may be 主题 elsewhere, but not 三大主题.
 *
 * Thread: any; works on the caller's struct alone. */
#include <math.h>
#include <string.h>

#include "semantic/guard_int.h"

/* ORDER guard_words.lua: ids that are needed by name. */
enum { UNIT_PERCENT = 1, UNIT_DOLLAR, UNIT_EURO, UNIT_POUND, UNIT_YUAN, UNIT_MONTH, UNIT_YEAR, UNIT_DAY };

struct number {
    double   value;
    unsigned tokens;  /* from the first on */
    unsigned flags;
    bool     exact;   /* compared by value, not by how it is written */
    bool     percent;
};

/* -- What a token may be in a number --------------------------------------------------------------- */

/* The id of a word of this class at token i, or -1. */
static int id_of(const struct guard_text *t, unsigned i, unsigned class) {
    if (i >= t->token_count || (t->tokens[i].kind != TOKEN_WORD && t->tokens[i].kind != TOKEN_HAN)) return -1;
    return guard_word_id(word_row(WORD_SEED, t->tokens[i].hash), class);
}

static bool is_han(const struct guard_text *t, unsigned i, const char *what) {
    return i < t->token_count && t->tokens[i].kind == TOKEN_HAN && t->tokens[i].len == strlen(what) &&
           memcmp(t->text + t->tokens[i].at, what, t->tokens[i].len) == 0;
}

static bool is_joined(const struct guard_text *t, unsigned i) {
    return i > 0 && t->tokens[i].at == t->tokens[i - 1].at + t->tokens[i - 1].len;
}

/* -- Digits ------------------------------------------------------------------------------------------ */

/* The value of digits with one point at most and commas; more points: false. */
static bool digits_value(const char *p, size_t len, double *value, bool *tail) {
    double v = 0, scale = 1;
    unsigned points = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == ',') continue;
        if (p[i] == '.') {
            points++;
            continue;
        }
        if (!guard_is_digit(p[i])) return false;
        if (points > 0) scale *= 10;
        v = v * 10 + (p[i] - '0');
    }
    *value = v / scale;
    *tail = points > 0 && p[len - 1] == '0' && v != floor(v / scale) * scale;
    return points <= 1;
}

/* 1k, 1.5M, 2bn behind digits: the power of ten, or 0. */
static unsigned suffix_power(const struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    if (i >= t->token_count || k->kind != TOKEN_WORD || !is_joined(t, i)) return 0;
    const char *p = t->text + k->at;
    if (k->len == 1) return (*p | 0x20) == 'k' ? 3 : (*p | 0x20) == 'w' ? 4 : *p == 'M' ? 6 : *p == 'B' ? 9 : 0;
    return k->len == 2 && strncasecmp(p, "bn", 2) == 0 ? 9 : 0;
}

static const double powers[] = { 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12 };

/* Digits, with what multiplies them. */
static bool read_digits(const struct guard_text *t, unsigned i, struct number *n) {
    const struct token *k = &t->tokens[i];
    bool tail = false;
    n->exact = digits_value(t->text + k->at, k->len, &n->value, &tail) && !tail;
    n->tokens = 1;
    unsigned power = suffix_power(t, i + 1);
    if (power > 0) {
        n->value *= powers[power];
        n->exact = true;
        n->tokens = 2;
    }
    for (unsigned more = 0; more < 3; more++) { /* 3 million, 3千万 */
        int power_of = id_of(t, i + n->tokens, WORD_TIMES);
        if (power_of < 0) break;
        n->value *= powers[power_of];
        n->exact = true;
        n->tokens++;
    }
    return true;
}

/* -- English ----------------------------------------------------------------------------------------- */

/* one hundred and twenty-five thousand */
static bool read_english(const struct guard_text *t, unsigned i, struct number *n) {
    double total = 0, current = 0;
    unsigned k = i;
    int last = -1; /* of what size the last word was: what follows must be smaller */
    bool any = false;
    for (; k < t->token_count && t->tokens[k].kind == TOKEN_WORD; k++) {
        int value = id_of(t, k, WORD_NUMBER), times = id_of(t, k, WORD_TIMES);
        bool linked = t->tokens[k].len == 3 && strncasecmp(t->text + t->tokens[k].at, "and", 3) == 0;
        if (value >= 0) {
            if (last >= 0 && (value >= last || (last < 100 && value >= 10))) break;
            current += value;
            last = value >= 20 ? 10 : 0;
            any = true;
        } else if (times >= 0 && any) {
            if (times == 2) current *= 100;
            else total += (current > 0 ? current : 1) * powers[times], current = 0;
            last = 100;
        } else if (!(linked && last == 100 && id_of(t, k + 1, WORD_NUMBER) >= 0)) {
            break;
        }
    }
    if (k == i + 1 && total + current < 3) n->flags |= FACT_SOFT; /* one, first, second */
    n->value = total + current;
    n->tokens = k - i;
    n->exact = true;
    return any;
}

/* -- Roman ------------------------------------------------------------------------------------------- */

/* I to XXXIX, and written as it is written; 0: it is no such number. */
static unsigned roman_value(const char *p, size_t len) {
    static const char *const ones[] = { "", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX" };
    unsigned tens = 0;
    while (tens < 3 && tens < len && (p[tens] | 0x20) == 'x') tens++;
    for (unsigned i = 0; i < 10; i++)
        if (strlen(ones[i]) == len - tens && strncasecmp(p + tens, ones[i], len - tens) == 0) return tens * 10 + i;
    return 0;
}

/* Does the token beside token i say that a number stands there: type I, I 型? */
static bool has_label(const struct guard_text *t, unsigned i) {
    static const char *const front[] = { "type", "phase", "stage", "part", "volume", "vol", "war", "class", "chapter",
                                         "book", "act", "title", "grade", "level", "schedule", "category", "tier",
                                         "section", "article", "division", "group", "module", "calculus", "algebra",
                                         "physics", "chemistry", "factor", "mark", "fantasy", "episode", NULL };
    static const char *const behind[] = { "型", "类", "期", "级", "度", "相", "卷", "部", "章", "代", NULL };
    bool has = false;
    for (const char *const *w = front; i > 0 && *w != NULL && !has; w++) {
        const struct token *k = &t->tokens[i - 1];
        has = k->kind == TOKEN_WORD && k->len == strlen(*w) && strncasecmp(t->text + k->at, *w, k->len) == 0;
    }
    for (const char *const *w = behind; *w != NULL && !has; w++) has = is_han(t, i + 1, *w);
    return has;
}

/* Small letters, and one letter, are a number beside a word that says so only; and "I" may be who asks. */
static bool read_roman(const struct guard_text *t, unsigned i, struct number *n) {
    const struct token *k = &t->tokens[i];
    const char *p = t->text + k->at;
    unsigned value = k->len <= 7 ? roman_value(p, k->len) : 0;
    bool sure = (k->flags & TOKEN_UPPER) != 0;
    if (value == 0 || (!sure && !has_label(t, i)) || (k->len == 1 && !guard_is_upper(*p))) return false;
    if (k->len == 1) n->flags |= FACT_SOFT;
    n->value = value;
    n->tokens = 1;
    n->exact = true;
    return true;
}

/* -- Chinese ------------------------------------------------------------------------------------------- */

/* 三百五十, 二〇二四, 三万; *plain: one small numeral only. */
static unsigned read_han(const struct guard_text *t, unsigned i, double *value, bool *plain) {
    double total = 0, section = 0, digit = -1, row = 0;
    unsigned k = i, digits = 0, times = 0;
    for (; k < t->token_count && t->tokens[k].kind == TOKEN_HAN; k++) {
        int numeral = id_of(t, k, WORD_NUMERAL), power = id_of(t, k, WORD_TIMES);
        if (numeral >= 0) {
            digit = numeral;
            row = row * 10 + digit;
            digits++;
        } else if (power >= 0 && power < 4) {
            if (digits == 0 && power != 1) break; /* 百 alone is no number */
            section += (digit < 0 ? 1 : digit) * powers[power];
            digit = -1, row = 0, times++;
        } else if (power >= 0 && (digits > 0 || times > 0)) {
            total = (total + section + (digit < 0 ? 0 : digit)) * powers[power];
            section = 0, digit = -1, row = 0, times++;
        } else {
            break;
        }
    }
    *value = times == 0 ? row : total + section + (digit < 0 ? 0 : digit);
    *plain = k - i == 1;
    return k - i;
}

static bool read_chinese(const struct guard_text *t, unsigned i, struct number *n) {
    bool plain, of_hundred = is_han(t, i, "百") && is_han(t, i + 1, "分") && is_han(t, i + 2, "之");
    if (of_hundred) {
        n->percent = true;
        if (i + 3 < t->token_count && t->tokens[i + 3].kind == TOKEN_NUMBER) {
            read_digits(t, i + 3, n);
            n->tokens += 3;
            return true;
        }
    }
    n->tokens = read_han(t, i + (of_hundred ? 3 : 0), &n->value, &plain);
    if (n->tokens == 0) return false;
    n->exact = true;
    bool ordinal = i > 0 && is_han(t, i - 1, "第");
    if (plain && n->value <= 10 && !ordinal && !of_hundred) n->flags |= FACT_SOFT;
    if (of_hundred) n->tokens += 3;
    return true;
}

/* -- Units ----------------------------------------------------------------------------------------------- */

static uint32_t key_of(const struct guard_text *t, const struct token *k, const struct number *n) {
    if (!n->exact) return guard_hash(t->text + k->at, k->len) ^ 0x5BD1E995u;
    uint64_t bits;
    memcpy(&bits, &n->value, sizeof(bits));
    return guard_mix((uint32_t)(bits >> 32) ^ guard_mix((uint32_t)bits));
}

static unsigned currency_at(const struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    const char *p = t->text + k->at;
    if (k->kind != TOKEN_SIGN) return 0;
    if (*p == '$') return UNIT_DOLLAR;
    if (k->len == 3 && memcmp(p, "\xe2\x82\xac", 3) == 0) return UNIT_EURO;
    if (k->len == 3 && memcmp(p, "\xef\xbf\xa5", 3) == 0) return UNIT_YUAN;
    if (k->len != 2 || *p != '\xc2') return 0;
    return p[1] == '\xa3' ? UNIT_POUND : p[1] == '\xa5' ? UNIT_YUAN : 0;
}

static void add_time(struct guard_text *t, const struct token *k, unsigned minutes) {
    guard_facts_add(t, GUARD_DATE, 0x30000 | minutes, k, 0);
}

/* 3 pm, 12:30 am; the tokens behind the number, or 0. */
static unsigned half_of_day(struct guard_text *t, unsigned i, const struct token *k, unsigned minutes) {
    const struct token *m = &t->tokens[i];
    if (i >= t->token_count || m->kind != TOKEN_WORD || m->len != 2 || minutes > 12 * 60 + 59) return 0;
    const char *p = t->text + m->at;
    if ((p[1] | 0x20) != 'm' || ((*p | 0x20) != 'a' && (*p | 0x20) != 'p')) return 0;
    add_time(t, k, minutes % (12 * 60) + ((*p | 0x20) == 'p' ? 12 * 60 : 0));
    return 1;
}

/* A time or a date in one token; the tokens it has, or 0: it is neither. */
static unsigned read_date(struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    const char *p = t->text + k->at, *colon = memchr(p, ':', k->len), *end = p + k->len;
    unsigned parts[3] = { 0, 0, 0 }, n = 0;
    for (const char *q = p; q < end; q++) {
        if (guard_is_digit(*q)) parts[n] = parts[n] % 10000 * 10 + (unsigned)(*q - '0');
        else if (++n == 3) return 0;
    }
    if (colon != NULL && n == 1 && parts[0] < 25 && parts[1] < 60) {
        unsigned half = half_of_day(t, i + 1, k, parts[0] * 60 + parts[1]);
        if (half == 0) add_time(t, k, parts[0] * 60 + parts[1]);
        return 1 + half;
    }
    if (n == 0 || (memchr(p, '-', k->len) == NULL && memchr(p, '/', k->len) == NULL)) return 0;
    for (unsigned j = 0; j <= n; j++) {
        struct number one = { .value = parts[j], .exact = true };
        if (j == 1) guard_facts_add(t, GUARD_DATE, parts[1], k, 0);
        else guard_facts_add(t, GUARD_NUMBER, key_of(t, k, &one), k, 0);
    }
    return 1;
}

/* Adds the unit behind the number at token i, returns its tokens.  *month: the number is one. */
static unsigned read_unit(struct guard_text *t, unsigned i, const struct number *n, bool *month) {
    struct guard_entry e;
    unsigned j = i + n->tokens;
    const struct token *last = &t->tokens[j - 1];
    if (t->text[last->at + last->len] == '%') guard_facts_add(t, GUARD_UNIT, UNIT_PERCENT, last, 0);
    if (j >= t->token_count) return 0;
    unsigned many = guard_facts_match(t, j, &e);
    for (unsigned k = 0; k < e.count; k++) {
        const struct guard_word *w = &e.list[k];
        if (w->class != WORD_UNIT) continue;
        *month = w->id == UNIT_MONTH && is_han(t, j, "月") && n->value <= 12;
        bool part = *month || (w->id == UNIT_DAY && (is_han(t, j, "日") || is_han(t, j, "号"))) ||
                    (w->id == UNIT_YEAR && n->value > 1000);
        if (!part) guard_facts_add(t, GUARD_UNIT, w->id, &t->tokens[j], n->flags & FACT_SOFT);
        return many;
    }
    return 0;
}

static bool ends_ordinal(const struct guard_text *t, unsigned i) {
    static const char *const endings[] = { "st", "nd", "rd", "th" };
    if (i >= t->token_count || !is_joined(t, i)) return false;
    if (t->tokens[i].kind != TOKEN_WORD || t->tokens[i].len != 2) return false;
    for (unsigned k = 0; k < sizeof(endings) / sizeof(*endings); k++)
        if (strncasecmp(t->text + t->tokens[i].at, endings[k], 2) == 0) return true;
    return false;
}

/* -- Reading ------------------------------------------------------------------------------------------------ */

unsigned guard_numbers_read(struct guard_text *t, unsigned i) {
    const struct token *k = &t->tokens[i];
    struct number n = { 0 };
    unsigned money = currency_at(t, i);
    if (money > 0) {
        if (i + 1 >= t->token_count || t->tokens[i + 1].kind != TOKEN_NUMBER) return 0;
        guard_facts_add(t, GUARD_UNIT, money, k, 0);
        k = &t->tokens[++i];
    }
    if (k->kind == TOKEN_NUMBER) {
        unsigned date = money > 0 ? 0 : read_date(t, i);
        if (date > 0) return date;
        if (!read_digits(t, i, &n)) return 0;
    } else if (k->kind == TOKEN_HAN) {
        if (!read_chinese(t, i, &n)) return 0;
    } else if (k->kind != TOKEN_WORD || !(read_english(t, i, &n) || read_roman(t, i, &n))) {
        return 0;
    }
    unsigned half = half_of_day(t, i + n.tokens, k, (unsigned)(n.value < 13 ? n.value : 13) * 60);
    if (half > 0) return n.tokens + half;
    bool month = false;
    unsigned unit = ends_ordinal(t, i + n.tokens) ? 1 : read_unit(t, i, &n, &month);
    if (n.percent) guard_facts_add(t, GUARD_UNIT, UNIT_PERCENT, k, 0);
    if (month) guard_facts_add(t, GUARD_DATE, (uint32_t)n.value, k, 0);
    else guard_facts_add(t, GUARD_NUMBER, key_of(t, k, &n), k, n.flags);
    return n.tokens + unit + (money > 0);
}
