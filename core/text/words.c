/* words.c -- which words must not be lost, and which say little.
 *
 * English words are listed by their first letter and their length, so that most words of a
 * text are compared with none.
 *
 * Chinese has no word borders: a character may be a negation (不), part of one (不得)
 * or part of something else (非常, 特别).  So characters are looked up by a switch, and
 * the neighbours decide: the longest word that begins there wins, and those that make it
 * harmless are known.  When in doubt a word is protected: too much is kept whole, but
 * nothing is lost.
 *
 * Constants and pure functions; any thread. */
#include "text/words.h"

#include <string.h>

#include "text/scan.h"

/* -- English ------------------------------------------------------------------------ */

/* The words that every word of a text is compared with: by first letter and length, and by
 * the letters that stand second in them, so that most of a text are plain at once.  Behind
 * each stands what it is: - negation, * quantifier, ! modal. */
#define POLAR_MOST 13
struct polar {
    uint32_t    seconds; /* bits */
    const char *words;
};
#define L(letter) (UINT32_C(1) << (letter - 'a'))

static const struct polar polar[26][POLAR_MOST + 1] = {
    ['a' - 'a'] = { [3] = { L('l') | L('n'), "all*any*" }, [6] = { L('b') | L('l'), "absent-always*almost*" },
                    [7] = { L('l'), "allowed!" }, [13] = { L('p'), "approximately*" } },
    ['b' - 'a'] = { [4] = { L('o'), "both*" }, [6] = { L('a'), "barely-" } },
    ['c' - 'a'] = { [4] = { L('a'), "cant!" }, [6] = { L('a'), "cannot!" } },
    ['d' - 'a'] = { [4] = { L('e'), "deny-" }, [6] = { L('e'), "denied-" }, [8] = { L('i'), "disallow!" },
                    [10] = { L('i'), "disallowed!" } },
    ['e' - 'a'] = { [4] = { L('a'), "each*" }, [5] = { L('v'), "every*" },
                    [6] = { L('i') | L('x') | L('n'), "either*except*entire*" }, [7] = { L('x'), "exactly*" },
                    [8] = { L('v'), "everyone*" }, [9] = { L('x'), "excluding*" }, [10] = { L('v'), "everything*" } },
    ['f' - 'a'] = { [3] = { L('e'), "few*" }, [4] = { L('a'), "fail-" },
                    [5] = { L('a') | L('e') | L('i'), "fails-false-fewer*first*" },
                    [6] = { L('a') | L('o'), "failed-forbid!" }, [9] = { L('o'), "forbidden!" } },
    ['h' - 'a'] = { [4] = { L('a'), "half*" }, [6] = { L('a'), "hardly-" } },
    ['i' - 'a'] = { [2] = { L('f'), "if*" } },
    ['l' - 'a'] = { [4] = { L('a') | L('e'), "lack-less*last*" }, [5] = { L('a') | L('e'), "lacks-least*" },
                    [7] = { L('a'), "lacking-" } },
    ['m' - 'a'] = { [3] = { L('a'), "may!" }, [4] = { L('a') | L('o') | L('u'), "many*more*most*much*must!" },
                    [5] = { L('i'), "might!" }, [6] = { L('e'), "merely*" },
                    [7] = { L('a') | L('i'), "maximum*minimum*" }, [9] = { L('a'), "mandatory!" } },
    ['n' - 'a'] = { [2] = { L('o'), "no-" }, [3] = { L('o'), "not-nor-non-" }, [4] = { L('o'), "none-" },
                    [5] = { L('e'), "never-" }, [6] = { L('o') | L('e'), "nobody-nearly*" },
                    [7] = { L('o') | L('e'), "nothing-nowhere-neither-" } },
    ['o' - 'a'] = { [3] = { L('n'), "one*" }, [4] = { L('n'), "only*once*" }, [8] = { L('p'), "optional!" },
                    [9] = { L('t'), "otherwise*" } },
    ['p' - 'a'] = { [8] = { L('r'), "prohibit!" }, [9] = { L('e'), "permitted!" }, [10] = { L('r'), "prohibited!" } },
    ['r' - 'a'] = { [6] = { L('a') | L('e'), "rarely-refuse-" }, [7] = { L('e'), "require!" },
                    [8] = { L('e'), "requires!required!" } },
    ['s' - 'a'] = { [4] = { L('o'), "some*" }, [5] = { L('h'), "shall!" },
                    [6] = { L('e') | L('o') | L('h'), "seldom-solely*should!" }, [7] = { L('e'), "several*" },
                    [8] = { L('c'), "scarcely-" } },
    ['t' - 'a'] = { [3] = { L('w') | L('e'), "two*ten*" }, [4] = { L('h'), "than*" },
                    [5] = { L('h') | L('w'), "three*third*twice*" } },
    ['u' - 'a'] = { [5] = { L('n'), "until*" }, [6] = { L('n'), "unless*" } },
    ['w' - 'a'] = { [5] = { L('h'), "whole*" }, [7] = { L('i') | L('h'), "without-whether*" } },
};
#undef L

