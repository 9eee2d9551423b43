/* text_words.c -- which words must not be lost, and which say little.
 *
 * English words are listed by their first letter, those that every word of a text is
 * compared with by their length, too.
 *
 * Chinese has no word borders: a character may be a negation (不), part of one (不得)
 * or part of something else (非常, 特别).  So characters are looked up by a switch, and
 * the neighbours decide: the longest word that begins there wins, and those that make it
 * harmless are known.  When in doubt a word is protected: too much is kept whole, but
 * nothing is lost.
 *
 * Constants and pure functions; any thread. */
#include "llm/text_words.h"

#include <string.h>

#include "llm/text_scan.h"

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

typedef const char *const word_list[26]; /* by first letter; between spaces */

static word_list units = {
    ['a' - 'a'] = " a am ", ['b' - 'a'] = " b bit bits byte bytes billion bn bps ",
    ['c' - 'a'] = " c cm cents century centuries ", ['d' - 'a'] = " day days dollar dollars degrees degree db ",
    ['e' - 'a'] = " eur euro euros ", ['f' - 'a'] = " ft feet foot ",
    ['g' - 'a'] = " g gb gib gram grams ghz gbps gw ", ['h' - 'a'] = " h hour hours hr hrs hz ",
    ['i' - 'a'] = " inch inches ", ['k' - 'a'] = " k kb kib kg km kw kwh khz kbps kilometers kilometres ",
    ['l' - 'a'] = " lb lbs liter liters litre litres ",
    ['m' - 'a'] = " m mb mib ms min mins minute minutes mm mg ml mhz mbps mw month months meter meters metre metres "
                  "mile miles million ",
    ['n' - 'a'] = " ns nm ", ['o' - 'a'] = " oz ", ['p' - 'a'] = " pm px percent points people pages ppm pb ",
    ['q' - 'a'] = " qps ", ['r' - 'a'] = " rmb rpm rps ", ['s' - 'a'] = " s sec secs second seconds ",
    ['t' - 'a'] = " tb tib times thousand trillion tokens tonnes tons tps ", ['u' - 'a'] = " us usd ",
    ['v' - 'a'] = " v ", ['w' - 'a'] = " w week weeks watts ", ['y' - 'a'] = " year years yr yrs yuan ",
};
#define ABBREVIATION_MOST 6 /* letters */
static word_list abbreviations = {
    ['a' - 'a'] = " al approx apr aug ave a ", ['b' - 'a'] = " b bros ", ['c' - 'a'] = " c ca cf ch co col corp ",
    ['d' - 'a'] = " d dec dept dr ", ['e' - 'a'] = " e ed eds eq eqs esp est etc ex ",
    ['f' - 'a'] = " f feb fig figs ", ['g' - 'a'] = " g gen gov ", ['h' - 'a'] = " h hon ",
    ['i' - 'a'] = " i ibid inc ", ['j' - 'a'] = " j jan jr jul jun ", ['k' - 'a'] = " k ", ['l' - 'a'] = " l lt ltd ",
    ['m' - 'a'] = " m maj mar max messrs min mr mrs ms mt ", ['n' - 'a'] = " n no nos nov ", ['o' - 'a'] = " o oct op ",
    ['p' - 'a'] = " p pp ph prof pt ", ['q' - 'a'] = " q ", ['r' - 'a'] = " r ref refs rep rev ",
    ['s' - 'a'] = " s sec sen sep sept sgt sr st ", ['t' - 'a'] = " t ", ['u' - 'a'] = " u univ ",
    ['v' - 'a'] = " v vol vols vs ", ['w' - 'a'] = " w ", ['x' - 'a'] = " x ", ['y' - 'a'] = " y ", ['z' - 'a'] = " z ",
};
static word_list questions = {
    ['a' - 'a'] = " a about an and any are as at answer ", ['b' - 'a'] = " be been but by ",
    ['c' - 'a'] = " can could ", ['d' - 'a'] = " did do does describe ", ['e' - 'a'] = " explain ",
    ['f' - 'a'] = " find for from ", ['g' - 'a'] = " get give given ", ['h' - 'a'] = " had has have he her his how ",
    ['i' - 'a'] = " i if in into is it its ", ['k' - 'a'] = " know ", ['l' - 'a'] = " list ",
    ['m' - 'a'] = " many me much my ", ['n' - 'a'] = " ", ['o' - 'a'] = " of on or our ", ['p' - 'a'] = " please ",
    ['q' - 'a'] = " question ", ['s' - 'a'] = " she should so some summarize ",
    ['t' - 'a'] = " tell than that the their them then there these they this those to ", ['u' - 'a'] = " us ",
    ['w' - 'a'] = " was we were what when where which who whom whose why will with would ", ['y' - 'a'] = " you your ",
};
static word_list dependents = {
    ['a' - 'a'] = " accordingly additionally also although and afterwards ", ['b' - 'a'] = " because both but ",
    ['c' - 'a'] = " consequently conversely ", ['e' - 'a'] = " either ", ['f' - 'a'] = " finally furthermore ",
    ['h' - 'a'] = " he hence her hers him his however ", ['i' - 'a'] = " instead it its ", ['l' - 'a'] = " likewise ",
    ['m' - 'a'] = " meanwhile moreover ", ['n' - 'a'] = " neither nevertheless nonetheless nor ",
    ['o' - 'a'] = " or otherwise ", ['s' - 'a'] = " she similarly so still such ",
    ['t' - 'a'] = " that their them then there thereby therefore these they this those though thus ",
    ['w' - 'a'] = " which ", ['y' - 'a'] = " yet ",
};

static bool listed(word_list words, const char *word, size_t len) {
    char lower[16];
    if (len == 0 || len >= sizeof(lower) - 1) return false;
    unsigned first = ((unsigned)(unsigned char)word[0] | 0x20) - 'a';
    if (first >= 26 || words[first] == NULL) return false;
    for (size_t i = 0; i < len; i++) lower[i] = (char)(word[i] | 0x20);
    for (const char *p = words[first] + 1; *p != '\0'; p++) {
        size_t n = 1; /* the first letter is the same */
        while (n < len && p[n] == lower[n]) n++;
        if (n == len && p[n] == ' ') return true;
        while (*p != ' ') p++;
    }
    return false;
}

/* In what letter the words begin is known. */
static bool same_letters(const char *lower, const char *word, size_t len) {
    size_t i = 1;
    while (i < len && lower[i] == (word[i] | 0x20)) i++;
    return i == len;
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
bool text_word_is_abbreviation(const char *word, size_t len) {
    return len <= ABBREVIATION_MOST && listed(abbreviations, word, len);
}
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
