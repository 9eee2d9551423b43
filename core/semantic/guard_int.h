/* guard_int.h -- what the files of the guard share. Private to guard*.c. */
#ifndef PERILUNE_SEMANTIC_GUARD_INT_H
#define PERILUNE_SEMANTIC_GUARD_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "semantic/guard.h"
#include "semantic/guard_words_pairs.h"
#include "semantic/semantic.h"

/* -- Words that it knows: guard_words.c ------------------------------------------------------ */

/* ORDER guard_words.lua.  What a word, or a row of words, is. */
enum word_class {
    WORD_PREFIX,   /* of a longer row */
    WORD_NEUTRAL,  /* nothing, and what is in it is nothing either: 大学 has no 大 */
    WORD_NEGATION,
    WORD_OPPOSITE, /* id: of the pair; flags: its side */
    WORD_NUMBER,   /* id: its value */
    WORD_TIMES,    /* id: the power of ten that what stands in front is multiplied by */
    WORD_NUMERAL,  /* the same two in Chinese, character by character */
    WORD_UNIT,     /* flags: WORD_LOOSE needs no number in front */
    WORD_DATE,     /* 1 to 12: months */
    WORD_NAME,
    WORD_LANGUAGE, /* flags: WORD_SOFT is one only behind "in", else a name */
    WORD_FORMAT,
    WORD_QUESTION, /* id: enum asked */
    WORD_ROLE,     /* id: enum role */
    WORD_STOP,     /* says nothing of its own: the, of, 的 */
    WORD_SYNONYM,  /* id: of those that mean the same; rows of their own, from WORD_SYNONYMS on */
};

/* ORDER guard_words.lua */
enum {
    WORD_LEFT = 1, WORD_RIGHT = 2, /* sides of a pair */
    WORD_CONTRARY = 4,             /* not the one is the other */
    WORD_WEAK = 8,                 /* both sides in a text are nothing */
    WORD_SOFT = 16,                /* may be left out */
    WORD_CAPITAL = 32,             /* with a capital only: May */
    WORD_LOOSE = 64,               /* of a unit: without a number, too; */
    WORD_GOING = 64,               /* of an opposite: in front of a verb with -ing only: keep taking it */
};

/* ORDER guard_words.lua. */
enum asked {
    ASKED_WHO, ASKED_WHEN, ASKED_WHERE, ASKED_WHY, ASKED_HOW_MANY, ASKED_HOW_MUCH, ASKED_HOW_LONG, ASKED_HOW_FAR,
    ASKED_HOW_OLD, ASKED_HOW_OFTEN, ASKED_HOW_BIG, ASKED_HOW, ASKED_HOW_TALL, ASKED_HOW_HEAVY, ASKED_HOW_DEEP,
    ASKED_HOW_WIDE, ASKED_HOW_THICK, ASKED_HOW_FAST
};
enum { STOP_PLAIN, STOP_AUXILIARY, STOP_EMBEDS, STOP_INTO }; /* ids of WORD_STOP */
enum role { ROLE_FROM, ROLE_TO, ROLE_THAN, ROLE_WITH };

struct guard_word {
    uint8_t  class, flags;
    uint16_t id;
};

#define WORD_MOST 8 /* tokens of a row of words */
#define WORD_MANY 8 /* meanings of one */
#define WORD_SEED 0x811C9DC5u
#define WORD_SYNONYMS 0x9747B28Cu /* ORDER guard_words.lua: in place of WORD_SEED */

static inline uint32_t word_hash(uint32_t h, char c) { return (h ^ (unsigned char)c) * 0x01000193u; }
/* Of a row of words, from those of its words. */
static inline uint32_t word_row(uint32_t h, uint32_t word) {
    h = (h * 31 ^ word) * 0x9E3779B1u;
    h = (h ^ h >> 15) * 0x85EBCA77u;
    return h ^ h >> 13;
}

/* What is known of a row of words, or of one. */
struct guard_entry {
    unsigned count;  /* 0: nothing */
    bool     prefix; /* longer rows begin with it */
    struct guard_word list[WORD_MANY];
};

/* What has this hash of word_row(). */
void guard_word_find(uint32_t row, struct guard_entry *e);
/* Is it of this class?  Its id, or -1. */
int      guard_word_id(uint32_t row, unsigned class);

/* -- A text -------------------------------------------------------------------------------------- */

enum token_kind { TOKEN_WORD, TOKEN_HAN, TOKEN_NUMBER, TOKEN_CODE, TOKEN_SIGN, TOKEN_STOP };
enum {
    TOKEN_BEGINS = 1,   /* a sentence */
    TOKEN_CAPITAL = 2,  /* begins with one */
    TOKEN_UPPER = 4,    /* is in capitals, two at least */
    TOKEN_INNER = 8,    /* has one inside: iPhone */
    TOKEN_QUOTED = 16,
    TOKEN_APART = 32,   /* a space in front of it */
};

struct token {
    uint32_t hash; /* of its lower case */
    uint16_t at, len;
    uint8_t  kind, flags;
};