/* Words by first letter and length, each with a space behind it. */
#define LISTED_MOST 12
typedef const char *const word_list[26][LISTED_MOST + 1];

static word_list units = {
    ['a' - 'a'] = { [1] = "a ", [2] = "am " },
    ['b' - 'a'] = { [1] = "b ", [2] = "bn ", [3] = "bit bps ", [4] = "bits byte ", [5] = "bytes ", [7] = "billion " },
    ['c' - 'a'] = { [1] = "c ", [2] = "cm ", [5] = "cents ", [7] = "century ", [9] = "centuries " },
    ['d' - 'a'] = { [2] = "db ", [3] = "day ", [4] = "days ", [6] = "dollar degree ", [7] = "dollars degrees " },
    ['e' - 'a'] = { [3] = "eur ", [4] = "euro ", [5] = "euros " },
    ['f' - 'a'] = { [2] = "ft ", [4] = "feet foot " },
    ['g' - 'a'] = { [1] = "g ", [2] = "gb gw ", [3] = "gib ghz ", [4] = "gram gbps ", [5] = "grams " },
    ['h' - 'a'] = { [1] = "h ", [2] = "hr hz ", [3] = "hrs ", [4] = "hour ", [5] = "hours " },
    ['i' - 'a'] = { [4] = "inch ", [6] = "inches " },
    ['k' - 'a'] = { [1] = "k ", [2] = "kb kg km kw ", [3] = "kib kwh khz ", [4] = "kbps ",
                    [10] = "kilometers kilometres " },
    ['l' - 'a'] = { [2] = "lb ", [3] = "lbs ", [5] = "liter litre ", [6] = "liters litres " },
    ['m' - 'a'] = { [1] = "m ", [2] = "mb ms mm mg ml mw ", [3] = "mib min mhz ", [4] = "mins mbps mile ",
                    [5] = "month meter metre miles ", [6] = "minute months meters metres ",
                    [7] = "minutes million " },
    ['n' - 'a'] = { [2] = "ns nm " },
    ['o' - 'a'] = { [2] = "oz " },
    ['p' - 'a'] = { [2] = "pm px pb ", [3] = "ppm ", [5] = "pages ", [6] = "points people ", [7] = "percent " },
    ['q' - 'a'] = { [3] = "qps " },
    ['r' - 'a'] = { [3] = "rmb rpm rps " },
    ['s' - 'a'] = { [1] = "s ", [3] = "sec ", [4] = "secs ", [6] = "second ", [7] = "seconds " },
    ['t' - 'a'] = { [2] = "tb ", [3] = "tib tps ", [4] = "tons ", [5] = "times ", [6] = "tokens tonnes ",
                    [8] = "thousand trillion " },
    ['u' - 'a'] = { [2] = "us ", [3] = "usd " },
    ['v' - 'a'] = { [1] = "v " },
    ['w' - 'a'] = { [1] = "w ", [4] = "week ", [5] = "weeks watts " },
    ['y' - 'a'] = { [2] = "yr ", [3] = "yrs ", [4] = "year yuan ", [5] = "years " },
};
static word_list abbreviations = {
    ['a' - 'a'] = { [1] = "a ", [2] = "al ", [3] = "apr aug ave ", [6] = "approx " },
    ['b' - 'a'] = { [1] = "b ", [4] = "bros " },
    ['c' - 'a'] = { [1] = "c ", [2] = "ca cf ch co ", [3] = "col ", [4] = "corp " },
    ['d' - 'a'] = { [1] = "d ", [2] = "dr ", [3] = "dec ", [4] = "dept " },
    ['e' - 'a'] = { [1] = "e ", [2] = "ed eq ex ", [3] = "eds eqs esp est etc " },
    ['f' - 'a'] = { [1] = "f ", [3] = "feb fig ", [4] = "figs " },
    ['g' - 'a'] = { [1] = "g ", [3] = "gen gov " },
    ['h' - 'a'] = { [1] = "h ", [3] = "hon " },
    ['i' - 'a'] = { [1] = "i ", [3] = "inc ", [4] = "ibid " },
    ['j' - 'a'] = { [1] = "j ", [2] = "jr ", [3] = "jan jul jun " },
    ['k' - 'a'] = { [1] = "k " },
    ['l' - 'a'] = { [1] = "l ", [2] = "lt ", [3] = "ltd " },
    ['m' - 'a'] = { [1] = "m ", [2] = "mr ms mt ", [3] = "maj mar max min mrs ", [6] = "messrs " },
    ['n' - 'a'] = { [1] = "n ", [2] = "no ", [3] = "nos nov " },
    ['o' - 'a'] = { [1] = "o ", [2] = "op ", [3] = "oct " },
    ['p' - 'a'] = { [1] = "p ", [2] = "pp ph pt ", [4] = "prof " },
    ['q' - 'a'] = { [1] = "q " },
    ['r' - 'a'] = { [1] = "r ", [3] = "ref rep rev ", [4] = "refs " },
    ['s' - 'a'] = { [1] = "s ", [2] = "sr st ", [3] = "sec sen sep sgt ", [4] = "sept " },
    ['t' - 'a'] = { [1] = "t " },
    ['u' - 'a'] = { [1] = "u ", [4] = "univ " },
    ['v' - 'a'] = { [1] = "v ", [2] = "vs ", [3] = "vol ", [4] = "vols " },
    ['w' - 'a'] = { [1] = "w " },
    ['x' - 'a'] = { [1] = "x " },
    ['y' - 'a'] = { [1] = "y " },
    ['z' - 'a'] = { [1] = "z " },
};
static word_list questions = {
    ['a' - 'a'] = { [1] = "a ", [2] = "an as at ", [3] = "and any are ", [5] = "about ", [6] = "answer " },
    ['b' - 'a'] = { [2] = "be by ", [3] = "but ", [4] = "been " },
    ['c' - 'a'] = { [3] = "can ", [5] = "could " },
    ['d' - 'a'] = { [2] = "do ", [3] = "did ", [4] = "does ", [8] = "describe " },
    ['e' - 'a'] = { [7] = "explain " },
    ['f' - 'a'] = { [3] = "for ", [4] = "find from " },
    ['g' - 'a'] = { [3] = "get ", [4] = "give ", [5] = "given " },
    ['h' - 'a'] = { [2] = "he ", [3] = "had has her his how ", [4] = "have " },
    ['i' - 'a'] = { [1] = "i ", [2] = "if in is it ", [3] = "its ", [4] = "into " },
    ['k' - 'a'] = { [4] = "know " },
    ['l' - 'a'] = { [4] = "list " },
    ['m' - 'a'] = { [2] = "me my ", [4] = "many much " },
    ['o' - 'a'] = { [2] = "of on or ", [3] = "our " },
    ['p' - 'a'] = { [6] = "please " },
    ['q' - 'a'] = { [8] = "question " },
    ['s' - 'a'] = { [2] = "so ", [3] = "she ", [4] = "some ", [6] = "should ", [9] = "summarize " },
    ['t' - 'a'] = { [2] = "to ", [3] = "the ", [4] = "tell than that them then they this ",
                    [5] = "their there these those " },
    ['u' - 'a'] = { [2] = "us " },
    ['w' - 'a'] = { [2] = "we ", [3] = "was who why ", [4] = "were what when whom will with ",
                    [5] = "where which whose would " },
    ['y' - 'a'] = { [3] = "you ", [4] = "your " },
};
static word_list dependents = {
    ['a' - 'a'] = { [3] = "and ", [4] = "also ", [8] = "although ", [10] = "afterwards ", [11] = "accordingly ",
                    [12] = "additionally " },
    ['b' - 'a'] = { [3] = "but ", [4] = "both ", [7] = "because " },
    ['c' - 'a'] = { [10] = "conversely ", [12] = "consequently " },
    ['e' - 'a'] = { [6] = "either " },
    ['f' - 'a'] = { [7] = "finally ", [11] = "furthermore " },
    ['h' - 'a'] = { [2] = "he ", [3] = "her him his ", [4] = "hers ", [5] = "hence ", [7] = "however " },
    ['i' - 'a'] = { [2] = "it ", [3] = "its ", [7] = "instead " },
    ['l' - 'a'] = { [8] = "likewise " },
    ['m' - 'a'] = { [8] = "moreover ", [9] = "meanwhile " },
    ['n' - 'a'] = { [3] = "nor ", [7] = "neither ", [11] = "nonetheless ", [12] = "nevertheless " },
    ['o' - 'a'] = { [2] = "or ", [9] = "otherwise " },
    ['s' - 'a'] = { [2] = "so ", [3] = "she ", [4] = "such ", [5] = "still ", [9] = "similarly " },
    ['t' - 'a'] = { [4] = "that them then they this thus ", [5] = "their there these those ", [6] = "though ",
                    [7] = "thereby ", [9] = "therefore " },
    ['w' - 'a'] = { [5] = "which " },
    ['y' - 'a'] = { [3] = "yet " },
};

/* In what letter the words begin is known. */
static bool same_letters(const char *lower, const char *word, size_t len) {
    size_t i = 1;
    while (i < len && lower[i] == (word[i] | 0x20)) i++;
    return i == len;
}

static bool listed(word_list words, const char *word, size_t len) {
    unsigned first = ((unsigned)(unsigned char)word[0] | 0x20) - 'a';
    if (len == 0 || len > LISTED_MOST || first >= 26 || words[first][len] == NULL) return false;
    for (const char *p = words[first][len]; *p != '\0'; p += len + 1)
        if (same_letters(p, word, len)) return true;
    return false;
}

unsigned text_word_polarity(const char *word, size_t len) {
    unsigned first = ((unsigned)(unsigned char)word[0] | 0x20) - 'a';
    if (len < 2 || len > POLAR_MOST || first >= 26) return TEXT_WORD_PLAIN;
    const struct polar *p = &polar[first][len];
    if ((p->seconds >> (((unsigned)(unsigned char)word[1] - 'a') & 31) & 1) == 0) return TEXT_WORD_PLAIN;
    for (const char *w = p->words; *w != '\0'; w += len + 1)
        if (same_letters(w, word, len))
            return w[len] == '-' ? TEXT_NEGATION : w[len] == '*' ? TEXT_QUANTIFIER : TEXT_MODAL;
    return TEXT_WORD_PLAIN;
}