enum {
    FACT_SOFT = 1,   /* may be said in one text and not in the other */
    FACT_WORD = 2,   /* the other may say it as a plain word */
    FACT_UPPER = 4,  /* an acronym */
    FACT_INSIDE = 8, /* the other may have these characters anywhere */
    FACT_LISTED = 16 /* its key is not that of its letters */
};

struct fact {
    uint32_t key;
    uint16_t at, len; /* where it stands */
    uint8_t  kind;    /* enum guard */
    uint8_t  flags;
};

#define GUARD_TOKENS 2048
#define GUARD_FACTS 256
#define GUARD_KINDS (GUARD_QUESTION + 1)
#define GUARD_STEM 5 /* letters: words that share them are forms of one */
#define GUARD_WORD_BITS 4096
#define GUARD_ROLES 8
#define GUARD_REACH 8 /* tokens on each side of a role */

/* What stands before and behind a word that gives them different parts: from A to B. */
struct part {
    unsigned count;
    uint32_t words[GUARD_REACH];
};
struct roles {
    unsigned    role;
    struct part before, behind;
};

struct guard_text {
    char         text[SEMANTIC_MAX_TEXT + 16]; /* half-width, well-formed, zeros behind it */
    size_t       len;
    struct token tokens[GUARD_TOKENS];
    unsigned     token_count;
    struct fact  facts[GUARD_FACTS];
    unsigned     fact_count;
    uint32_t     more[GUARD_KINDS]; /* the sum of facts that had no place */
    uint8_t      sides[GUARD_WORDS_PAIRS]; /* of opposites: WORD_LEFT | WORD_RIGHT | flags of the pair */
    uint64_t     words[GUARD_WORD_BITS / 64];
    unsigned     negations;
    unsigned     asked;  /* bits of enum asked */
    bool         titled; /* capitals mean nothing */
    unsigned     han, latin;
    unsigned     other;  /* bits of other scripts */
    struct roles roles[GUARD_ROLES];
    unsigned     role_count;
};

/* guard_tokens.c: false: it has more tokens than fit. */
bool guard_tokens_read(struct guard_text *t, struct slice text);
/* guard_facts.c: what the tokens say. */
void guard_facts_read(struct guard_text *t);
void guard_facts_add(struct guard_text *t, unsigned kind, uint32_t key, const struct token *at, unsigned flags);
/* The longest row of words that begins at token i, and what it is: its tokens, or 0. */
unsigned guard_facts_match(const struct guard_text *t, unsigned i, struct guard_entry *e);
unsigned guard_facts_own(const struct guard_text *t, const struct guard_text *other, unsigned *all);
/* Is the word a negation, or one of two opposites? */
bool guard_facts_is_listed(const struct token *k);
/* One of GUARD_ENDINGS ways to take an ending off a word: writes the rest to `to`, which has the word's length and
 * one more, and returns its length, or 0. */
#define GUARD_ENDINGS 11
size_t guard_without_ending(const char *p, size_t len, unsigned way, char *to);
/* guard_numbers.c: adds the number that begins at token i, with its unit; its tokens, or 0: there is none. */
unsigned guard_numbers_read(struct guard_text *t, unsigned i);
/* guard_order.c: who has which part, and whether the parts are exchanged. */
void guard_order_read(struct guard_text *t);
bool guard_order_differs(const struct guard_text *a, const struct guard_text *b);
/* guard_han.c: the same of Chinese, whose words are not cut. */
bool guard_han_differs(const struct guard_text *a, const struct guard_text *b);
/* guard_replaced.c: they are the same but for one word. */
bool guard_replaced_differs(const struct guard_text *a, const struct guard_text *b, struct embedder *e);

static inline bool guard_is_letter(char c) { return (unsigned)((unsigned char)c | 0x20) - 'a' < 26; }
static inline bool guard_is_upper(char c) { return (unsigned)(unsigned char)c - 'A' < 26; }
static inline bool guard_is_digit(char c) { return (unsigned)(unsigned char)c - '0' < 10; }
static inline bool guard_is_alnum(char c) { return guard_is_letter(c) || guard_is_digit(c); }
static inline char guard_lower(char c) { return guard_is_upper(c) ? (char)(c | 0x20) : c; }

static inline uint32_t guard_hash(const char *p, size_t len) {
    uint32_t h = WORD_SEED;
    for (size_t i = 0; i < len; i++) h = word_hash(h, guard_lower(p[i]));
    return h;
}

static inline uint32_t guard_mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

static inline void guard_words_add(struct guard_text *t, uint32_t hash) {
    uint32_t bit = guard_mix(hash) % GUARD_WORD_BITS;
    t->words[bit / 64] |= UINT64_C(1) << bit % 64;
}
static inline bool guard_words_has(const struct guard_text *t, uint32_t hash) {
    uint32_t bit = guard_mix(hash) % GUARD_WORD_BITS;
    return (t->words[bit / 64] >> bit % 64 & 1) != 0;
}

#endif