bool text_word_is_unit(const char *word, size_t len) { return listed(units, word, len); }
bool text_word_is_abbreviation(const char *word, size_t len) { return listed(abbreviations, word, len); }
bool text_word_is_question(const char *word, size_t len) { return listed(questions, word, len); }
bool text_word_is_dependent(const char *word, size_t len) { return listed(dependents, word, len); }

/* -- Chinese ------------------------------------------------------------------------- */

/* Is the character behind p one of these, three bytes each? */
static bool next_in(const char *p, const char *end, const char *set) {
    if (end - p < 6) return false;
    for (; *set != '\0'; set += 3)
        if (memcmp(p + 3, set, 3) == 0) return true;
    return false;
}

static bool prior_in(const char *p, const char *begin, const char *set) {
    if (p - begin < 3) return false;
    for (; *set != '\0'; set += 3)
        if (memcmp(p - 3, set, 3) == 0) return true;
    return false;
}

/* The first of the words that begins at p, its bytes; 0: none does. */
static size_t one_of(const char *p, const char *end, const char *words) {
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        if ((size_t)(end - p) >= n && memcmp(p, words, n) == 0) return n;
        words += n + (words[n] == ' ');
    }
    return 0;
}

/* The negations that begin with c, longer ones first; NULL: it negates nothing here. */
static const char *negations_of(uint32_t c, const char *p, const char *begin, const char *end) {
    switch (c) {
    case 0x6CA1: return "没有 没";
    case 0x6C92: return "沒有 沒";
    case 0x65E0: return "无法 无需 无须 无";
    case 0x7121: return "無法 無需 無須 無";
    case 0x52FF: return "勿";
    case 0x83AB: return "莫";
    case 0x6BCB: return "毋";
    case 0x672A: return next_in(p, end, "来來") ? NULL : "未曾 未能 未必 未"; /* not 未来 */
    case 0x975E: return next_in(p, end, "常洲") || prior_in(p, begin, "除") ? NULL : "非"; /* not 非常 */
    case 0x522B: /* 别, not 特别 or 别人 */
    case 0x5225: /* 別 */
        if (prior_in(p, begin, "特分区區级級类類性個个识識告差派鉴鑑")) return NULL;
        return next_in(p, end, "人的墅名处處致") ? NULL : "别 別";
    case 0x5426: return prior_in(p, begin, "是能可") ? NULL : "否"; /* not 是否 */
    default: return NULL;
    }
}

static const char *quantifiers_of(uint32_t c, const char *p, const char *begin) {
    switch (c) {
    case 0x9664: return "除非 除了 除去 除此";
    case 0x6240: return "所有";
    case 0x5168: return prior_in(p, begin, "安健完") ? NULL : "全部 全体 全都 全"; /* not 安全 */
    case 0x4EFB: return "任何 任意 任一";
    case 0x81F3: return "至少 至多";
    case 0x6700: return "最多 最少 最大 最小 最";
    case 0x53EA: return "只有 只能 只要 只是 只";
    case 0x4EC5: return "仅仅 仅限 仅";
    case 0x50C5: return "僅";
    case 0x90E8: return "部分";
    case 0x5927: return "大约 大部分 大多数 大多";
    case 0x67D0: return "某些 某";
    case 0x5982: return "如果";
    case 0x4E00: return "一切 一些 一律";
    case 0x552F: return "唯一";
    case 0x60DF: return "惟一";
    case 0x7EDD: return "绝大多数";
    case 0x5C11: return "少数 少于";
    case 0x591A: return "多数 多于";
    case 0x6BCF: return "每";
    case 0x5404: return "各";
    case 0x90FD: return "都";
    case 0x5747: return "均";
    default: return NULL;
    }
}

static const char *modals_of(uint32_t c, const char *p, const char *begin, const char *end) {
    switch (c) {
    case 0x5FC5: return "必须 必需 必要 必定 必";
    case 0x7981: return "禁止 禁";
    case 0x5E94: /* not 响应, 应用 */
        if (prior_in(p, begin, "响适反效相对供") || next_in(p, end, "用对答付急变聘届")) return NULL;
        return "应该 应当 应";
    case 0x52A1: return "务必";
    case 0x987B: return "须";
    case 0x4E25: return "严禁";
    case 0x5141: return "允许";
    case 0x62D2: return "拒绝";
    case 0x907F: return "避免";
    default: return NULL;
    }
}

unsigned text_zh_polarity(uint32_t c, const char *p, const char *begin, const char *end, size_t *len) {
    if (c < 0x4E00 || c > 0x9FFF) return TEXT_WORD_PLAIN;
    if (c == 0x4E0D) { /* 不, by far the most frequent */
        *len = next_in(p, end, "得可能要准许应会必是再用仅") ? 6 : 3;
        return TEXT_NEGATION;
    }
    const char *words = negations_of(c, p, begin, end);
    if (words != NULL && (*len = one_of(p, end, words)) > 0) return TEXT_NEGATION;
    words = quantifiers_of(c, p, begin);
    if (words != NULL && (*len = one_of(p, end, words)) > 0) return TEXT_QUANTIFIER;
    words = modals_of(c, p, begin, end);
    return words != NULL && (*len = one_of(p, end, words)) > 0 ? TEXT_MODAL : TEXT_WORD_PLAIN;
}

/* ORDER: all first characters of negations_of(), quantifiers_of(), modals_of() and
 * text_zh_is_numeral(), as bits: all the others of a text need no more than this. */
#define ROW(c) (((c) >> 6) - (0x4E00 >> 6))
#define BIT(c) (UINT64_C(1) << ((c) & 63))

const uint64_t text_zh_firsts[ROW(0x9FFF) + 1] = {
    [ROW(0x4E00)] = BIT(0x4E00) | BIT(0x4E03) | BIT(0x4E07) | BIT(0x4E09) | BIT(0x4E0D) | BIT(0x4E24) | BIT(0x4E25),
    [ROW(0x4E5D)] = BIT(0x4E5D), [ROW(0x4E8C)] = BIT(0x4E8C) | BIT(0x4E94) | BIT(0x4EBF),
    [ROW(0x4EC5)] = BIT(0x4EC5) | BIT(0x4EFB), [ROW(0x50C5)] = BIT(0x50C5),
    [ROW(0x5141)] = BIT(0x5141) | BIT(0x5168) | BIT(0x516B) | BIT(0x516D), [ROW(0x5225)] = BIT(0x5225) | BIT(0x522B),
    [ROW(0x52A1)] = BIT(0x52A1), [ROW(0x52FF)] = BIT(0x52FF), [ROW(0x5341)] = BIT(0x5341) | BIT(0x5343),
    [ROW(0x53EA)] = BIT(0x53EA), [ROW(0x5404)] = BIT(0x5404) | BIT(0x5426), [ROW(0x552F)] = BIT(0x552F),
    [ROW(0x56DB)] = BIT(0x56DB), [ROW(0x5747)] = BIT(0x5747), [ROW(0x591A)] = BIT(0x591A) | BIT(0x5927),
    [ROW(0x5982)] = BIT(0x5982), [ROW(0x5C11)] = BIT(0x5C11), [ROW(0x5E94)] = BIT(0x5E94),
    [ROW(0x5FC5)] = BIT(0x5FC5), [ROW(0x60DF)] = BIT(0x60DF), [ROW(0x6240)] = BIT(0x6240),
    [ROW(0x62D2)] = BIT(0x62D2), [ROW(0x65E0)] = BIT(0x65E0), [ROW(0x6700)] = BIT(0x6700) | BIT(0x672A),
    [ROW(0x67D0)] = BIT(0x67D0), [ROW(0x6BCB)] = BIT(0x6BCB) | BIT(0x6BCF), [ROW(0x6C92)] = BIT(0x6C92) | BIT(0x6CA1),
    [ROW(0x7121)] = BIT(0x7121), [ROW(0x767E)] = BIT(0x767E), [ROW(0x7981)] = BIT(0x7981),
    [ROW(0x7EDD)] = BIT(0x7EDD), [ROW(0x81F3)] = BIT(0x81F3), [ROW(0x83AB)] = BIT(0x83AB),
    [ROW(0x907F)] = BIT(0x907F), [ROW(0x90E8)] = BIT(0x90E8) | BIT(0x90FD), [ROW(0x9664)] = BIT(0x9664),
    [ROW(0x96F6)] = BIT(0x96F6), [ROW(0x975E)] = BIT(0x975E), [ROW(0x987B)] = BIT(0x987B),
};
#undef ROW
#undef BIT

/* A character that is part of a unit only in front of another: 小时 公里 美元 平方 毫米. */
static bool begins_unit(uint32_t c) {
    switch (c) {
    case 0x5C0F: case 0x949F: case 0x516C: case 0x7F8E: case 0x6B27: case 0x5E73: /* 小钟公美欧平 */
    case 0x7ACB: case 0x6BEB: case 0x5398: case 0x5206:                           /* 立毫厘分 */
        return true;
    default: return false;
    }
}

size_t text_zh_unit(uint32_t c, const char *p, const char *end) {
    if (begins_unit(c) && next_in(p, end, "时里斤顷元方米升秒克钟")) return 6;
    switch (c) {
    case 0x5E74: case 0x6708: case 0x65E5: case 0x53F7: case 0x5929: case 0x5468: /* 年月日号天周 */
    case 0x65F6: case 0x5206: case 0x79D2: case 0x70B9: case 0x5143: case 0x5757: /* 时分秒点元块 */
    case 0x89D2: case 0x5343: case 0x767E: case 0x4E07: case 0x4EBF: case 0x5146: /* 角千百万亿兆 */
    case 0x4E2A: case 0x4EBA: case 0x6B21: case 0x4EF6: case 0x6761: case 0x540D: /* 个人次件条名 */
    case 0x4F4D: case 0x5C81: case 0x5EA6: case 0x7EA7: case 0x5C42: case 0x697C: /* 位岁度级层楼 */
    case 0x9875: case 0x7AE0: case 0x8282: case 0x7C73: case 0x514B: case 0x65A4: /* 页章节米克斤 */
    case 0x5428: case 0x5347: case 0x500D: case 0x6298: case 0x6210: case 0x79CD: /* 吨升倍折成种 */
    case 0x9879: case 0x53F0: case 0x8F86: case 0x671F: case 0x4EFD: case 0x5BB6: /* 项台辆期份家 */
    case 0x5B57: case 0xFF05: case 0x2030: case 0x2103: return 3;                 /* 字％‰℃ */
    case 0xB0: return 2;                                                          /* degree */
    default: return 0;
    }
}

bool text_zh_is_numeral(uint32_t c) {
    switch (c) {
    case 0x3007: case 0x96F6: case 0x4E00: case 0x4E8C: case 0x4E09: case 0x56DB: case 0x4E94: /* 〇 to 五 */
    case 0x516D: case 0x4E03: case 0x516B: case 0x4E5D: case 0x5341: case 0x767E: case 0x5343: /* 六 to 千 */
    case 0x4E07: case 0x4EBF: case 0x4E24:                                                     /* 万亿两 */
        return true;
    default: return false;
    }
}

bool text_zh_is_question(uint32_t a, uint32_t b) {
    static const uint32_t pairs[][2] = {
        { 0x4EC0, 0x4E48 }, { 0x600E, 0x4E48 }, { 0x600E, 0x6837 }, /* 什么 怎么 怎样 */
        { 0x5982, 0x4F55 }, { 0x591A, 0x5C11 }, { 0x54EA, 0x4E9B }, /* 如何 多少 哪些 */
        { 0x54EA, 0x4E2A }, { 0x54EA, 0x91CC }, { 0x8BF7, 0x95EE }, /* 哪个 哪里 请问 */
        { 0x662F, 0x5426 }, { 0x4E3A, 0x4EC0 }, { 0x4E48, 0x6837 }, /* 是否 为什 么样 */
        { 0x662F, 0x4EC0 }, { 0x6709, 0x54EA }, { 0x662F, 0x591A }, /* 是什 有哪 是多 */
        { 0x4EC0, 0x9EBC }, { 0x591A, 0x4E45 }, { 0x51E0, 0x4E2A }, /* 什麼 多久 几个 */
        { 0x544A, 0x8BC9 }, { 0x8BF4, 0x660E }, /* 告诉 说明 */
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (pairs[i][0] == a && pairs[i][1] == b) return true;
    return false;
}

/* The words that begin with c and refer back; NULL: none does. */
static const char *dependents_of(uint32_t c) {
    switch (c) {
    case 0x5B83: case 0x4ED6: case 0x5979: case 0x8FD9: case 0x9019: case 0x8BE5:            /* 它他她这這该 */
    case 0x8A72: case 0x6B64: case 0x5176: case 0x90A3: case 0x4F46: case 0x800C:            /* 該此其那但而 */
    case 0x5E76: case 0x4E5F: case 0x8FD8: case 0x53C8: case 0x5373: return ""; /* 并也还又即 */
    case 0x56E0: return "因此 因而";
    case 0x6240: return "所以";
    case 0x7136: return "然而 然后";
    case 0x4E0D: return "不过";
    case 0x4E8E: return "于是";
    case 0x540C: return "同时";
    case 0x53E6: return "另外";
    case 0x4ECE: return "从而";
    case 0x7531: return "由此";
    case 0x53EF: return "可是";
    case 0x5426: return "否则";
    case 0x53CD: return "反之";
    case 0x76F8: return "相反";
    case 0x5C3D: return "尽管";
    case 0x524D: return "前者";
    case 0x540E: return "后者";
    case 0x4E0A: return "上述";
    case 0x4EE5: return "以上";
    case 0x63A5: return "接着";
    case 0x6700: return "最后";
    case 0x603B: return "总之";
    case 0x4E0E: return "与此";
    default: return NULL;
    }
}

bool text_zh_is_dependent(const char *p, const char *end) {
    size_t len;
    const char *words = dependents_of(text_char(p, &len));
    return words != NULL && (*words == '\0' || one_of(p, end, words) > 0);
}
